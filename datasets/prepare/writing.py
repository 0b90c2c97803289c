"""How a prepared dataset becomes a dataset folder."""

import filecmp
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from opticornet.datasets.folder.positives import write_positives
from opticornet.datasets.folder.tables import write_frames
from opticornet.datasets.folder.toml import (
    TOML_NAME,
    FolderEntry,
    PlacesEntry,
    Rows,
    SplitEntry,
    TraverseEntry,
    write_toml,
)
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedPlaces, PreparedTraverse
from opticornet.utils.errors import UserError
from opticornet.utils.files import write_text, writing

Value = TypeVar("Value")


def write_prepared(folder: Path, name: str, prepared: Prepared, overwrite: bool = False) -> tuple[Prepared, bool]:
    """Write ``dataset.toml``, for each traverse the frame table ``T.csv`` and the image list ``T.txt``, and for each
    set of places the table ``NAME-places.csv``.

    Rows of table, list and descriptors (``T.npy``, to be extracted) agree. An image path is relative to the folder
    if it lies in it and absolute otherwise. Where the rows of a split have gaps, its traverses are written as
    traverses of their own (``T-test``), whose sequences end at the gaps. Everything is written aside first, and
    ``dataset.toml`` is put in place last.

    Returns:
        What was written, traverses cut as above, with a note for descriptors of other images that lie there; and
        whether anything had to be written.

    Raises:
        UserError: a file of the folder would change and ``overwrite`` is not given; the folder cannot be written.
    """
    prepared = _on_contiguous_rows(prepared)
    if twice := first_repeated(traverse.name for traverse in prepared.traverses):
        raise UserError(f"two traverses would be called {twice}; rename a folder of images")
    for traverse in prepared.traverses:
        _check_traverse(traverse)
    for places in prepared.places:
        if twice := first_repeated(places.images):
            raise UserError(f"places {places.name}: the image {twice} comes twice; each has one place")
        _check_texts(*places.images, *map(str, places.columns["place"]))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        staging = tempfile.TemporaryDirectory(prefix=".prepare-", dir=folder)
    with staging, writing(folder):
        _write_files(Path(staging.name), folder, name, prepared)
        files = sorted(os.listdir(staging.name), key=lambda file: file == TOML_NAME)
        changed = [file for file in files if not _same_content(Path(staging.name, file), folder / file)]
        existing = [file for file in changed if (folder / file).exists()]
        if existing and not overwrite:
            raise UserError(
                f"{folder / existing[0]} exists and would change: choose another `output`, or give `overwrite` to "
                "replace it"
            )
        stale = tuple(
            f"{folder / name}.npy: {_to_be_extracted(folder / f'{name}.txt', Path(staging.name, f'{name}.txt'))}"
            for name in (traverse.name for traverse in prepared.traverses)
            if f"{name}.txt" in existing and (folder / f"{name}.npy").exists()
        )
        for file in changed:
            os.replace(Path(staging.name, file), folder / file)
    return replace(prepared, notes=prepared.notes + stale), bool(changed)


def _to_be_extracted(before: Path, now: Path) -> str:
    """What the descriptors of a list of images need, which is replaced by another."""
    if now.read_bytes().startswith(before.read_bytes()):
        return "images were added to those that it was extracted from; extract again, which adds theirs"
    return "extracted from other images than it now belongs to; extract with `overwrite`"


def _same_content(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _check_traverse(traverse: PreparedTraverse) -> None:
    """What the file formats cannot hold."""
    if not len(traverse):
        raise UserError(f"traverse {traverse.name}: no frames are left")
    if twice := first_repeated(traverse.names):
        raise UserError(f"traverse {traverse.name}: the frame {twice} comes twice; names tell frames apart")
    _check_texts(*traverse.images, *traverse.names)


def _check_texts(*texts: str) -> None:
    for text in texts:
        if text.encode(errors="ignore").decode().strip().splitlines() != [text]:
            raise UserError(
                f"{text!r}: begins or ends with a blank, holds a line break or is not UTF-8; rename the image or folder"
            )


def _write_files(staging: Path, folder: Path, name: str, prepared: Prepared) -> None:
    inside = os.path.abspath(folder) + os.sep
    for traverse in prepared.traverses:
        images = [image.removeprefix(inside) for image in traverse.images]
        columns: dict[str, Sequence[Any]] = {"name": traverse.names}
        columns |= {column: values.tolist() for column, values in traverse.positions.items()}
        columns["sequence"] = traverse.sequence_numbers().tolist()
        if traverse.timestamps is not None:
            columns["timestamp"] = traverse.timestamps.tolist()
        columns |= {column: values.astype(int).tolist() for column, values in traverse.flags.items()}
        write_frames(staging / f"{traverse.name}.csv", columns | {"image": images})
        write_text(staging / f"{traverse.name}.txt", "\n".join(images) + "\n")
    for places in prepared.places:
        images = [image.removeprefix(inside) for image in places.images]
        write_frames(staging / _places_table(places), {"image": images} | places.columns)
    names = {traverse.name: traverse.names for traverse in prepared.traverses}
    for split in prepared.splits:
        if split.positives is not None:
            query, reference = (names[drives[0].drive] for drives in (split.query, split.reference))
            write_positives(staging / f"{split.name}-positives.csv", split.positives, query, reference)
    write_toml(staging, _folder_entry(name, prepared))


def _folder_entry(name: str, prepared: Prepared) -> FolderEntry:
    count = {traverse.name: len(traverse) for traverse in prepared.traverses}

    def ranges_of(drives: tuple[DriveRows, ...]) -> Rows | tuple[Rows, ...] | None:
        if all(len(one.rows) == count[one.drive] for one in drives):
            return None
        return _one_or_all(tuple((int(one.rows[0]), int(one.rows[-1]) + 1) for one in drives))

    return FolderEntry(
        name=name,
        units=prepared.units,
        traverses={traverse: TraverseEntry(f"{traverse}.npy", f"{traverse}.csv") for traverse in count},
        splits={
            split.name: SplitEntry(
                reference=_one_or_all(tuple(one.drive for one in split.reference)),
                query=_one_or_all(tuple(one.drive for one in split.query)),
                reference_rows=ranges_of(split.reference),
                query_rows=ranges_of(split.query),
                positive_radius=split.positive_radius,
                negative_radius=split.negative_radius,
                positives=None if split.positives is None else f"{split.name}-positives.csv",
            )
            for split in prepared.splits
        },
        places={one.name: PlacesEntry(_places_table(one), one.separation) for one in prepared.places},
    )


def _places_table(places: PreparedPlaces) -> str:
    return f"{places.name}-places.csv"


def _one_or_all(values: tuple[Value, ...]) -> Value | tuple[Value, ...]:
    """What a dataset.toml says of the drives of a side: a list only where there are several."""
    return values[0] if len(values) == 1 else values


def _on_contiguous_rows(prepared: Prepared) -> Prepared:
    """The same splits, each on contiguous rows: a traverse of which some split takes scattered rows is cut up."""
    whole = {traverse.name: traverse for traverse in prepared.traverses}
    scattered = {one.drive for split in prepared.splits for one in split.drives if (np.diff(one.rows) != 1).any()}
    cuts: dict[tuple[str, bytes], PreparedTraverse] = {}

    def cut_up(one: DriveRows, split: str) -> DriveRows:
        if one.drive not in scattered:
            return one
        # Splits on the same rows (seqNet's val and test) share one cut and its descriptors.
        cut = whole[one.drive].take(one.rows, f"{one.drive}-{split}")
        cut = cuts.setdefault((one.drive, one.rows.tobytes()), cut)
        return DriveRows(cut.name, cut.all_rows)

    splits = []
    for split in prepared.splits:
        reference, query = (tuple(cut_up(one, split.name) for one in side) for side in (split.reference, split.query))
        splits.append(replace(split, reference=reference, query=query))
    kept = tuple(traverse for traverse in prepared.traverses if traverse.name not in scattered)
    return replace(prepared, traverses=kept + tuple(cuts.values()), splits=tuple(splits))
