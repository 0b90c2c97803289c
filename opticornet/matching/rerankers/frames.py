"""Re-ranking by matching frames in sequence: hierarchical place recognition (Garg and Milford, RA-L 2021)."""

import math
from dataclasses import dataclass
from typing import Literal

from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import Compared, Reranker, RerankMaterial
from opticornet.matching.rerankers.mixing import mixed
from opticornet.matching.sequences.match import rerank
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class RawFrames(Reranker):
    """``single+seqmatch``: windows of the frames' own descriptors, scored by the sequence matcher; with a weight also
    by the distance that was searched (:func:`opticornet.matching.rerankers.mixing.mixed`)."""

    rerank_length: int = option("--rerankSeqL", 0, "frames per window that are compared; 0: --seqL")
    rerank_weight: str = option(
        "--rerankWeight",
        AUTO,
        "weight of the searched distance: 0, the matched frames' alone (seqNet), to 1; auto: chosen on the val split",
    )

    def __post_init__(self) -> None:
        if self.rerank_weight != AUTO and not 0 <= _number_or_nan(self.rerank_weight) <= 1:
            raise UserError(f"`rerank_weight` {self.rerank_weight}: wanted {AUTO}, or a number from 0 to 1")

    @property
    def compares(self) -> Compared:
        return "raw frames"

    @property
    def chooses_weight(self) -> bool:
        return self.rerank_weight == AUTO

    @property
    def searched_weight(self) -> float:
        """``rerank_weight``, once it is known."""
        if self.chooses_weight:
            raise ValueError("the weight has not been chosen yet")
        return float(self.rerank_weight)

    @property
    def distances_of(self) -> tuple[Literal["searched", "compared"], ...]:
        parts: dict[float, tuple[Literal["searched", "compared"], ...]] = {0: ("compared",), 1: ("searched",)}
        return parts.get(self.searched_weight, ("searched", "compared"))

    def window_length(self, length: int) -> int:
        return self.rerank_length or length

    def rerank(self, material: RerankMaterial, candidates: Ranking, queries: slice) -> Ranking:
        reference, query = material.reference.windows, material.query.windows
        assert reference is not None
        assert query is not None
        compared = rerank(
            material.matcher,
            reference,
            query.some(queries),
            candidates.indices,
            memory_bytes=material.memory_bytes,
            device=material.device,
        )
        return mixed(candidates, compared, self.searched_weight)


@dataclass(frozen=True, kw_only=True)
class DescribedFrames(RawFrames):
    """``s1+seqmatch``: the same, of frames that a single-frame encoder describes.

    Where that encoder also encodes whole windows, frame by frame, the score of two windows is the distance of their
    encodings: the sum along the same diagonal, in the encoder's own metric, which knows how the change within a place
    goes together in time (``models/sequences/temporal_noise.py``) and how telling each frame is.
    """

    rerank_resume: str = option(
        "--rerankResume",
        "",
        "run whose encoder describes single frames: of --seqL 1, or of dsdnet with --w 1; default: the tested run, if "
        "it is such",
    )
    rerank_by: Literal["auto", "frames", "windows"] = option(
        "--rerankBy",
        AUTO,
        "compare windows frame by frame, as --matcher says (seqNet), or as their encoder encodes them; auto: as it "
        "does where that is frame by frame (dsdnet with --w 1) and was not searched already, unless --matcher is given",
        choices=(AUTO, "frames", "windows"),
    )

    @property
    def compares(self) -> Compared:
        return "described windows" if self.rerank_by == "windows" else "described frames"


def _number_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
