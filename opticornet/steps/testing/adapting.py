"""How a test adapts frames: as the run of its weights was trained, unless it was asked for otherwise."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opticornet.datasets.adapting.adaptation import AS_THEY_ARE, Adaptation
from opticornet.datasets.adapting.opening import open_adaptation
from opticornet.datasets.traverse import FrameKind
from opticornet.inference.load import frames_taken
from opticornet.inference.runs import read_flags
from opticornet.options.modes import TestOptions
from opticornet.options.shared import ADAPT_FIELDS
from opticornet.utils.errors import UserError


def as_trained(options: TestOptions, flags: Mapping[str, Any], run: Path) -> TestOptions:
    """The options with what is not given of adapting frames as in a run's flags."""
    return options.restored(flags, tuple(name for name in ADAPT_FIELDS if name not in options.given), str(run))


def adaptation_of(options: TestOptions, needs: frozenset[FrameKind]) -> Adaptation:
    """How the frames of the tested splits are adapted, of which such kinds are read.

    Raises:
        UserError: it was asked for, and no descriptors are read; what a running mean begins from cannot be opened.
    """
    if "descriptors" in needs:
        return open_adaptation(options.adapt, options.adapt_scale, options.dataset, **options.source())
    for name in ADAPT_FIELDS:
        if name in options.given:
            raise UserError(f"`{name}` changes nothing here: no frame descriptors are read, the weights take images")
    return AS_THEY_ARE


def differences(options: TestOptions, *runs: Path | None) -> tuple[str, ...]:
    """Where the frames that weights were trained on were adapted otherwise, in words: a run each."""
    now, found = _in_words(options.adapt, options.adapt_scale), []
    for run in filter(None, runs):
        flags = read_flags(run, options.save_path)
        trained = _in_words(str(flags["adapt"]), bool(flags.get("adaptScale", False)))
        if trained != now and frames_taken(str(flags.get("pooling"))) == "descriptors":
            found.append(f"frames {trained} for run {run}, {now} in this test (`adapt`)")
    return tuple(found)


def warn_of_differences(options: TestOptions, *runs: Path | None) -> None:
    """Say them on standard error."""
    for difference in () if options.quiet else differences(options, *runs):
        print(f"warning: {difference}", file=sys.stderr)


def _in_words(adapt: str, scale: bool) -> str:
    """What weights see of an adaptation: whichever mean is taken off, frames are centred."""
    if adapt == "none":
        return "as they are"
    return "centred and scaled" if scale else "centred"
