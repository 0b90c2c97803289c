"""Sequence matchers: what scores a query window against a reference window. One file per matcher, one line here."""

from opticornet.utils.registry import Registry

SEQUENCE_MATCHERS: Registry = {
    "diagonal": "opticornet.matching.sequences.diagonal:Diagonal",
    "seqslam": "opticornet.matching.sequences.seqslam:SeqSlam",
    "dtw": "opticornet.matching.sequences.warping:Warping",
}
