"""What every image encoder is, how an image is prepared for it, and how weights get into it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.utils.checkpoints import load_plain, refused_name
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.options import Choice, option

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImagePreparation(Protocol):
    """From a decoded image to what an encoder takes: uint8 (H, W, 3) RGB, or (H, W) luma if ``grey`` -> float32.

    A dataclass that can be pickled; a record of descriptors keeps its fields.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def grey(self) -> bool: ...

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Preprocess:
    """From a decoded image, uint8 (H, W, 3) RGB, to what the network takes, float32 (3, H', W').

    It is a plain callable that can be pickled: the decoding workers call it, so the main process never touches
    a pixel. With ``antialias`` the image is resized as Pillow does (the filter widens when it shrinks, result
    rounded to 8 bits); without, as a tensor is resized by ``interpolate(antialias=False)``: two taps per side,
    whatever the scale. Published evaluations differ in this, which changes recall, so each encoder states its own.

    Attributes:
        size: (height, width) in pixels, or None to keep the image's own.
        mean, std: of each channel, on the scale where white is 1.
    """

    size: tuple[int, int] | None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    grey: ClassVar[bool] = False  # it takes colours

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.normalised(self.resized(image))

    def resized(self, image: np.ndarray) -> np.ndarray:
        """The first step: (H', W', 3) on the scale 0 to 255, uint8 with ``antialias`` or where the size is right."""
        if self.size is None or self.size == image.shape[:2]:
            return image
        return resize(image, self.size, self.interpolation, self.antialias)

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """The second step: (H', W', 3) to float32 (3, H', W')."""
        mean = np.asarray(self.mean, np.float32)
        std = np.asarray(self.std, np.float32)
        planes = image.transpose(2, 0, 1)  # (3, H', W')
        out = np.empty(planes.shape, np.float32)
        np.multiply(planes, (1 / (255 * std))[:, None, None], out=out)
        out -= (mean / std)[:, None, None]
        return out


def resize(image: np.ndarray, size: tuple[int, int], interpolation: str, antialias: bool) -> np.ndarray:
    """Resize uint8 (H, W, 3) to ``size`` = (H', W'); see :class:`Preprocess` for what the choices mean.

    Returns:
        On the scale 0 to 255: uint8 with ``antialias``, float32 without.
    """
    if antialias:  # on 8 bits PyTorch follows Pillow, and is several times faster
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, H, W)
        resized = functional.interpolate(planes, size, mode=interpolation, antialias=True)
        return resized[0].permute(1, 2, 0).numpy()
    with needs_extra("images"):
        import cv2

    method = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[interpolation]
    return cv2.resize(image.astype(np.float32), size[::-1], interpolation=method)


def box_resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 (H, W) to ``size`` = (H', W'): each new pixel is the mean of those whose centres it covers."""
    with needs_extra("images"):
        from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))


@dataclass(frozen=True)
class WeightsRecord:
    """Where an encoder's weights come from, for every record of what it computed.

    Attributes:
        kind: ``none`` (it has no weights), ``random`` (they were never trained), ``file``, ``hub`` or ``run``.
        name: the file's name, the hub entry, the run's folder, or the seed of random weights.
        sha256: of the file or the run's checkpoint; of all tensors in order of their names where a hub gave the
            weights; else None.
    """

    kind: Literal["none", "random", "file", "hub", "run"]
    name: str = ""
    sha256: str | None = None


class ImageEncoder(nn.Module):
    """An image encoder turns a batch of prepared images into one descriptor each.

    ``forward``: float32 (B, C, H, W), as :attr:`preprocess` made them and stacked -> float32 (B, ``out_dims``),
    rows of unit Euclidean length. Row i depends on image i alone: how images are batched never matters.
    Encoders without a network (``thumbnail``, ``hog``) do their work inside ``preprocess``, where it runs in the
    decoding workers; their ``forward`` takes the (B, ``out_dims``) it made.

    Attributes:
        out_dims: length of a descriptor.
        preprocess: turns an image into what ``forward`` takes; run in the decoding workers.
        local_shape: (rows, channels) of the local features of an image where the encoder has them, else None.
        context: how many consecutive images of a batch see one another; None: all of it.
        weights: where its weights come from; set by ``build_image_encoder``.
    """

    out_dims: int
    preprocess: ImagePreparation
    local_shape: tuple[int, int] | None = None
    context: int | None = 1
    weights: WeightsRecord

    def forward(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def load(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Take the weights of a published checkpoint; an encoder whose layout differs from it translates here.

        Raises:
            UserError: they do not fit; see :func:`load_state`.
        """
        load_state(self, state, source)

    def forward_with_local(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors as ``forward``, and local features (B, rows, channels), unused rows zero: of images as
        ``preprocess`` makes them (B, ``*local_shape``).

        Only where ``local_shape`` is set.
        """
        raise NotImplementedError

    def local_by_reliability(self, images: Tensor, features: int) -> tuple[Tensor, Tensor]:
        """As :meth:`forward_with_local`, with only the ``features`` most reliable rows, the most reliable first.

        Local features (B, features, channels): the first N of them are what N ``features`` give.
        """
        raise NotImplementedError


class PrecomputedEncoder(ImageEncoder):
    """An encoder whose ``preprocess`` already makes the descriptor; only the length is set here.

    Args:
        preprocess: uint8 (H, W, 3), or (H, W) if ``grey`` -> float32 (``out_dims``,).
        out_dims: length of what it returns.
    """

    def __init__(self, preprocess: ImagePreparation, out_dims: int) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.out_dims = out_dims

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(images, dim=1)  # (B, D)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint without running any code from it.

    The state dict may be the whole file or sit under ``state_dict``, ``model_state_dict`` or ``model``; a prefix
    ``module.`` (DataParallel) is removed.

    Raises:
        UserError: the file is missing, is not a checkpoint, or holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weights at {path}: wanted an existing checkpoint file")
    try:
        content = load_plain(path)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError or KeyError, as the damage goes
        refused = refused_name(error)
        what = f"it holds {refused}" if refused else "it is damaged or of another format"
        raise UserError(
            f"{path} is not a checkpoint of tensors and plain values: {what}; fetch it again, or save its "
            "state dict alone"
        ) from error
    return find_state_dict(content, str(path))


def find_state_dict(content: object, source: str) -> dict[str, Tensor]:
    """The tensors by name in what a checkpoint holds: see :func:`read_state_dict`. ``source`` names it in the error.

    Raises:
        UserError: there is no state dict in it.
    """
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {}
    if isinstance(content, Mapping):
        tensors = {
            str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)
        }
    if not tensors:
        raise UserError(
            f"{source} holds no state dict: wanted one at its top or under state_dict, model_state_dict or model"
        )
    return tensors


def load_state(model: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load ``state`` strictly: every key, every shape. ``source`` names it in the error.

    A model without values of its own (``opticornet.utils.checkpoints.build_empty``) takes the tensors themselves.

    Raises:
        UserError: names the first missing, unexpected and mismatching keys.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    mismatching = [
        f"{key} is {tuple(state[key].shape)}, wanted {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [
        f"{len(keys)} {kind} (first: {'; '.join(keys[:3])})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("mismatching", mismatching))
        if keys
    ]
    if problems:
        raise UserError(f"{source} does not fit this encoder: {', '.join(problems)}")
    tensors = {key: state[key].to(value.dtype) for key, value in own.items()}
    model.load_state_dict(tensors, assign=any(value.is_meta for value in own.values()))


@dataclass(frozen=True)
class Published:
    """A checkpoint that an encoder's authors publish: its file name, their project, the page that links it."""

    file: str
    project: str
    page: str


@dataclass(frozen=True, kw_only=True)
class ImageEncoderOptions(Choice, ABC):
    """The options of an image encoder: the entry of an encoder in ``IMAGE_ENCODERS``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.

    Attributes:
        published: the weights its authors publish; None where there are none.
        terms: names of the loss terms that it is trained by, as published; none where it cannot be trained. Where there
            are some, :meth:`build` gives a :class:`opticornet.models.images.trainable.TrainableImageEncoder`.
        trained_blocks: blocks of the backbone that learn, as published.
        backbone: the weights of its backbone that training starts from; None where those are ``published``.
    """

    published: ClassVar[Published | None] = None
    terms: ClassVar[tuple[str, ...]] = ()
    trained_blocks: ClassVar[int] = 0
    backbone: ClassVar[Published | None] = None

    @classmethod
    def has_weights(cls) -> bool:
        """Whether it is a network: one whose weights are published, or that is trained here."""
        return cls.published is not None or bool(cls.terms)

    @abstractmethod
    def build(self) -> ImageEncoder:
        """The encoder, its weights random.

        Raises:
            ValueError: an image size that it cannot take.
        """

    def fetch(self) -> Path | None:
        """The path of weights that a library brings itself, fetched where need be; None where none does."""
        return None


@dataclass(frozen=True, kw_only=True)
class ResizingOptions(ImageEncoderOptions):
    """What encoders share that take images of several sizes."""

    keeps_size: ClassVar[bool] = True  # whether images may keep their own size
    image_size: tuple[int, ...] = option(
        "--imageSize",
        (),
        "height and width in pixels to resize to; 0 0: keep the images' own; default: as the encoder's published "
        "evaluation",
    )

    def __post_init__(self) -> None:
        size = self.image_size
        if size and size != (0, 0) and (len(size) != 2 or min(size) < 1):
            raise UserError(f"`image_size` {' '.join(map(str, size))}: wanted height and width in pixels, or 0 0")
        if size == (0, 0) and not self.keeps_size:
            raise UserError("`image_size` 0 0: this encoder has to resize images; give a height and a width")

    def resizing(self) -> dict[str, Any]:
        """The builder's argument: nothing for its default, None for images as they are."""
        if not self.image_size:
            return {}
        return {"image_size": None if self.image_size == (0, 0) else self.image_size}
