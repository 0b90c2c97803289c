"""Projection of descriptors on their principal components, with or without whitening."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from opticornet.utils.array_files import read_npz
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.files import atomic_path
from opticornet.utils.mapped import RowMatrix

IN_MEMORY_BYTES = 4 << 30  # above this, the fit goes through the rows in blocks
FORMAT = "pca-1"


@dataclass(frozen=True)
class Projection:
    """x -> (x - mean) @ components.T, then unit length.

    Attributes:
        mean: float32 (D,).
        components: float32 (P, D), orthonormal rows; each divided by the deviation along it where whitening.
        whiten: whether it was.
        fitted_on: what it was fitted on, in words or as a digest.
    """

    mean: np.ndarray
    components: np.ndarray
    whiten: bool
    fitted_on: str

    def save(self, path: Path) -> None:
        """Write as ``.npz``, without pickles, atomically."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                format=FORMAT,
                mean=self.mean,
                components=self.components,
                whiten=self.whiten,
                fitted_on=self.fitted_on,
            )

    @classmethod
    def load(cls, path: Path) -> "Projection":
        """Read what :meth:`save` wrote.

        Raises:
            UserError: missing, or not a projection.
        """
        if not path.is_file():
            raise UserError(f"no projection at {path}: fit one with `pca` and `pca_from`")
        try:
            stored = read_npz(path, ("format", "mean", "components", "whiten", "fitted_on"))
            if str(stored["format"]) != FORMAT:
                raise ValueError(f"format {stored['format']}")
            mean, components = stored["mean"], stored["components"]
            projection = cls(mean, components, bool(stored["whiten"]), str(stored["fitted_on"]))
        except (ValueError, UserError) as error:
            raise UserError(f"{path} is not a projection written by `pca`: {error}") from error
        if components.ndim != 2 or mean.shape != components.shape[1:] or not np.isfinite(components).all():
            raise UserError(f"{path} is damaged: mean {mean.shape}, components {components.shape}")
        return projection


class Projector:
    """A projection ready to apply to batches on a device."""

    def __init__(self, projection: Projection, device: torch.device) -> None:
        self.mean = torch.from_numpy(projection.mean).to(device)
        self.components = torch.from_numpy(projection.components).to(device)
        self.out_dims = len(projection.components)

    def __call__(self, descriptors: Tensor) -> Tensor:
        """float32 (B, D) -> (B, P), unit rows."""
        return functional.normalize((descriptors - self.mean) @ self.components.T, dim=1)


def fit_projection(
    descriptors: RowMatrix, dims: int, *, whiten: bool, fitted_on: str, memory_bytes: int = IN_MEMORY_BYTES
) -> Projection:
    """Principal components of rows, by scikit-learn; in blocks (incremental PCA) where they exceed ``memory_bytes``.

    Args:
        descriptors: float16 or float32 (N, D), may be memory-mapped.
        dims: how many components, at most min(N, D).

    Raises:
        UserError: too few rows or dimensions for that many components, or values that are not finite.
    """
    with needs_extra("images"):
        from sklearn.decomposition import PCA, IncrementalPCA
        from sklearn.utils import gen_batches

    rows, width = descriptors.shape
    check_dims(dims, rows, width)
    if rows * width * 4 <= memory_bytes:
        model = PCA(dims, random_state=0).fit(_finite_float32(descriptors))
    else:
        model = IncrementalPCA(dims)
        block = max(dims, memory_bytes // (width * 4 * 4))  # a block, its copy and its decomposition together
        for batch in gen_batches(rows, block, min_batch_size=dims):
            model.partial_fit(_finite_float32(descriptors[batch]))
    components = model.components_
    if whiten:
        deviation = np.sqrt(model.explained_variance_)
        floor = deviation.max() * 1e-6  # directions without spread hold only rounding
        components = components / np.maximum(deviation, floor)[:, None]
    return Projection(
        np.ascontiguousarray(model.mean_, np.float32), np.ascontiguousarray(components, np.float32), whiten, fitted_on
    )


def check_dims(dims: int, rows: int, width: int) -> None:
    """Refuse more components than ``rows`` descriptors of ``width`` dimensions have."""
    if not 0 < dims <= min(rows, width):
        raise UserError(
            f"`pca` {dims}: the descriptors to fit on are {rows} rows of {width} dimensions; "
            f"wanted 1 to {min(rows, width)}"
        )


def _finite_float32(rows: RowMatrix) -> np.ndarray:
    block = np.asarray(rows, np.float32)
    if not np.isfinite(block).all():
        raise UserError("the descriptors to fit a projection on hold NaN or infinity: extract them again")
    return block
