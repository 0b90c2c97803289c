"""Losses over tuples of an anchor, its positive and its negatives, or over anchors beside all of a batch's references:
one file per loss, one line here.

To add a loss, write ``opticornet/learning/losses/<name>.py`` with a :class:`.base.TupleLoss` and its
:class:`.base.LossOptions`, or a :class:`.base.ComparisonLoss` and its :class:`.base.ComparisonLossOptions`, and give
the latter a line below.
"""

from opticornet.utils.registry import Registry

LOSSES: Registry = {
    "quadruplet": "opticornet.learning.losses.quadruplet:QuadrupletOptions",
    "triplet": "opticornet.learning.losses.triplet:TripletOptions",
    "max-margin": "opticornet.learning.losses.max_margin:MaxMarginOptions",
    "multi-similarity": "opticornet.learning.losses.multi_similarity:MultiSimilarityOptions",
    "soft-contrastive": "opticornet.learning.losses.soft_contrastive:SoftContrastiveOptions",
    "smooth-ap": "opticornet.learning.losses.smooth_ap:SmoothAPOptions",
}
