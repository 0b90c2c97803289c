"""What a re-ranker is, and what it is given."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from opticornet.matching.ranking import Ranking
from opticornet.matching.sequences.base import SequenceMatcher
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.mapped import RowMatrix
from opticornet.utils.options import Choice

Compared = Literal["raw frames", "described frames", "described windows", "local features"]


@dataclass(frozen=True)
class RerankSide:
    """One traverse, as a re-ranker is given it.

    Attributes:
        name: of the traverse, for messages.
        frames: (M, L) int64 frames of each window, in the order in which it is read.
        windows: M windows of the frames, raw or described, as :attr:`Reranker.compares` asks, or of described windows,
            each of them one; else None.
        local_features: (N, R, C) of every frame, memory-mapped; None where there are none.
    """

    name: str
    frames: np.ndarray
    windows: SequenceSet | None = None
    local_features: RowMatrix | None = None


@dataclass(frozen=True)
class RerankMaterial:
    """Everything that a re-ranker is given.

    Attributes:
        reference, query: the two traverses.
        matcher: scores windows of frames.
        memory_bytes: bound on what may be held at a time.
        device: where to compute.
    """

    reference: RerankSide
    query: RerankSide
    matcher: SequenceMatcher
    memory_bytes: int
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class Reranker(Choice, ABC):
    """Re-orders candidates: the entry of a re-ranker in ``RERANKERS``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.
    """

    @property
    @abstractmethod
    def compares(self) -> Compared:
        """The frames' own descriptors; the frames, or the windows of them, as a second encoder describes them (then the
        subclass has a field ``rerank_resume``, the encoder's run); or local features."""

    @property
    def chooses_weight(self) -> bool:
        """Whether a ``rerank_weight`` is wanted that the val split says (``opticornet.evaluation.rerank_weight``)."""
        return False

    @property
    def searched_weight(self) -> float | None:
        """The weight of the searched distance in those of :meth:`rerank`, 0 to 1; None where there is no such thing."""
        return None

    @property
    def distances_of(self) -> tuple[Literal["searched", "compared"], ...]:
        """What the distances of :meth:`rerank` are made of: those of the windows that were searched, of those that are
        compared, or both. References whose windows are the same to it are one answer."""
        return ("compared",)

    def window_length(self, length: int) -> int:
        """Frames per window that are compared, where the search looked at ``length``."""
        return length

    def check(self, reference: RerankSide, query: RerankSide) -> None:
        """Called before anything is computed, without ``windows``.

        Raises:
            UserError: the traverses lack what is compared.
        """

    @abstractmethod
    def rerank(self, material: RerankMaterial, candidates: Ranking, queries: slice) -> Ranking:
        """Re-order the candidates of some queries.

        Args:
            material: of all queries and references.
            candidates: (m, K) windows of the reference, -1 for none, and their distances, of the queries ``queries``.
            queries: rows of the query windows.

        Returns:
            (m, K) ranking of the same candidates; those that are none last, infinitely far.

        Raises:
            MemoryTooSmall: ``material.memory_bytes`` is.
        """
