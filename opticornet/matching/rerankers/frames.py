"""Re-ranking by matching frames in sequence: hierarchical place recognition (Garg and Milford, RA-L 2021)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import Reranker, RerankMaterial
from opticornet.matching.sequences.match import rerank
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class RawFrames(Reranker):
    """``single+seqmatch``: windows of the frames' own descriptors, scored by the sequence matcher."""

    compares: ClassVar[Literal["raw frames", "described frames", "local features"]] = "raw frames"
    rerank_length: int = option("--rerankSeqL", 0, "frames per window that are compared; 0: --seqL")

    def window_length(self, length: int) -> int:
        return self.rerank_length or length

    def rerank(self, material: RerankMaterial, candidates: Ranking, queries: slice) -> Ranking:
        reference, query = material.reference.windows, material.query.windows
        assert reference is not None
        assert query is not None
        return rerank(
            material.matcher,
            reference,
            query.some(queries),
            candidates.indices,
            memory_bytes=material.memory_bytes,
            device=material.device,
        )


@dataclass(frozen=True, kw_only=True)
class DescribedFrames(RawFrames):
    """``s1+seqmatch``: the same, of frames that a single-frame encoder describes."""

    compares: ClassVar[Literal["raw frames", "described frames", "local features"]] = "described frames"
    rerank_resume: str = option("--rerankResume", "", "run of the encoder that describes single frames")
