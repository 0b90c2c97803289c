"""``dataset.toml``: what it may hold, read and written. The format is described in docs/datasets.md."""

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from opticornet.datasets.folder.toml_values import check_keys, checked_value, read_entries
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.split_names import check_split_name
from opticornet.datasets.traverse import Units
from opticornet.utils.errors import UserError
from opticornet.utils.files import write_text
from opticornet.utils.text import counted

TOML_NAME = "dataset.toml"


@dataclass(frozen=True)
class TraverseEntry:
    """``[traverses.NAME]``: paths relative to the folder, or to ``shared``, a folder whose files several datasets use.

    At least one of ``descriptors``, ``images`` (a folder of them) and an ``image`` column in ``frames`` says what the
    frames are. ``ignore_columns`` are columns of ``frames`` that are not wanted; ``score`` lists the frames that are
    scored; a step of more than ``max_step`` units begins a new sequence.
    """

    descriptors: str | None = None
    frames: str | None = None
    images: str | None = None
    ignore_columns: tuple[str, ...] | None = None
    score: str | None = None
    max_step: float | None = None
    shared: str | None = None

    def root(self, folder: Path) -> Path:
        """Where the traverse's descriptors, frames and images are, of a dataset in ``folder``.

        Raises:
            UserError: ``shared`` is no folder.
        """
        root = folder / (self.shared or "")
        if self.shared is not None and not root.is_dir():
            raise UserError(f"{folder / TOML_NAME}: shared = {self.shared!r} is no folder; check the path")
        return root


Rows = tuple[int, int]
Role = Literal["reference", "query"]
ROLES: tuple[Role, Role] = ("reference", "query")
OF_DRIVES = tuple(f"{role}{of}" for role in ROLES for of in ("", "_rows", "_score"))  # may be listed, one of each drive


@dataclass(frozen=True)
class SplitEntry:
    """``[splits.NAME]``: traverse names, half-open row ranges, radii in the dataset's units.

    Of several drives there are tuples of names; of their row ranges and lists one for all drives, or one each.
    ``reference_score`` and ``query_score`` list frames that this split scores, among those that their traverse scores.
    ``rows_are_places``: row i of all drives is one place, though some drive has more rows.
    """

    reference: str | tuple[str, ...]
    query: str | tuple[str, ...]
    reference_rows: Rows | tuple[Rows, ...] | None = None
    query_rows: Rows | tuple[Rows, ...] | None = None
    positive_radius: float | None = None
    negative_radius: float | None = None
    positives: str | None = None
    reference_score: str | tuple[str, ...] | None = None
    query_score: str | tuple[str, ...] | None = None
    rows_are_places: bool = False

    def drives(self, role: Role) -> tuple[str, ...]:
        """The traverses of one side."""
        names = getattr(self, role)
        return (names,) if isinstance(names, str) else names

    def rows(self, role: Role) -> tuple[Rows | None, ...]:
        """The rows of each drive of one side; None: all."""
        rows = getattr(self, f"{role}_rows")
        if rows is None or isinstance(rows[0], int):
            return (rows,) * len(self.drives(role))
        return rows

    def score(self, role: Role) -> tuple[str | None, ...]:
        """The list of scored frames of each drive of one side."""
        lists = getattr(self, f"{role}_score")
        return lists if isinstance(lists, tuple) else (lists,) * len(self.drives(role))


@dataclass(frozen=True)
class PlacesEntry:
    """``[places.NAME]``: a table of images and their places, for training image encoders.

    ``ignore_columns`` are columns of ``table`` that are not wanted; places within ``separation`` metres of each other
    may look alike.
    """

    table: str
    separation: float | None = None
    ignore_columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FolderEntry:
    """A whole ``dataset.toml``: traverses and splits of them, or places, or both."""

    name: str
    units: Units
    traverses: dict[str, TraverseEntry] = field(default_factory=dict)
    splits: dict[str, SplitEntry] = field(default_factory=dict)
    places: dict[str, PlacesEntry] = field(default_factory=dict)

    def need_traverses(self, folder: Path) -> None:
        """Raise :class:`UserError` where there are places and nothing else."""
        if not self.traverses:
            raise UserError(
                f"{folder}: its {TOML_NAME} has places, which image encoders are trained on, and no traverses, which "
                "this needs; add some with splits of them, or name another dataset"
            )


def read_toml(folder: Path) -> FolderEntry:
    """Read ``folder/dataset.toml`` and check every key and type; no other file is opened.

    Raises:
        UserError: no such file, broken TOML, unknown or missing key (named), wrong type, unknown traverse.
    """
    path = folder / TOML_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        found = "an empty folder" if folder.is_dir() and not any(folder.iterdir()) else "no dataset.toml"
        raise UserError(f"{folder}: {found}; a dataset folder holds a {TOML_NAME} (docs/datasets.md)") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read as TOML in UTF-8 ({error}); correct it there") from error

    check_keys(path, "at the top", document, FolderEntry)
    places = read_entries(path, "places", document["places"], PlacesEntry) if "places" in document else {}
    drives = not places or bool(document.keys() & {"traverses", "splits"})
    units = document.get("units", None if drives else "metres")
    if units not in ("metres", "frames"):
        raise UserError(f'{path}: units is {units!r}; wanted units = "metres" or "frames"')
    traverses = read_entries(path, "traverses", document.get("traverses"), TraverseEntry) if drives else {}
    splits = read_entries(path, "splits", document.get("splits"), SplitEntry, OF_DRIVES) if drives else {}
    for name, traverse in traverses.items():
        if traverse == TraverseEntry():
            raise UserError(
                f"{path}: traverses.{name} has no key 'descriptors', nor 'images', nor 'frames' with an image column; "
                "give what there is"
            )
        if traverse.max_step is not None and not 0 < traverse.max_step < float("inf"):
            raise UserError(f"{path}: traverses.{name}.max_step is {traverse.max_step:g}; wanted a number above 0")
    for name, split in splits.items():
        check_split_name(str(path), name)
        for role in ROLES:
            _check_drives(f"{path}: splits.{name}", split, role, tuple(traverses))
        if split.positive_radius is not None and split.positives is not None:
            raise UserError(
                f"{path}: splits.{name} has positive_radius and positives; give one of the two, or neither where "
                "nothing is known of the correct references"
            )
    splits = {name: _without_lists_of_one(split) for name, split in splits.items()}
    for name, entry in places.items():
        if entry.separation is not None and not 0 <= entry.separation < float("inf"):
            raise UserError(f"{path}: places.{name}.separation is {entry.separation:g}; wanted metres from 0")
    name = checked_value(path, "name", document.get("name", folder.absolute().name), str)
    return FolderEntry(name, units, traverses, splits, places)


def _check_drives(where: str, split: SplitEntry, role: Role, traverses: tuple[str, ...]) -> None:
    """Whether the drives of a side are there, each once, and what is given for each is given for all."""
    drives = split.drives(role)
    if unknown := [drive for drive in drives if drive not in traverses]:
        raise UserError(f"{where} names traverse {unknown[0]!r}; there are {', '.join(traverses)}")
    if (twice := first_repeated(drives)) is not None:
        raise UserError(f"{where}.{role} names {twice!r} twice; name each drive once")
    for key, found in ((f"{role}_rows", split.rows(role)), (f"{role}_score", split.score(role))):
        if len(found) != len(drives):
            raise UserError(
                f"{where}.{key} is given for {counted(len(found), 'drive')}, and {role} names {len(drives)}; "
                "give one for all of them, or one for each"
            )


def _without_lists_of_one(split: SplitEntry) -> SplitEntry:
    """What is listed of one drive, as it is without the list."""
    values = {key: getattr(split, key) for key in OF_DRIVES}
    return replace(split, **{key: of[0] for key, of in values.items() if isinstance(of, tuple) and len(of) == 1})


def format_toml(entry: FolderEntry) -> str:
    """The text of a ``dataset.toml`` that :func:`read_toml` reads back to an equal entry."""
    import tomlkit

    tables: dict[str, dict[str, Any]] = {"traverses": entry.traverses, "splits": entry.splits, "places": entry.places}
    return tomlkit.dumps(
        {"name": entry.name, "units": entry.units}
        | {key: {name: _given_keys(one) for name, one in table.items()} for key, table in tables.items() if table}
    )


def write_toml(folder: Path, entry: FolderEntry) -> None:
    """Write ``folder/dataset.toml``, atomically."""
    write_text(folder / TOML_NAME, format_toml(entry))


def _given_keys(entry: Any) -> dict[str, Any]:
    """The keys that have a value."""
    return {key: value for key, value in vars(entry).items() if value is not None and value is not False}
