"""Options of ``--mode check``."""

from dataclasses import dataclass

from opticornet.options.shared import DataOptions


@dataclass(frozen=True, kw_only=True)
class CheckOptions(DataOptions):
    """``--mode check``: open a dataset, list what is in it and what is wrong with it."""

    def unused(self) -> dict[str, str]:
        return super().unused() | {"seed": "nothing is random"}
