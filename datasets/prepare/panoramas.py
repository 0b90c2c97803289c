"""Drives of panoramas as drives of their views, which lie as image files below the dataset folder.

As in Pittsburgh 250k and Tokyo 24/7, each view is a frame at its panorama's position. The views in one direction are a
sequence: a panorama drive in two sequences and 8 directions becomes 16.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from opticornet.datasets.images.decoding import BadImageError
from opticornet.datasets.images.panorama import Cut, cut_views, is_panorama
from opticornet.datasets.images.recordings import read_image
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedSplit, PreparedTraverse
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.files import atomic_path

QUALITY = 95  # of the JPEG files


def cut_panoramas(prepared: Prepared, folder: Path, cut: Cut) -> Prepared:
    """Write the views of every traverse whose images are twice as wide as high, and take them in its place.

    Views that are there and newer than their panorama are kept.

    Args:
        folder: the dataset folder; views go to ``views/<traverse>-<views>-<field>-<pitch>/``.

    Raises:
        UserError: no traverse holds panoramas; an image of one that does is none, or cannot be decoded; what is correct
            is not said by a radius.
    """
    cuts = {t.name: _cut(t, folder, cut) for t in prepared.traverses if _holds_panoramas(t)}
    if not cuts:
        raise UserError(
            "`cut` changes nothing here: no drive has panoramas, which are twice as wide as high (equirectangular)"
        )
    counts = {traverse.name: len(traverse) for traverse in prepared.traverses}

    def rows_of(one: DriveRows) -> DriveRows:
        starts = np.arange(cut.views)[:, None] * counts[one.drive]
        return replace(one, rows=(starts + one.rows).ravel()) if one.drive in cuts else one

    def of_views(split: PreparedSplit) -> PreparedSplit:
        if split.positives is not None:
            raise UserError(
                f"`cut`: the {split.name} split lists its correct references; only radii hold for views too"
            )
        reference, query = (tuple(map(rows_of, side)) for side in (split.reference, split.query))
        return replace(split, reference=reference, query=query)

    return replace(
        prepared,
        traverses=tuple(cuts.get(traverse.name, traverse) for traverse in prepared.traverses),
        splits=tuple(map(of_views, prepared.splits)),
        notes=(*prepared.notes, *(f"{name}: each panorama is {cut.views} frames, one per direction" for name in cuts)),
    )


def _holds_panoramas(traverse: PreparedTraverse) -> bool:
    return is_panorama(*_decoded(traverse.images[0]).shape[:2])


def _cut(traverse: PreparedTraverse, folder: Path, cut: Cut) -> PreparedTraverse:
    """The traverse of all views: those in the first direction, in order, then those in the second, and so on."""
    place = Path(os.path.abspath(folder), "views", f"{traverse.name}-{cut.views}-{cut.field:g}-{cut.pitch:g}")
    directions = [f"{yaw:05.1f}" for yaw in cut.yaws]
    paths = [[place / direction / f"{name}.jpg" for direction in directions] for name in traverse.names]
    for image, views in zip(traverse.images, paths, strict=True):
        if not all(_is_newer(view, Path(image)) for view in views):
            _write_views(image, views, cut)
    sequences = traverse.sequence_numbers()
    return replace(
        traverse,
        images=tuple(str(views[k]) for k in range(cut.views) for views in paths),
        names=tuple(f"{direction}/{name}" for direction in directions for name in traverse.names),
        positions={column: np.tile(values, cut.views) for column, values in traverse.positions.items()},
        sequences=np.concatenate([sequences + k * (sequences[-1] + 1) for k in range(cut.views)]),
        timestamps=None if traverse.timestamps is None else np.tile(traverse.timestamps, cut.views),
        flags={column: np.tile(values, cut.views) for column, values in traverse.flags.items()},
    )


def _is_newer(view: Path, image: Path) -> bool:
    return view.is_file() and image.is_file() and view.stat().st_mtime_ns >= image.stat().st_mtime_ns


def _write_views(image: str, paths: list[Path], cut: Cut) -> None:
    with needs_extra("images"):
        from PIL import Image

    try:
        views = cut_views(_decoded(image), cut)
    except UserError as error:
        raise UserError(f"cannot cut the image {image}: {error}") from error
    for path, view in zip(paths, views, strict=True):
        with atomic_path(path) as temporary:
            Image.fromarray(view).save(temporary, format="JPEG", quality=QUALITY)


def _decoded(image: str) -> np.ndarray:
    try:
        return read_image(Path(image))
    except BadImageError as error:
        raise UserError(f"cannot decode the image {image}: {error}; repair it, or take it out of the source") from error
