"""Every registry by the name that a plugin adds to."""

from opticornet.datasets.prepare import SOURCES
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.utils.registry import Registry

REGISTRIES: dict[str, Registry] = {
    "SEQUENCE_ENCODERS": SEQUENCE_ENCODERS,
    "IMAGE_ENCODERS": IMAGE_ENCODERS,
    "SOURCES": SOURCES,
}
