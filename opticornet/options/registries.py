"""Every registry by the name that a plugin adds to."""

from opticornet.datasets.prepare.sources import SOURCES
from opticornet.evaluation.answer_files import ANSWER_FORMATS
from opticornet.evaluation.protocols import PROTOCOLS
from opticornet.learning.augmentation import AUGMENTATIONS
from opticornet.learning.images.terms import LOSS_TERMS
from opticornet.learning.losses import LOSSES
from opticornet.learning.optimizers import OPTIMIZERS
from opticornet.learning.schedules import SCHEDULES
from opticornet.matching.rerankers import RERANKERS
from opticornet.matching.sequences import SEQUENCE_MATCHERS
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.utils.registry import Registry

REGISTRIES: dict[str, Registry] = {
    "SEQUENCE_ENCODERS": SEQUENCE_ENCODERS,
    "IMAGE_ENCODERS": IMAGE_ENCODERS,
    "LOSSES": LOSSES,
    "LOSS_TERMS": LOSS_TERMS,
    "AUGMENTATIONS": AUGMENTATIONS,
    "OPTIMIZERS": OPTIMIZERS,
    "SCHEDULES": SCHEDULES,
    "SEQUENCE_MATCHERS": SEQUENCE_MATCHERS,
    "RERANKERS": RERANKERS,
    "SOURCES": SOURCES,
    "ANSWER_FORMATS": ANSWER_FORMATS,
    "PROTOCOLS": PROTOCOLS,
}

# What the entries of each derive from: written out, since the bases import what the registries do not need.
BASES: dict[str, str] = {
    "SEQUENCE_ENCODERS": "opticornet.models.sequences.base:SequenceEncoderOptions",
    "IMAGE_ENCODERS": "opticornet.models.images.base:ImageEncoderOptions",
    "LOSSES": "opticornet.learning.losses.base:LossOptions",
    "LOSS_TERMS": "opticornet.learning.images.terms.base:LossTermOptions",
    "AUGMENTATIONS": "opticornet.learning.augmentation.base:AugmentationOptions",
    "OPTIMIZERS": "opticornet.learning.optimizers.base:OptimizerOptions",
    "SCHEDULES": "opticornet.learning.schedules.per_epoch:Schedule",
    "SEQUENCE_MATCHERS": "opticornet.matching.sequences.base:SequenceMatcher",
    "RERANKERS": "opticornet.matching.rerankers.base:Reranker",
    "SOURCES": "opticornet.datasets.prepare.prepared:Source",
    "ANSWER_FORMATS": "opticornet.evaluation.answer_files.base:AnswerFormat",
    "PROTOCOLS": "opticornet.evaluation.protocols.base:Protocol",
}
