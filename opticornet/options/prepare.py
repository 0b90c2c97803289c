"""Options of ``--mode prepare``."""

from dataclasses import dataclass

from opticornet.datasets.prepare.sources import SOURCES
from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options):
    """``--mode prepare``: a public dataset, or your own drives, to a dataset folder."""

    source: str = option("--source", "", "what --root is", choices=SOURCES)
    root: str = option("--root", "", "folder the dataset was unpacked to; it is left as it is")
    output: str = option("--output", "", "dataset folder to write")
    name: str = option("--name", "", "the dataset's name; default: the folder's")
    cut: int = option("--cut", 0, "cut panoramas of 360 degrees into this many views; 0: leave them whole")
    view_field: float = option("--viewField", 90.0, "with --cut: field of view in degrees")
    view_pitch: float = option("--viewPitch", 0.0, "with --cut: degrees above the horizon", minimum=-90)
    overwrite: bool = option("--overwrite", False, "replace an output that differs")
    quiet: bool = option("--quiet", False, "print errors only")

    def unused(self) -> dict[str, str]:
        return {} if self.cut else dict.fromkeys(("view_field", "view_pitch"), "it is for `cut`")
