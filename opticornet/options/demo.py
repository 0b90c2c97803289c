"""Options of ``--mode demo``."""

from dataclasses import dataclass

from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """``--mode demo``: train, test against every baseline, one table and report, on built-in data."""

    dataset: str = option("--dataset", "synthetic", "built-in name, or a folder with a dataset.toml")
    runs_path: str = option("--runsPath", "data/runs", "folder of all runs")
    results_path: str = option("--resultsPath", "data/results/demo", "folder for results")
    report: str = option("--report", "data/results/demo/report", "folder for the report")
    seed: int = option("--seed", 123, "seed of every random choice")
