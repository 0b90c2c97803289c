"""A CSV table of images and their places, beside other columns perhaps, as many projects have one."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opticornet.datasets.column_names import column_called
from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.labelled import LabelledImages, PlaceSource
from opticornet.datasets.prepare.prepared import Prepared
from opticornet.datasets.prepare.sources.place_folders import places_in_names
from opticornet.datasets.split_names import USUAL_SPLITS
from opticornet.utils.errors import UserError
from opticornet.utils.options import option
from opticornet.utils.text import counted

QUERY_ROLES, REFERENCE_ROLES = ("query", "queries"), ("reference", "ref", "database", "gallery", "map")


@dataclass(frozen=True, kw_only=True)
class PlaceTable(PlaceSource):
    """``place-table``: a CSV table of images and their places."""

    table: str = option("--table", "", "the table, in --root; default: the only .csv there")
    image_column: str = option("--imageColumn", "", "column of image paths; default: called image, path, ...")
    place_column: str = option("--placeColumn", "", "column of places; default: called place, label, ...")
    place_pattern: str = option(
        "--placePattern", "", "regular expression whose one group in brackets is the place in an image's path"
    )
    place_in_group: bool = option("--placeInGroup", False, "places of two groups are two, though they have one name")
    group_column: str = option("--groupColumn", "", "column of groups; default: called group, city, ..., if any")
    split_column: str = option("--splitColumn", "", "column that says train, val or test of each image")
    role_column: str = option(
        "--roleColumn", "", "column that says of held-out images query, or reference, gallery, ..."
    )
    image_root: str = option("--imageRoot", "", "folder in --root that paths start from; default: --root")
    cut_prefix: str = option("--cutPrefix", "", "what paths begin with in the table, and not on this machine")
    separation: float = option("--separation", 0.0, "metres within which places may look alike: never in one batch")

    def unused(self) -> dict[str, str]:
        unused = super().unused()
        if self.split_column:
            unused |= dict.fromkeys(("val_groups", "test_groups"), "`split_column` says what is held out")
        if self.place_pattern:
            unused["place_column"] = "`place_pattern` finds places in names"
        if self.role_column:
            unused |= dict.fromkeys(("held_out", "query_pattern"), "`role_column` says which images are queries")
        return unused

    @property
    def holds_out(self) -> bool:
        return super().holds_out or bool(self.split_column)

    def read(self, root: Path) -> Prepared:
        """The images that the table lists; ranks, headings, times and positions (lat, lon or x, y) are taken over.

        Args:
            table: name of the file in ``root``.
            image_column, place_column, group_column: their exact titles; default those that mean it
                (:data:`opticornet.datasets.column_names.SYNONYMS`).
            place_pattern: instead of a column, the place is what its group finds in the path.
            place_in_group: places are named by group and place, as where each city numbers its own.
            split_column: images are trained on, in the val split or in the test split as it says; empty cells leave an
                image out.
            role_column: which held-out images are queries.
            image_root, cut_prefix: a path is what follows the prefix, below the folder.
            separation: metres.

        Raises:
            UserError: a column is missing or says something else, an image is missing or of two places, a place is in
                two splits.
        """
        table = self._table(root)
        titles = {name: self._title(table, name) for name in ("image", "place", "group")}
        names = tuple(self._path(table, row, text) for row, text in enumerate(table[titles["image"]]))
        group = np.array(table[titles["group"]] if titles["group"] else [""] * len(table))
        place = np.array(self._places(table, titles["place"], names))
        if self.place_in_group:
            place = np.array([f"{of}/{one}" for of, one in zip(group, place, strict=True)])
        _check_groups(table, place, group)
        images = LabelledImages(
            where=str(table.path),
            images=tuple(os.path.join(os.path.abspath(root), self.image_root, name) for name in names),
            names=names,
            place=place,
            group=group,
            columns=_taken_over(table, tuple(titles.values())),
        )
        rows, notes = _each_once(images)
        return self._prepared(_with_files(images.take(rows)), table.take(rows), notes)

    def _prepared(self, images: LabelledImages, table: Columns, notes: list[str]) -> Prepared:
        """By groups, or as the column of splits says."""
        queries = self._roles(table) if self.role_column else self.queries(images)
        if self.split_column:
            splits = np.char.lower(np.array(self._column(table, "split_column")))
            _check_splits(images, table, splits, self.split_column)
            if left_out := int((splits == "").sum()):
                notes.append(f"{images.where}: {counted(left_out, 'image')} left out, of no split")
            kept = np.flatnonzero(splits != "")
            parts = {name: (splits == name)[kept] for name in ("val", "test")}
            found = self.parted(images.take(kept), parts, queries[kept], notes)
        else:
            found = self.parted(images, self.held_out_groups(images), queries, notes)
        return replace(found, places=tuple(replace(one, separation=self.separation or None) for one in found.places))

    def _table(self, root: Path) -> Columns:
        if self.table:
            return read_columns(root / self.table)
        tables = sorted(path.name for path in root.glob("*.csv"))
        if len(tables) != 1:
            raise UserError(f"{root}: {counted(len(tables), 'table')} (.csv); name the one to read in `table`")
        return read_columns(root / tables[0])

    def _title(self, table: Columns, name: str) -> str:
        """The column of images, places or groups; nothing where none is needed or, of groups, there is none."""
        if name == "place" and self.place_pattern:
            return ""
        if getattr(self, f"{name}_column"):
            self._column(table, f"{name}_column")
            return getattr(self, f"{name}_column")
        found = [title for title in table.cells if column_called(title) == name]
        if len(found) == 1 or (name == "group" and not found):
            return found[0] if found else ""
        several = f"columns {' and '.join(found)} both" if found else f"no column of {', '.join(table.cells)}"
        raise UserError(f"{table.path}: {several} called as {name}s are; name the one in `{name}_column`")

    def _column(self, table: Columns, option: str) -> list[str]:
        """The column that an option names.

        Raises:
            UserError: there is no such column.
        """
        title = getattr(self, option)
        if title not in table:
            raise UserError(f"{table.path}: `{option}` {title}: no such column; it has {', '.join(table.cells)}")
        return table[title]

    def _path(self, table: Columns, row: int, text: str) -> str:
        """An image's path, as it is below ``image_root``."""
        if not text.startswith(self.cut_prefix) or text == self.cut_prefix:
            raise UserError(
                f"{table.path}: line {table.lines[row]}: the path {text!r} does not begin with `cut_prefix` "
                f"{self.cut_prefix!r}; give what all begin with"
                if text
                else f"{table.path}: line {table.lines[row]}: no image; fill the cell, or leave the line out"
            )
        return text.removeprefix(self.cut_prefix).lstrip("/") if self.cut_prefix else text

    def _places(self, table: Columns, title: str, names: tuple[str, ...]) -> list[str]:
        if self.place_pattern:
            return places_in_names("place_pattern", self.place_pattern, str(table.path), names)
        if "" in table[title]:
            line = table.lines[table[title].index("")]
            raise UserError(f"{table.path}: line {line}: no {title}; fill the cell, or leave the line out")
        return table[title]

    def _roles(self, table: Columns) -> np.ndarray:
        """(N,) bool: images that are queries where they are held out."""
        roles = np.char.lower(np.array(self._column(table, "role_column")))
        queries = np.isin(roles, QUERY_ROLES)
        if (bad := np.flatnonzero(~queries & ~np.isin(roles, REFERENCE_ROLES))).size:
            found = f"{self.role_column} is {table[self.role_column][bad[0]]!r}"
            wanted = f"{QUERY_ROLES[0]}, or one of {', '.join(REFERENCE_ROLES)}"
            raise UserError(f"{table.path}: line {table.lines[bad[0]]}: {found}; wanted {wanted}")
        return queries


def _taken_over(table: Columns, titles: tuple[str, ...]) -> dict[str, list[str]]:
    """Columns of ranks, positions, headings and times, under our names, where their values fit.

    Raises:
        UserError: two columns that mean the same, or one that holds something else than numbers.
    """
    known: dict[str, str] = {}
    for title in table.cells:
        name = "heading" if title.lower() == "heading" else column_called(title)
        if title in titles or name not in ("rank", "x", "y", "z", "lat", "lon", "heading", "timestamp"):
            continue
        if name in known:
            raise UserError(f"{table.path}: columns {known[name]!r} and {title!r} both mean {name}; remove one")
        known[name] = title
    return {name: table[title] for name, title in known.items()}


def _check_groups(table: Columns, place: np.ndarray, group: np.ndarray) -> None:
    """Raise :class:`UserError` where a place is in two groups."""
    _, first, label = np.unique(place, return_index=True, return_inverse=True)
    if (wrong := np.flatnonzero(group != group[first][label])).size:
        row = wrong[0]
        raise UserError(
            f"{table.path}: line {table.lines[row]}: place {place[row]} is in {group[row]}, before in "
            f"{group[first][label][row]}: labels clash; give `place_in_group` where these are two places"
        )


def _check_splits(images: LabelledImages, table: Columns, splits: np.ndarray, title: str) -> None:
    """Raise :class:`UserError` for an unknown split, and for a place that is in two."""
    if (bad := np.flatnonzero(~np.isin(splits, ("", *USUAL_SPLITS)))).size:
        found = f"{title} is {table[title][bad[0]]!r}"
        raise UserError(
            f"{table.path}: line {table.lines[bad[0]]}: {found}; wanted {', '.join(USUAL_SPLITS)} or nothing"
        )
    rows = np.flatnonzero(splits != "")
    _, first, label = np.unique(images.place[rows], return_index=True, return_inverse=True)
    if (wrong := np.flatnonzero(splits[rows] != splits[rows][first][label])).size:
        row = rows[wrong[0]]
        raise UserError(
            f"{table.path}: line {table.lines[row]}: place {images.place[row]} is in {splits[row]}, before in "
            f"{splits[rows][first][label][wrong[0]]}; held-out places are not trained on, so hold out whole "
            "ones, as by `val_groups` and `test_groups`"
        )


def _each_once(images: LabelledImages) -> tuple[np.ndarray, list[str]]:
    """Rows without those that repeat an image of the same place, and a note of how many these are.

    Raises:
        UserError: an image is of two places.
    """
    rows = dict[str, int]()
    for row, image in enumerate(images.images):
        first = rows.setdefault(image, row)
        if images.place[first] != images.place[row]:
            raise UserError(
                f"{images.where}: the image {images.names[row]} is of the places {images.place[first]} and "
                f"{images.place[row]}; leave one line of it"
            )
    repeated = len(images) - len(rows)
    notes = [f"{images.where}: {counted(repeated, 'line')} left out that repeat an image"] if repeated else []
    return np.fromiter(rows.values(), np.int64), notes


def _with_files(images: LabelledImages) -> LabelledImages:
    """The images, all of which are there.

    Raises:
        UserError: some are not.
    """
    if missing := [image for image in images.images if not os.path.isfile(image)]:
        raise UserError(
            f"{images.where}: {len(missing)} of {len(images)} images do not exist, first {missing[0]}; say where paths "
            "start by `image_root`, and what to leave out of them by `cut_prefix`"
        )
    return images
