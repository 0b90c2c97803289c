"""Losses over tuples of an anchor, its positive and its negatives: one file a loss, one line here."""

from collections.abc import Callable

from opticornet.learning.losses.base import LossTerms, TupleLoss, Tuples
from opticornet.learning.losses.multi_similarity import MultiSimilarityLoss
from opticornet.learning.losses.quadruplet import QuadrupletLoss
from opticornet.learning.losses.triplet import TripletLoss

__all__ = ["LOSSES", "LossTerms", "MultiSimilarityLoss", "QuadrupletLoss", "TripletLoss", "TupleLoss", "Tuples"]

LOSSES: dict[str, Callable[[float, float], TupleLoss]] = {
    "quadruplet": lambda margin, margin2: QuadrupletLoss(margin, margin2),
    "triplet": lambda margin, margin2: TripletLoss(margin),
    "multi-similarity": lambda margin, margin2: MultiSimilarityLoss(),
}
