"""Re-rankers: what re-orders the candidates that a search found. One file per re-ranker, one line here."""

from opticornet.utils.registry import Registry

RERANKERS: Registry = {
    "single+seqmatch": "opticornet.matching.rerankers.frames:RawFrames",
    "s1+seqmatch": "opticornet.matching.rerankers.frames:DescribedFrames",
    "local": "opticornet.matching.rerankers.local_features:LocalFeatures",
}
