"""From a method's options, or a run, to a sequence encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.adapting.rows import AdaptedRows, ByOwnMean, ByRunningMean, DriveRows
from opticornet.datasets.adapting.statistics import Statistics, statistics_of
from opticornet.datasets.descriptors.identity import SplitIdentity
from opticornet.datasets.traverse import FrameKind
from opticornet.datasets.windows import WindowRule, window_starts
from opticornet.inference.runs import SAVE_PATH, read_flags, read_sequence_flags
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.utils.checkpoints import BEST, LATEST, build_empty, fit_state, load_checkpoint
from opticornet.utils.device import physical_memory
from opticornet.utils.errors import UserError
from opticornet.utils.files import full_path, sha256
from opticornet.utils.mapped import as_tensor
from opticornet.utils.options import from_flags
from opticornet.utils.registry import entry


def build_encoder(method: SequenceEncoderOptions, name: str, in_dims: int, length: int) -> SequenceEncoder:
    """A method's encoder, freshly initialised.

    Args:
        method: what it is and its options.
        name: what it is called, for messages.
        in_dims: D, of the frame descriptors; 0 for a method that takes images.
        length: L, frames per window.

    Raises:
        UserError: windows of that length are too short for it, it would not fit into memory, or its options and its
            encoder disagree on what it takes.
    """
    needed = 4 * 4 * method.weight_count(in_dims, length)  # bytes: weights, gradients and two moments of each
    if needed > physical_memory():
        raise UserError(
            f"{name} with these options and {in_dims}-D frames takes {needed / 2**30:.0f} GiB to train, more than "
            "there is; choose fewer dimensions"
        )
    try:
        encoder = method.build(in_dims, length)
    except ValueError as error:
        if method.takes == "descriptors":
            raise
        raise UserError(
            f"{name}: takes is 'images' of {type(method).__name__}, so there are {in_dims} frame dimensions to build "
            f"for, and its encoder refuses: {error}; derive it from ImageSequenceEncoder"
        ) from error
    if encoder.takes != method.takes:
        raise UserError(
            f"{name}: takes is {method.takes!r} of {type(method).__name__} and {encoder.takes!r} of its encoder "
            f"{type(encoder).__name__}; wanted the same of both"
        )
    if length < encoder.min_length:
        raise UserError(
            f"`sequence_length` {length} is below {encoder.min_length}, the fewest frames that {name} takes with these "
            "options; take longer windows or a narrower kernel"
        )
    return encoder


def frames_taken(pooling: str) -> FrameKind:
    """Which frames of a traverse a method takes; those that match frames directly take descriptors."""
    return entry(SEQUENCE_ENCODERS, pooling).takes if pooling in SEQUENCE_ENCODERS else "descriptors"


@dataclass(frozen=True)
class WeightsRecord:
    """Learned weights that shaped a result."""

    path: str
    sha256: str
    epoch: int
    trained_on: str
    parameters: int
    flags: dict[str, Any]
    descriptors: SplitIdentity = field(default_factory=SplitIdentity)  # of the frames they were trained on

    @property
    def started_from(self) -> str:
        """What they were before training, in words; empty where the method has no published ones to start from."""
        return str(self.flags.get("startedFrom", ""))

    @property
    def started_at_random(self) -> bool:
        """Whether training began with random weights of a method that has published ones to start from."""
        return self.started_from.startswith("random weights")


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder ready to encode, and where its weights came from (None: it has none)."""

    encoder: SequenceEncoder
    weights: WeightsRecord | None


def load_encoder(
    method: SequenceEncoderOptions,
    name: str,
    in_dims: int,
    length: int,
    *,
    run: Path | None = None,
    save_path: str = SAVE_PATH,
    checkpoint: str = "best",
    dataset: str = "this dataset",
) -> LoadedEncoder:
    """A method's encoder, with the weights of a run.

    Args:
        method, name, in_dims, length: as for :func:`build_encoder`; agreeing with the run.
        run: run folder, ours or seqNet's; None for a method without weights, or whose options name a published file.
        save_path: folder of the checkpoints inside it.
        checkpoint: "best" or "latest".
        dataset: what the encoder is to be used on, for messages.

    Raises:
        UserError: no checkpoint, or one that does not fit the data or the options.
    """
    if run is None:
        encoder = build_encoder(method, name, in_dims, length).eval()
        return LoadedEncoder(encoder, published_weights(method, name, encoder) if method.weights_file else None)
    path = run / save_path / (BEST if checkpoint == "best" else LATEST)
    state = load_checkpoint(path, mapped=True)
    flags = read_flags(run, save_path)
    check_version(method, name, flags, str(path))
    check_dims(state, in_dims, str(path), dataset)
    encoder = build_empty(lambda: build_encoder(method, name, in_dims, length)).eval()
    weights = {key.removeprefix("module."): value for key, value in state["state_dict"].items()}
    fit_state(encoder, weights, str(path), assign=True)
    return LoadedEncoder(
        encoder,
        WeightsRecord(
            path=full_path(str(path)),
            sha256=sha256(path),
            epoch=int(state.get("epoch", 0)),
            trained_on=str(flags.get("dataset", "unknown")),
            parameters=sum(parameter.numel() for parameter in encoder.parameters()),
            flags=flags,
            descriptors=SplitIdentity.restored(state.get("descriptors")),
        ),
    )


def published_weights(method: SequenceEncoderOptions, name: str, encoder: SequenceEncoder) -> WeightsRecord:
    """Give an encoder the published weights that its options name.

    Raises:
        UserError: they cannot be read, do not fit, or are not all of the method's.
    """
    path = Path(method.weights_file)
    if left := method.load_weights(encoder):
        raise UserError(
            f"{path} holds no trained {name}: {len(left)} of its tensors are missing (first: {left[0]}); train from it"
        )
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return WeightsRecord(full_path(str(path)), sha256(path), 0, "unknown", parameters, {"pooling": name})


def check_version(method: SequenceEncoderOptions, name: str, flags: Mapping[str, Any], source: str) -> None:
    """Raise :class:`UserError` where the weights of a run with such flags fit the method and mean something else."""
    if method.is_earlier(flags):
        raise UserError(
            f"{source} does not fit this encoder: its weights are of an earlier {name} that joined the frames of a "
            "window otherwise; train anew what an earlier version trained"
        )


def check_dims(state: dict[str, Any], in_dims: int, source: str, dataset: str) -> None:
    """Raise :class:`UserError` where a checkpoint says that it was trained on descriptors of another dimension."""
    trained = state.get("in_dims", in_dims)
    if trained != in_dims:
        raise UserError(
            f"{source} was trained on {trained}-D descriptors and {dataset} has {in_dims}-D ones; extract them with "
            "the same image encoder, or train on these"
        )


@dataclass(frozen=True)
class TrainedEncoder:
    """A trained sequence encoder at work.

    Attributes:
        encoder: in evaluation mode; windows (B, L, *F) to unit rows (B, O).
        method: its name in ``SEQUENCE_ENCODERS``.
        options: of the method.
        sequence_length: L that it was trained with.
        weights: where they come from.
        begin: what the running mean of a drive's frames begins from, as in training; None: it was trained without.
    """

    encoder: SequenceEncoder
    method: str
    options: SequenceEncoderOptions
    sequence_length: int
    weights: WeightsRecord
    begin: Statistics | None = None

    def encode(
        self, frames: np.ndarray | Tensor, length: int = 0, *, adapt: str = "", is_map: bool = False
    ) -> np.ndarray:
        """The sequence descriptor of every frame of one drive.

        Args:
            frames: (N, *F) frames in the order driven, one sequence: descriptors (N, D), or prepared images.
            length: frames per window; 0: :attr:`sequence_length`. Windows are centred on their frame or end at it,
                as in training (``opticornet.datasets.windows``).
            adapt: how descriptors are centred first: "none", "running" (by the mean of the frames so far, begun from
                that of the training queries) or "traverse" (of all ``frames``: it looks ahead); "": as in training.
            is_map: these are the frames to be found among: where any are adapted, they are by all of them.

        Returns:
            (N, O) float32 unit rows.

        Raises:
            UserError: fewer frames than a window has, or windows too short for the encoder; an ``adapt`` that is none,
                or is not for this run.
            ValueError: frames of another shape.
        """
        length = length or self.sequence_length
        if not self.encoder.min_length <= length <= len(frames):
            raise UserError(
                f"{len(frames)} frames in windows of {length}: wanted windows of at least {self.encoder.min_length} "
                "frames, and as many frames as one has"
            )
        rows = np.arange(len(frames))
        bounds = np.tile([0, len(frames)], (len(frames), 1))
        rule: WindowRule = "trailing" if self.weights.flags.get("windows") == "trailing" else "centred"
        starts = torch.from_numpy(window_starts(rows, bounds, length, rule))
        device = next(self.encoder.parameters()).device
        with torch.inference_mode():
            frames = self.adapted(frames, adapt, is_map)
            tensor = as_tensor(np.ascontiguousarray(frames)) if isinstance(frames, np.ndarray) else frames
            encoded = self.encoder.encode_traverse(tensor.to(device, torch.float32), starts.to(device), length)
        return encoded.float().cpu().numpy()

    def adapted(self, frames: np.ndarray | Tensor, adapt: str = "", is_map: bool = False) -> np.ndarray | Tensor:
        """Frames (N, D) of one drive as :meth:`encode` adapts them; of the same frames one at a time
        ``opticornet.datasets.adapting.rows.RunningMean(begin)`` gives the same numbers.

        Raises:
            UserError: as :meth:`encode`.
        """
        takes_images, flags = self.encoder.takes == "images", self.weights.flags
        by = adapt or ("none" if takes_images else str(flags.get("adapt", "none")))
        if by not in ("none", "running", "traverse"):
            raise UserError(f"`adapt` {adapt}: choose one of none, running, traverse")
        if by == "none":
            return frames
        if takes_images:
            raise UserError(f"`adapt` {adapt}: {self.method} takes images, and only descriptors are adapted")
        rows = frames.cpu().numpy() if isinstance(frames, Tensor) else frames
        enters = np.ones(len(rows), bool)
        if by == "traverse" or is_map:
            drive: DriveRows = ByOwnMean(statistics_of(rows, enters, bool(flags.get("adaptScale", False))))
        elif self.begin is not None:
            drive = ByRunningMean(rows, enters, self.begin)
        else:
            raise UserError(
                f"`adapt` running: {self.weights.path} was trained without, so no mean is known to begin from; choose "
                "none or traverse"
            )
        return np.asarray(AdaptedRows(rows, [0], [drive]))


def load_run(run: Path, *, checkpoint: str = "best", save_path: str = SAVE_PATH) -> TrainedEncoder:
    """The sequence encoder that a run trained, ours or seqNet's.

    Args:
        run: run folder.
        checkpoint: "best" or "latest".
        save_path: folder of the checkpoints inside it.

    Raises:
        UserError: no checkpoint, a method that is not known here or learns from images alone, or weights that do not
            fit it.
    """
    if checkpoint not in ("best", "latest"):
        raise UserError(f"`checkpoint` {checkpoint}: choose one of best, latest")
    flags = read_sequence_flags(run, save_path)
    method = str(flags.get("pooling"))
    kind = entry(SEQUENCE_ENCODERS, method)
    options, length = from_flags(kind, flags), flags.get("seqL", 0)
    if type(length) is not int:
        raise UserError(f"{run} holds seqL {length!r}: wanted a whole number; its flags were changed")
    state = load_checkpoint(run / save_path / (BEST if checkpoint == "best" else LATEST), mapped=True)
    in_dims = state.get("in_dims")
    if in_dims is None:  # seqNet does not write it
        in_dims = options.frame_dims(state["state_dict"])
    loaded = load_encoder(options, method, in_dims, length, run=run, save_path=save_path, checkpoint=checkpoint)
    assert loaded.weights is not None
    begin = Statistics.restored(state.get("adaptation"), loaded.weights.path)
    return TrainedEncoder(loaded.encoder, method, options, length, loaded.weights, begin)
