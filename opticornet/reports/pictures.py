"""Pictures for the page as data: URIs, and the frames' thumbnails and descriptor strips within a budget of bytes."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, UnidentifiedImageError

from opticornet.reports.matrix import SimilarityMatrix, contrast, to_bytes
from opticornet.reports.results import Answers, Side
from opticornet.utils.mapped import RowMatrix

THUMBNAIL_WIDTH = 192
STRIP_DIMS = 64
_LEVELS = 64
_SHOWN = 5  # frames of a window that are shown


def matrix_picture(matrix: SimilarityMatrix) -> str:
    """A similarity matrix as a coloured PNG."""
    values = to_bytes(matrix.values, *contrast(matrix.values), levels=_LEVELS)
    image = Image.fromarray(values, mode="P")
    colours = matplotlib.colormaps["magma"](np.linspace(0, 1, _LEVELS))[:, :3]
    image.putpalette((255 * colours).round().astype(np.uint8).tobytes())
    return _uri(image, "PNG", optimize=True)


def thumbnail(path: Path) -> str:
    """An image file as a small JPEG.

    Raises:
        OSError: missing or unreadable.
    """
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
            small.thumbnail((THUMBNAIL_WIDTH, 4 * THUMBNAIL_WIDTH))
            return _uri(small, "JPEG", quality=72, optimize=True)
    except (UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise OSError(str(error)) from error


def _uri(image: Image.Image, kind: str, **settings: object) -> str:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def window_rows(start: int, length: int) -> np.ndarray:
    """Rows of the frames of a window that are shown: all of them, or five spread over it."""
    return start + np.unique(np.linspace(0, length - 1, min(length, _SHOWN)).round().astype(int))


@dataclass
class FramePictures:
    """Pictures of frames, taken in until the budget is spent.

    Attributes:
        budget: bytes of the page that pictures may still take.
        pool: data: URIs of thumbnails.
        images: side to traverse row to index in ``pool``.
        strips: side to traverse row to 64 descriptor dimensions, uint8 as base64.
        missing: paths that could not be read.
        full: the budget was spent before all was in.
    """

    budget: int = 0
    pool: list[str] = field(default_factory=list)
    images: dict[str, dict[int, int]] = field(default_factory=lambda: {"reference": {}, "query": {}})
    strips: dict[str, dict[int, str]] = field(default_factory=lambda: {"reference": {}, "query": {}})
    missing: list[str] = field(default_factory=list)
    full: bool = False

    def add_images(self, answers: Answers, length: int, order: np.ndarray) -> None:
        """Thumbnails of the windows that the queries of ``order`` need, worst query first."""
        paths = {"reference": answers.reference.images_by_row, "query": answers.query.images_by_row}
        for name, row in wanted_frames(answers, length, order):
            if row in self.images[name] or row not in paths[name]:
                continue
            try:
                picture = thumbnail(Path(paths[name][row]))
            except OSError:
                self.missing.append(paths[name][row])
                self.images[name][row] = -1
                continue
            if not self._spend(len(picture)):
                break
            self.images[name][row] = len(self.pool)
            self.pool.append(picture)

    def add_strips(
        self, descriptors: Mapping[str, RowMatrix], answers: Answers, length: int, order: np.ndarray
    ) -> None:
        """Every D/64-th dimension of the frames that the queries of ``order`` need.

        Args:
            descriptors: side to (frames, D) array.
        """
        sample = np.concatenate([d[:: max(1, len(d) // 200)] for d in descriptors.values()]).astype(np.float32)
        dims = np.unique(np.linspace(0, sample.shape[1] - 1, min(STRIP_DIMS, sample.shape[1])).astype(int))
        centre = sample[:, dims].mean(axis=0)
        scale = float(np.quantile(np.abs(sample[:, dims] - centre), 0.99)) or 1.0
        for name, row in wanted_frames(answers, length, order):
            if row in self.strips[name] or row >= len(descriptors[name]):
                continue
            if not self._spend(4 * len(dims) // 3 + 12):
                break
            values = descriptors[name][row][dims].astype(np.float32) - centre
            levels = np.clip(np.round(127.5 + 127.5 * values / scale), 0, 255).astype(np.uint8)
            self.strips[name][row] = base64.b64encode(levels.tobytes()).decode()

    def _spend(self, size: int) -> bool:
        if size > self.budget:
            self.full = True
            return False
        self.budget -= size
        return True


def wanted_frames(answers: Answers, length: int, order: np.ndarray) -> Iterable[tuple[str, int]]:
    """(side, row) of the frames to show: of each query's window, the first matches', the true place's."""
    for i in order:
        yield from (("query", int(row)) for row in window_rows(answers.query.starts[i], length))
        for place in (answers.predictions[i, 0], answers.nearest[i]):
            if place >= 0:
                rows = window_rows(answers.reference.starts[place], length)
                yield from (("reference", int(row)) for row in rows)


def has_images(*sides: Side) -> bool:
    """Whether both sides name image files."""
    return all(side.images is not None for side in sides)


def order_of_interest(answers: Answers) -> np.ndarray:
    """(M,) queries, worst first: wrong ones by how far off, then close ones, right ones, those without a positive."""
    rank = np.array([3, 1, 0, 4])[answers.outcome]  # right, close, wrong, no positive
    off = np.where(np.isfinite(answers.errors[:, 0]), answers.errors[:, 0], np.finfo(np.float64).max)
    return np.lexsort((-off, rank))
