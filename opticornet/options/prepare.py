"""Options of ``--mode prepare``."""

from dataclasses import dataclass

from opticornet.datasets.prepare import SOURCES
from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """``--mode prepare``: a public dataset, or your own drives, to a dataset folder."""

    source: str = option("--source", "", "what --root is", choices=SOURCES)
    root: str = option("--root", "", "folder the dataset was unpacked to; it is left as it is")
    output: str = option("--output", "", "dataset folder to write")
    name: str = option("--name", "", "the dataset's name; default: the folder's")
    overwrite: bool = option("--overwrite", False, "replace an output that differs")
    quiet: bool = option("--quiet", False, "print errors only")
