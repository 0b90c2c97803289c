"""Options of ``--mode check``."""

from dataclasses import dataclass
from typing import Any

from opticornet.datasets.descriptors.local_files import AS_RECORDED
from opticornet.options.shared import DataOptions
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class CheckOptions(DataOptions):
    """``--mode check``: open a dataset, list what is in it and what is wrong with it."""

    sequence_length: int = option("--seqL", 5, "frames per window, for which frames may lack neighbours", minimum=1)

    def unused(self) -> dict[str, str]:
        return super().unused() | {"seed": "nothing is random", "crop": "images are looked at as they are"}

    def source(self) -> dict[str, Any]:
        return super().source() | {"local": AS_RECORDED}
