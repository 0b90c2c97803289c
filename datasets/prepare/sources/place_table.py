"""A CSV table of images and their places, beside other columns perhaps, as many projects have one."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opticornet.datasets.column_names import column_called
from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.labelled import PlaceSource, SourceImages
from opticornet.datasets.prepare.prepared import Prepared
from opticornet.datasets.prepare.sources.place_folders import places_in_names
from opticornet.datasets.prepare.sources.place_lines import (
    check_files,
    check_groups,
    check_splits,
    columns_taken_over,
    each_once,
)
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
        if self.place_in_group and not titles["group"]:
            raise UserError(f"{table.path}: `place_in_group` needs groups; name their column in `group_column`")
        if self.place_in_group:
            place = np.array([f"{of}/{one}" for of, one in zip(group, place, strict=True)])
        images = SourceImages(
            where=str(table.path),
            images=tuple(os.path.abspath(os.path.join(root, self.image_root, name)) for name in names),
            names=names,
            place=place,
            group=group,
        )
        notes = list[str]()
        for choose in (self.wanted, each_once):
            rows, left_out = choose(images)
            images, table = images.take(rows), table.take(rows)
            notes += left_out
        check_groups(images, table)
        check_files(images)
        columns, left_out = columns_taken_over(table, tuple(titles.values()), bool(self.separation))
        images, notes = replace(images, columns=columns), notes + left_out
        return self._by_column_or_groups(images, table, notes)

    def _by_column_or_groups(self, images: SourceImages, table: Columns, notes: list[str]) -> Prepared:
        """By groups, or as the column of splits says."""
        queries = self._roles(table) if self.role_column else self.queries(images)
        if self.split_column:
            splits = np.char.lower(np.array(self._column(table, "split_column")))
            check_splits(images, table, splits, self.split_column)
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
        if not text:
            raise UserError(f"{table.path}: line {table.lines[row]}: no image; fill the cell, or leave the line out")
        if not text.startswith(self.cut_prefix):
            raise UserError(
                f"{table.path}: line {table.lines[row]}: the path {text!r} does not begin with `cut_prefix` "
                f"{self.cut_prefix!r}; give what all begin with"
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
