"""The run that is resumed, and what it decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from opticornet.inference.runs import find_run, named_checkpoint
from opticornet.options.plugins import load_remembered
from opticornet.options.shared import RunOptions
from opticornet.utils.checkpoints import LATEST
from opticornet.utils.errors import UserError

OfRun = TypeVar("OfRun", bound=RunOptions)

# What may differ between a run and its resumption: where things are and how fast, never what is computed (that a
# teacher is the same is checked by its weights).
# Where nothing else is given, the run's own values hold for the first of them too.
KEPT = ("data_path", "struct_path", "device", "nocuda", "threads", "teacher")
FREE = {*KEPT, "runs_path", "save_path", "resume", "other_descriptors", "quiet", "verbose", "config", "plugin"}


def run_to_resume(options: RunOptions) -> Path:
    """The folder of the run that ``resume`` names.

    Raises:
        UserError: there is none, or its best checkpoint is named.
    """
    run = find_run(options.resume, options.runs_path, options.save_path)
    if named_checkpoint(options.resume) == "best":
        raise UserError(f"`resume` {options.resume}: a run continues from its {LATEST}; name that, or the run's folder")
    return run


def as_resumed(options: OfRun, flags: Mapping[str, Any], run: Path) -> OfRun:
    """The options with all that shapes the numbers of a run with such flags, whose plugins are loaded.

    Raises:
        UserError: one was given that contradicts the run, or a plugin is missing.
    """
    own = options.flags()
    shaping = tuple(name for name in own if name not in FREE)
    kept = tuple(name for name in KEPT if name in own and name not in options.given)
    load_remembered(flags.get("plugins", {}), options.plugin, str(run))
    return options.restored(flags, shaping + kept, str(run))
