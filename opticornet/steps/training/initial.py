"""The run whose weights training starts from, where ``init_from`` names one."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from opticornet.inference.load import WeightsRecord
from opticornet.inference.runs import find_run, named_checkpoint, read_sequence_flags
from opticornet.options.modes import TrainOptions
from opticornet.options.plugins import load_remembered
from opticornet.options.shared import ADAPT_FIELDS


@dataclass(frozen=True)
class InitialRun:
    """A run, ours or seqNet's, whose weights are to be trained further on other data.

    Attributes:
        path: its folder.
        checkpoint: "best" or "latest".
        flags: its options by flag.
    """

    path: Path
    checkpoint: str
    flags: dict[str, Any]

    @classmethod
    def of(cls, options: TrainOptions) -> Self | None:
        """The run that the options name, with its plugins loaded; None where they name none.

        Raises:
            UserError: there is no such run, or one of its plugins is missing.
        """
        if not options.init_from:
            return None
        run = find_run(options.init_from, options.runs_path, options.save_path, "init_from")
        flags = read_sequence_flags(run, options.save_path)
        load_remembered(flags.get("plugins", {}), options.plugin, str(run))
        return cls(run, named_checkpoint(options.init_from) or "best", flags)

    def decide(self, options: TrainOptions) -> TrainOptions:
        """The options with the run's method, the plugins that it needs, and, unless they say so, how it adapted frames.

        Raises:
            UserError: they ask for another method, or for other options of it.
        """
        flags = {name: value for name, value in self.flags.items() if name != "init"}  # what that run started from
        given = {Path(path).name for path in options.plugin}
        needed = (path for path in self.flags.get("plugins", {}) if Path(path).name not in given)
        options = replace(options, plugin=(*options.plugin, *needed))
        followed = tuple(name for name in ADAPT_FIELDS if name not in options.given)
        return options.restored(flags, ("pooling", *followed), str(self.path), "run")


def recorded(weights: WeightsRecord) -> dict[str, Any]:
    """What a run keeps of the weights that it started from."""
    return {
        "path": weights.path,
        "sha256": weights.sha256,
        "epoch": weights.epoch,
        "trainedOn": weights.trained_on,
    }
