"""The modes of the command line and their options."""

from opticornet.options.base import Options
from opticornet.options.check import CheckOptions
from opticornet.options.compare import CompareOptions
from opticornet.options.demo import DemoOptions
from opticornet.options.extract import ExtractOptions
from opticornet.options.extract_sequences import ExtractSequencesOptions
from opticornet.options.prepare import PrepareOptions
from opticornet.options.report import ReportOptions
from opticornet.options.test import TestOptions
from opticornet.options.train import TrainOptions
from opticornet.options.train_images import TrainImagesOptions

MODES: dict[str, type[Options]] = {
    "train": TrainOptions,
    "test": TestOptions,
    "check": CheckOptions,
    "demo": DemoOptions,
    "report": ReportOptions,
    "compare": CompareOptions,
    "prepare": PrepareOptions,
    "extract": ExtractOptions,
}

# Options that a mode has instead where other options ask for them (``variants.py``).
VARIANTS: dict[str, type[Options]] = {"extract": ExtractSequencesOptions, "train": TrainImagesOptions}
