"""How a test adapts frames: as the run of its weights was trained, unless it was asked for otherwise."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opticornet.datasets.adapting.adaptation import AS_THEY_ARE, Adaptation
from opticornet.datasets.adapting.opening import open_adaptation
from opticornet.datasets.adapting.statistics import Statistics
from opticornet.datasets.traverse import FrameKind
from opticornet.inference.load import frames_taken
from opticornet.inference.runs import read_flags
from opticornet.options.modes import TestOptions
from opticornet.options.shared import ADAPT_FIELDS, DATA_FIELDS, DataOptions
from opticornet.utils.checkpoints import BEST, LATEST, load_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.options import flag_of, recorded_value


def as_trained(options: TestOptions, flags: Mapping[str, Any], run: Path) -> TestOptions:
    """The options with what is not given of adapting frames as in a run's flags."""
    return options.restored(flags, tuple(name for name in ADAPT_FIELDS if name not in options.given), str(run))


def adaptation_of(options: TestOptions, needs: frozenset[FrameKind], *runs: Path | None) -> Adaptation:
    """How the frames of the tested splits are adapted, of which such kinds are read; ``runs`` are those of the weights.

    Raises:
        UserError: it was asked for, and no descriptors are read; a file of the train split, from whose queries a
            running mean begins, is damaged.
    """
    if "descriptors" in needs:
        if begin := begun_in_training(options, *runs):
            return Adaptation(options.adapt, options.adapt_scale, begin)
        return open_adaptation(options.adapt, options.adapt_scale, options.dataset, **options.source())
    for name in ADAPT_FIELDS:
        if name in options.given:
            raise UserError(f"`{name}` changes nothing here: no frame descriptors are read, the weights take images")
    return AS_THEY_ARE


def begun_in_training(options: TestOptions, *runs: Path | None) -> Statistics | None:
    """What a running mean begins from, as a run has kept it that was trained on the tested dataset: the same numbers as
    of its train split, which is not read again. None where no run has."""
    for run in filter(None, runs) if options.adapt == "running" else ():
        flags = read_flags(run, options.save_path)
        if bool(flags.get("adaptScale", False)) != options.adapt_scale or not _trained_on_tested(options, flags):
            continue
        kept = [path for name in (BEST, LATEST) if (path := run / options.save_path / name).is_file()]
        saved = load_checkpoint(kept[0], mapped=True).get("adaptation") if kept else None
        if begin := Statistics.restored(saved, f"run {run}"):
            return begin
    return None


def _trained_on_tested(options: TestOptions, flags: Mapping[str, Any]) -> bool:
    """Whether a run's flags say that it was trained on the train split of the tested dataset."""
    told = set(DATA_FIELDS) - {"msls_val_city", "msls_test_city"} - DataOptions.unused(options).keys()
    fields = {name: DataOptions.flags()[name] for name in told}
    return all(
        _same(flags.get(flag_of(f)[2:]), recorded_value(f, getattr(options, name))) for name, f in fields.items()
    )


def _same(saved: object, value: object) -> bool:
    """Whether a flag was saved with this value; several are a list in a file."""
    return saved == (list(value) if isinstance(value, tuple) else value)


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
