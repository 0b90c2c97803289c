"""Options of ``--mode compare``."""

from dataclasses import dataclass

from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """``--mode compare``: runs side by side, or two results query by query."""

    runs: tuple[str, ...] = option("--runs", ("data/runs",), "run folders, or folders of runs")
    sort: str = option("--sort", "newest", "newest, R@1, R@5, time, or a flag without dashes")
    csv: str = option("--csv", "", "also write the table to this file")
    diff: tuple[str, ...] = option("--diff", (), "two result records: which queries only one of them gets right")
    save_path: str = option("--savePath", "checkpoints", "folder of a run's checkpoints, inside the run")

    def unused(self) -> dict[str, str]:
        runs = ("runs", "sort", "csv", "save_path")
        return dict.fromkeys(runs, "`diff` compares results, not runs") if self.diff else {}
