"""The runs that a test takes weights from, and the encoders in them."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from opticornet.datasets.descriptors.identity import Comparison, DescriptorIdentity, of_data, of_run
from opticornet.datasets.traverse import FrameKind
from opticornet.evaluation.scene import Scene
from opticornet.inference.load import LoadedEncoder, frames_taken
from opticornet.inference.runs import find_run, named_checkpoint, read_sequence_flags
from opticornet.matching.search import check_index
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.loading import load_method
from opticornet.options.modes import TestOptions
from opticornet.options.plugins import load_remembered
from opticornet.options.shared import ADAPT_FIELDS, DATA_FIELDS
from opticornet.steps.testing.adapting import as_trained, differences
from opticornet.utils.errors import UserError, as_user_error
from opticornet.utils.options import from_flags
from opticornet.utils.registry import entry


@dataclass(frozen=True)
class Runs:
    """The runs that a test takes weights from.

    Attributes:
        method: of the sequence encoder; None where it has no weights or frames are matched.
        single: of the encoder that describes the single frames that are matched, or the windows that are compared to
            re-rank; None where raw frames or none are.
    """

    method: Path | None = None
    single: Path | None = None


def resolve(options: TestOptions) -> tuple[TestOptions, Path | None]:
    """Fill in what the resumed run decides; the run's folder, or None where no weights are wanted."""
    wants_weights = options.has_weights or options.pooling == "s1+seqmatch"
    if not options.resume:
        method = options.part("pooling") if options.searches else None
        if wants_weights and not (method and method.weights_file):
            published = (
                f", or a published file with `{method.weights_option}`" if method and method.weights_option else ""
            )
            raise UserError(
                f"`pooling` {options.pooling} has learned weights: name its run with `resume` RUN "
                f"(`resume` alone takes the newest run){published}"
            )
        if options.searches and options.describes_to_rerank and options.part("rerank").rerank_resume:
            single = _rerank_run(options)
            options = as_trained(options, read_sequence_flags(single, options.save_path), single)
        return options, None
    run = find_run(options.resume, options.runs_path, options.save_path)
    if checkpoint := named_checkpoint(options.resume):
        if "ckpt" in options.given and options.ckpt != checkpoint:
            raise UserError(f"`ckpt` {options.ckpt} contradicts `resume` {options.resume}; leave one out")
        options = replace(options, ckpt=checkpoint)
    flags = read_sequence_flags(run, options.save_path)
    load_remembered(flags.get("plugins", {}), options.plugin, str(run))
    if not wants_weights:
        raise UserError(f"`pooling` {options.pooling} has no weights, so `resume` {run} contradicts it; leave one out")
    decided: tuple[str, ...] = ()
    followed: tuple[str, ...] = (*DATA_FIELDS, "fill_frames")
    if frames_taken(str(flags.get("pooling"))) == "descriptors":  # weights that take images say nothing of these
        followed += ADAPT_FIELDS
    if options.pooling != "s1+seqmatch":  # whose run describes single frames: it knows nothing of windows
        decided, followed = ("pooling",), (*followed, "sequence_length", "windows", "short_sequences")
    return options.restored(flags, (*decided, *(name for name in followed if name not in options.given)), str(run)), run


def find_runs(options: TestOptions, run: Path | None) -> tuple[TestOptions, Runs]:
    """The runs of the weights, and the options with what they decide of re-ranking; ``run`` is that of ``resume``.

    Raises:
        UserError: there is no run to re-rank by, it would compare what was searched already, or one of its plugins is
            missing.
    """
    if not options.searches:
        return options, Runs(single=run)
    if not options.describes_to_rerank:
        return options, Runs(method=run)
    named = bool(options.part("rerank").rerank_resume)
    single = _rerank_run(options) if named else run
    frame_by_frame = single is not None and _encodes_frame_by_frame(options, single)
    if single is None or not (named or frame_by_frame):
        raise UserError(
            f"`rerank` {options.rerank} matches frames as an encoder describes them: name its run with `rerank_resume` "
            "RUN, one of `sequence_length` 1 or of dsdnet with `w` 1"
        )
    searched = single == run and options.rerank_window == options.sequence_length
    if searched and options.compares == "described windows":
        raise UserError(
            f"`rerank_by` windows: windows of {options.rerank_window} frames that run {single} encodes were searched "
            "already; compare longer ones by `rerank_length` N, or name another run with `rerank_resume` RUN"
        )
    return _comparing(options, frame_by_frame and not searched), Runs(run, single)


def _encodes_frame_by_frame(options: TestOptions, run: Path) -> bool:
    """Whether the encoder of a run does, see ``SequenceEncoderOptions``.

    Raises:
        UserError: one of its plugins is missing.
    """
    flags = read_sequence_flags(run, options.save_path)
    load_remembered(flags.get("plugins", {}), options.plugin, str(run))
    method = str(flags.get("pooling"))
    if method not in SEQUENCE_ENCODERS:
        return False
    return from_flags(entry(SEQUENCE_ENCODERS, method), flags).encodes_frame_by_frame


def _comparing(options: TestOptions, windows: bool) -> TestOptions:
    """The options with what re-ranking compares, where they leave it open: ``windows`` if they may be."""
    if options.part("rerank").rerank_by != "auto":
        return options
    compared = "windows" if windows and "matcher" not in options.given else "frames"
    return replace(options, chosen={**options.chosen, "rerank_by": compared})


def _rerank_run(options: TestOptions) -> Path:
    """The run of the encoder that describes the frames that are matched to re-rank."""
    return find_run(options.part("rerank").rerank_resume, options.runs_path, options.save_path, "rerank_resume")


def frames_needed(options: TestOptions, runs: Runs) -> frozenset[FrameKind]:
    """The kinds of frames that a test reads: those its method takes, and those that are matched to re-rank."""
    needed: set[FrameKind] = set()
    if options.searches or runs.single is None:
        needed.add(frames_taken(options.pooling))
    if options.compares == "raw frames":
        needed.add("descriptors")
    if runs.single is not None:
        needed.add(frames_taken(str(read_sequence_flags(runs.single, options.save_path).get("pooling"))))
    return frozenset(needed)


def check_descriptors(
    options: TestOptions, scene: Scene, runs: Runs, searched: LoadedEncoder | None, single: LoadedEncoder | None
) -> tuple[str, ...]:
    """In what the frame descriptors that a test brings together were made, or are adapted, differently: those of the
    split and those that the weights were trained on.

    Raises:
        UserError: in something, and the options do not insist.
    """
    made: dict[str, DescriptorIdentity | None] = {}
    for run, loaded in ((runs.method, searched), (runs.single, single)):
        if loaded is not None and loaded.weights is not None and loaded.encoder.takes == "descriptors":
            made |= of_run(str(run), loaded.weights.descriptors)
    if "descriptors" in frames_needed(options, runs):
        made |= of_data(scene.split)
    found = Comparison.of(made)
    found.refuse_differences(options.other_descriptors)
    if found.note() and not options.quiet:
        print(f"note: {found.note()}", file=sys.stderr)
    return found.differences + differences(options, runs.method, runs.single)


def load_searched(options: TestOptions, scene: Scene, run: Path | None) -> LoadedEncoder:
    """The encoder whose descriptors are searched.

    Raises:
        UserError: it does not fit the data, or its descriptors do not fit the index.
    """
    loaded = load_method(options, scene, run, options.ckpt)
    with as_user_error(f"`index` {options.index}"):
        check_index(options.index, loaded.encoder.encoding_dims(options.sequence_length))
    return loaded


def load_compared(options: TestOptions, scene: Scene, run: Path) -> LoadedEncoder:
    """The encoder of a run, for the single frames that are matched, or the windows that are compared.

    Raises:
        UserError: the run has no such encoder, or one that does not fit the data.
    """
    length = options.rerank_window if options.compares == "described windows" else 1
    checkpoint = named_checkpoint(options.part("rerank").rerank_resume) if options.rerank else ""
    compared = replace(options, sequence_length=length, ckpt=checkpoint or options.ckpt, given=frozenset(), chosen={})
    try:
        compared = compared.restored(read_sequence_flags(run, options.save_path), ("pooling",), str(run))
        return load_method(compared, scene, run, compared.ckpt)
    except UserError as error:
        argument = "rerank_resume" if options.rerank else "resume"
        what, wanted = f"windows of {length} frames", f"of at most {length}"
        if length == 1:
            what, wanted = "single frames", "1"
        raise UserError(
            f"`{argument}` {run} cannot describe {what} ({error}); name a run trained with `sequence_length` {wanted}"
        ) from error
