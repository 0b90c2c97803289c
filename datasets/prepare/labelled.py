"""Images whose places are known, as sources read them: places to train on, and splits of those that are held out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opticornet.datasets.folder.toml import ROLES
from opticornet.datasets.positives import Positives
from opticornet.datasets.prepare.prepared import Prepared, PreparedPlaces, PreparedSplit, PreparedTraverse, Source
from opticornet.utils.errors import UserError
from opticornet.utils.options import option
from opticornet.utils.text import counted

PARTINGS = ("halves", "alternate")
NAMED = 12  # groups that a message lists


@dataclass(frozen=True)
class SourceImages:
    """N images of a source.

    Attributes:
        where: folder or table that says so, for messages.
        images: N absolute paths, unique.
        names: N names, unique.
        place, group: (N,) texts.
        columns: others of the table of places to N values.
    """

    where: str
    images: tuple[str, ...]
    names: tuple[str, ...]
    place: np.ndarray
    group: np.ndarray
    columns: dict[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> "SourceImages":
        return replace(
            self,
            images=tuple(self.images[row] for row in rows),
            names=tuple(self.names[row] for row in rows),
            place=self.place[rows],
            group=self.group[rows],
            columns={name: [values[row] for row in rows] for name, values in self.columns.items()},
        )

    def of_groups(self, option: str, groups: tuple[str, ...]) -> np.ndarray:
        """(N,) bool: images of these groups, which the option names.

        Raises:
            UserError: there is no such group.
        """
        there = sorted(set(self.group.tolist()))
        if unknown := [group for group in groups if group not in there]:
            listed = ", ".join(there[:NAMED]) + (f" and {len(there) - NAMED} more" if len(there) > NAMED else "")
            listed = f"there are {listed}" if any(there) else "no image is of one"
            raise UserError(f"{self.where}: `{option}` {unknown[0]}: no such group; {listed}")
        return np.isin(self.group, groups)

    def places(self, name: str = "train") -> PreparedPlaces:
        """All of them, as places to train on; the group is named where there are several."""
        columns = {"place": self.place.tolist()}
        if len(set(self.group.tolist())) > 1:
            columns["group"] = self.group.tolist()
        return PreparedPlaces(name, self.images, columns | self.columns)

    def split(self, name: str, queries: np.ndarray) -> tuple[list[PreparedTraverse], PreparedSplit]:
        """All of them, as a split of single images: a query's references are those of its place.

        Args:
            queries: (N,) bool, which images are queries.

        Raises:
            UserError: no query has a reference.
        """
        _, first_row, label = np.unique(self.place, return_index=True, return_inverse=True)
        number = first_row[label]  # (N,) of each image's place, rising as places first come
        by_place = np.argsort(number, kind="stable")
        sides = [by_place[~queries[by_place]], by_place[queries[by_place]]]
        of_reference, of_query = (number[rows] for rows in sides)
        first, last = (np.searchsorted(of_reference, of_query, end) for end in ("left", "right"))
        if not (last > first).any():
            raise UserError(
                f"{self.where}: the {name} split has {counted(len(sides[1]), 'query image')} and "
                f"{counted(len(sides[0]), 'reference image')}, and none of a place that both have; part them in "
                "another way"
            )
        positives = Positives.of_ranges(np.stack([first, last], axis=1))
        drives = [self._traverse(f"{name}-{side}", rows) for side, rows in zip(ROLES, sides, strict=True)]
        return drives, PreparedSplit.of_all_rows(name, drives[:1], drives[1:], positives=positives)

    def _traverse(self, name: str, rows: np.ndarray) -> PreparedTraverse:
        some = self.take(rows)
        placed = f"none; what is correct lists {name.partition('-')[0]}-positives.csv, by place"
        return PreparedTraverse(name, some.images, some.names, {}, some.place, placed=placed)


@dataclass(frozen=True, kw_only=True)
class PlaceSource(Source):
    """What sources of labelled images share: some groups may be held out."""

    val_groups: tuple[str, ...] = option("--valGroups", (), "groups of places to validate on, not trained on")
    test_groups: tuple[str, ...] = option("--testGroups", (), "groups of places to test on, not trained on")
    held_out: str = option(
        "--heldOut",
        "halves",
        "of a held-out place, queries are its second half, or every other image",
        choices=PARTINGS,
    )
    query_pattern: str = option(
        "--queryPattern", "", "held-out images are queries where this regular expression is found in their names"
    )

    leave_out: str = option(
        "--leaveOut", "", "images are left out where this regular expression is found in their names"
    )

    def unused(self) -> dict[str, str]:
        held_out = {} if self.holds_out else dict.fromkeys(("held_out", "query_pattern"), "no groups are held out")
        return {"held_out": "`query_pattern` says which are queries"} | held_out if self.query_pattern else held_out

    @property
    def holds_out(self) -> bool:
        return bool(self.val_groups or self.test_groups)

    def prepared(self, images: SourceImages, notes: Sequence[str] = ()) -> Prepared:
        """Places to train on, and splits ``val`` and ``test`` of the groups that are held out.

        Raises:
            UserError: a group that is not there or is held out twice, or a split without a correct reference.
        """
        rows, left_out = self.wanted(images)
        images = images.take(rows)
        return self.parted(images, self.held_out_groups(images), self.queries(images), (*notes, *left_out))

    def wanted(self, images: SourceImages) -> tuple[np.ndarray, list[str]]:
        """Rows of the images that are not to be left out, and a note of how many are.

        Raises:
            UserError: none or all are left out.
        """
        if not self.leave_out:
            return np.arange(len(images)), []
        pattern = regular("leave_out", self.leave_out)
        kept = np.array([pattern.search(name) is None for name in images.names])
        if kept.all() or not kept.any():
            which = "no name" if kept.all() else "every name"
            raise UserError(f"{images.where}: `leave_out` {self.leave_out!r} is found in {which}; correct it")
        note = f"{images.where}: {counted(int((~kept).sum()), 'image')} left out by `leave_out`"
        return np.flatnonzero(kept), [note]

    def held_out_groups(self, images: SourceImages) -> dict[str, np.ndarray]:
        """The images of the groups to validate and to test on, (N,) bool each.

        Raises:
            UserError: a group that is not there, or is held out twice.
        """
        if twice := set(self.val_groups) & set(self.test_groups):
            raise UserError(f"`val_groups` and `test_groups` both name {min(twice)}; hold each group out once")
        return {
            "val": images.of_groups("val_groups", self.val_groups),
            "test": images.of_groups("test_groups", self.test_groups),
        }

    def parted(
        self, images: SourceImages, parts: dict[str, np.ndarray], queries: np.ndarray, notes: Sequence[str]
    ) -> Prepared:
        """Of the images that are in none of the parts places to train on, and of each part a split.

        Args:
            parts: name of a split to (N,) bool; one without images is left out.
            queries: (N,) bool, images that are queries where they are in a split.
        """
        traverses, splits = list[PreparedTraverse](), list[PreparedSplit]()
        trained = np.ones(len(images), bool)
        for name, members in parts.items():
            trained &= ~members
            if members.any():
                rows = np.flatnonzero(members)
                drives, split = images.take(rows).split(name, queries[rows])
                traverses += drives
                splits.append(split)
        places = (images.take(np.flatnonzero(trained)).places(),) if trained.any() else ()
        return Prepared("frames" if splits else "metres", tuple(traverses), tuple(splits), tuple(notes), places)

    def queries(self, images: SourceImages) -> np.ndarray:
        """(N,) bool: images that are queries where they are held out."""
        if self.query_pattern:
            pattern = regular("query_pattern", self.query_pattern)
            return np.array([pattern.search(name) is not None for name in images.names])
        number, count = _number_in_place(images.place)
        return number % 2 == 1 if self.held_out == "alternate" else number >= (count + 1) // 2


def regular(option: str, text: str, groups: int | None = None) -> re.Pattern[str]:
    """A regular expression that an option gives.

    Raises:
        UserError: it is none, or has another number of groups than wanted.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UserError(f"`{option}` {text!r}: no regular expression ({error})") from error
    if groups is not None and pattern.groups != groups:
        raise UserError(f"`{option}` {text!r}: {pattern.groups} groups in brackets; wanted {groups}, around the place")
    return pattern


def _number_in_place(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) which image of its place each is, in the order of rows, and how many its place has."""
    _, label, counts = np.unique(place, return_inverse=True, return_counts=True)
    order = np.argsort(label, kind="stable")
    number = np.empty(len(place), np.int64)
    number[order] = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    return number, counts[label]
