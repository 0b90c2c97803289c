"""The contract of every sequence encoder."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from opticornet.models.sequences.parts import Part, Parts, modules_of, weights_of
from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.utils.options import Choice

IMAGES_AT_ONCE = 64  # that an encoder of images is given in one batch while a traverse is encoded


@dataclass(frozen=True, kw_only=True)
class SequenceEncoderOptions(Choice, ABC):
    """The options of a sequence encoder: the entry of a method in ``SEQUENCE_ENCODERS``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.
    """

    has_weights: ClassVar[bool] = True  # to be learned
    takes: ClassVar[Literal["descriptors", "images"]] = "descriptors"  # which frames of a traverse
    multiplies: ClassVar[bool] = True  # whether there are matrix products, which bfloat16 would change
    sees_order: ClassVar[bool] = True  # whether a window driven the other way may be described otherwise

    @abstractmethod
    def build(self, in_dims: int, length: int) -> "SequenceEncoder":
        """A freshly initialised encoder.

        Args:
            in_dims: D, of a frame descriptor.
            length: L, frames per window, for methods whose weights depend on it.
        """

    def frame_dims(self, state: Mapping[str, Tensor]) -> int:
        """D, read from a state dict whose checkpoint does not record it, as other projects' do not.

        Raises:
            ValueError: the state dict is no such method's.
        """
        raise ValueError("the checkpoint does not record for how many dimensions it was trained")

    def weight_count(self, in_dims: int, length: int) -> int:
        """About how many numbers :meth:`build` has to hold, where that may be too many; else 0."""
        return 0

    def decided(self, in_dims: int, length: int) -> Self:
        """These options with what they leave to D and to the L of training in numbers, as a run records them: weights
        are then the same size in windows of any length."""
        return self

    def is_earlier(self, flags: Mapping[str, Any]) -> bool:
        """Whether the weights of a run with such flags look like today's and are of an earlier version of the method,
        in which they mean something else."""
        return False

    @property
    def encodes_frame_by_frame(self) -> bool:
        """Whether windows of any length, of a single frame too, are encoded by the weights of a run of any other
        length, frames side by side in order."""
        return False

    @property
    def starts_from_data(self) -> bool:
        """Whether training begins with :meth:`SequenceEncoder.initialise`, or, of images,
        :meth:`ImageSequenceEncoder.start_from_images`."""
        return False

    @property
    def weights_file(self) -> str:
        """A file of published weights, of no run of ours, that these options name; empty: none."""
        return ""

    @property
    def started_from(self) -> str:
        """What weights are before training, in words, where records of what was trained should say it; else empty."""
        return ""

    def load_weights(self, encoder: "SequenceEncoder") -> tuple[str, ...]:
        """Give a fresh encoder of these options the weights of :attr:`weights_file`.

        Returns:
            the names of those that the file does not have, which stay random.

        Raises:
            UserError: it cannot be read, or does not fit.
        """
        raise NotImplementedError


class SequenceEncoder(nn.Module, ABC):
    """Turns a window of frames into one vector: of frame descriptors, or, a :class:`ImageSequenceEncoder`, of images.

    A subclass implements :meth:`forward`. Where consecutive windows share work it also overrides
    :meth:`encode_traverse`, which must agree with :meth:`forward` up to rounding.

    Attributes:
        takes: which frames of a traverse the encoder takes; the shape of one, (D,) or (3, H, W), is F below.
        in_dims: D, dimensions of a frame descriptor; 0 where it takes images.
        out_dims: O, dimensions of the encoding. Where it depends on the window, see :meth:`encoding_dims`.
        min_length: the shortest window the encoder takes.
    """

    takes: ClassVar[Literal["descriptors", "images"]] = "descriptors"

    def __init__(self, in_dims: int, out_dims: int, min_length: int = 1) -> None:
        super().__init__()
        if min(out_dims, min_length) < 1 or (self.takes == "descriptors") != (in_dims > 0):
            raise ValueError(f"dimensions and lengths must be positive: {in_dims}, {out_dims}, {min_length}")
        self.in_dims, self.out_dims, self.min_length = in_dims, out_dims, min_length

    @property
    def frame_shape(self) -> tuple[int | str, ...]:
        """F, a letter for each size that may be any."""
        return (self.in_dims,)

    def encoding_dims(self, length: int) -> int:
        """O for windows of ``length`` frames."""
        return self.out_dims

    @abstractmethod
    def forward(self, windows: Tensor) -> Tensor:
        """Encode windows (B, L, *F) as unit rows (B, O).

        Raises:
            ValueError: the windows have another shape, or fewer than ``min_length`` frames.
        """

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        """Encode the windows ``[start, start + length)`` of consecutive frames.

        Args:
            frames: (N, *F).
            starts: (M,) int64, each in ``[0, N - length]``.
            length: frames per window, L.

        Returns:
            (M, O) unit rows, as :meth:`forward` gives for each window.
        """
        check_traverse(self, frames, length)
        return self(frames[starts[:, None] + torch.arange(length, device=starts.device)])

    def initialise(self, pairs: PlacePairs) -> None:
        """Prepare the weights, before training, from training frames of the same places.

        Not called where the encoder takes images.

        Raises:
            ValueError: they cannot be worked out from these.
        """

    def check(self, windows: Tensor) -> None:
        """Raise :class:`ValueError` unless windows are (B, L, *F) with L at least ``min_length``."""
        if not _shape_matches(windows.shape[2:], self.frame_shape) or windows.shape[1] < self.min_length:
            raise ValueError(
                f"windows of shape {tuple(windows.shape)}; wanted (B, L, {_shape_in_words(self.frame_shape)}) with "
                f"L >= {self.min_length}"
            )


class Preprocess(Protocol):
    """What turns a decoded image into a frame: uint8 (H, W, 3) RGB, or (H, W) luma if ``grey`` -> float32 (3, H', W').

    It is called from several threads. The image encoders' (``models/images/base.py``) is one.
    """

    @property
    def grey(self) -> bool: ...

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


class ImageSequenceEncoder(SequenceEncoder):
    """Turns a window of images into one vector: a :class:`SequenceEncoder` whose frames are (3, H, W) float32.

    It works in two steps, so that what depends on one frame alone is done once per frame and not once per window:
    :meth:`describe_frames`, then :meth:`join`, which a subclass implements. A frame as the first step describes it has
    the shape G below: (3, H, W) where a subclass leaves that step as it is.

    Attributes:
        preprocess: what turns a decoded image into a frame.
        describes_frames: whether :meth:`describe_frames` does any work, so that its results are worth keeping.
        frozen: modules that :meth:`freeze` left as they are.
    """

    takes: ClassVar[Literal["descriptors", "images"]] = "images"
    preprocess: Preprocess
    describes_frames: bool = False
    frozen: tuple[nn.Module, ...] = ()

    def __init__(self, preprocess: Preprocess, out_dims: int, min_length: int = 1) -> None:
        super().__init__(0, out_dims, min_length)
        self.preprocess = preprocess

    @property
    def parts(self) -> Parts:
        """What may be left as it is in training; by default nothing is known of it."""
        return Parts()

    def start_from_images(self, images: Iterable[Tensor], generator: torch.Generator) -> None:
        """Prepare the weights, before training, from a random sample of training frames, where the options'
        ``starts_from_data`` says so.

        Args:
            images: batches (N, 3, H, W) of prepared frames, on the encoder's device.
            generator: draws what is random.

        Raises:
            ValueError: they cannot be worked out from these.
        """

    def freeze(self, parts: Iterable[Part]) -> None:
        """Leave parts as they are in training: their weights get no gradient, and nothing in them is random."""
        parts = tuple(parts)
        for weights in weights_of(parts):
            weights.requires_grad_(False)
        self.frozen += modules_of(parts)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    @property
    def frame_shape(self) -> tuple[int | str, ...]:
        """(3, H, W) of any size; a subclass whose weights take one size only overrides this."""
        return (3, "H", "W")

    def describe_frames(self, frames: Tensor) -> Tensor:
        """What :meth:`join` takes of each frame, whatever window it is in: (N, 3, H, W) to (N, *G); here the frames."""
        return frames

    @abstractmethod
    def join(self, described: Tensor) -> Tensor:
        """Unit rows (B, O) of windows of described frames (B, L, *G)."""

    def forward(self, windows: Tensor) -> Tensor:
        """As in :class:`SequenceEncoder`: the frames of (B, L, 3, H, W) described, then joined."""
        self.check(windows)
        described = self.describe_frames(windows.flatten(0, 1))  # (B L, *G)
        return self.join(described.unflatten(0, windows.shape[:2]))

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        """As in :class:`SequenceEncoder`: each frame described once, about :data:`IMAGES_AT_ONCE` frames in a batch."""
        check_traverse(self, frames, length)
        if self.describes_frames:
            frames = torch.cat([self.describe_frames(part) for part in frames.split(IMAGES_AT_ONCE)])
        return self.join_traverse(frames, starts, length)

    def join_traverse(self, described: Tensor, starts: Tensor, length: int) -> Tensor:
        """The windows ``[start, start + length)`` of described frames (N, *G), about :data:`IMAGES_AT_ONCE` frames in a
        batch: (M,) int64 to (M, O) unit rows."""
        steps = torch.arange(length, device=starts.device)
        parts = starts.split(max(1, IMAGES_AT_ONCE // length))
        return torch.cat([self.join(described[part[:, None] + steps]) for part in parts])


def check_traverse(encoder: SequenceEncoder, frames: Tensor, length: int) -> None:
    """Raise :class:`ValueError` unless frames are (N, *F) and windows of ``length`` fit both them and the encoder."""
    if not _shape_matches(frames.shape[1:], encoder.frame_shape) or not encoder.min_length <= length <= len(frames):
        raise ValueError(
            f"frames of shape {tuple(frames.shape)} in windows of {length}; wanted "
            f"(N, {_shape_in_words(encoder.frame_shape)}) with {encoder.min_length} <= L <= N"
        )


def _shape_matches(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    sizes = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(isinstance(want, str) or size == want for size, want in sizes)


def _shape_in_words(shape: tuple[int | str, ...]) -> str:
    return ", ".join(map(str, shape))


def moving_mean(rows: Tensor, length: int) -> Tensor:
    """Mean of every ``length`` consecutive rows, (..., N, D) -> (..., N - length + 1, D).

    Adds shifted copies rather than subtracting cumulative sums, whose rounding would grow with N.
    """
    count = rows.shape[-2] - length + 1
    total = rows.narrow(-2, 0, count).clone()
    for shift in range(1, length):
        total += rows.narrow(-2, shift, count)
    return total / length
