"""``dataset.toml``: what it may hold, read and written. The format is described in docs/datasets.md."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from opticornet.datasets.split_names import check_split_name
from opticornet.datasets.traverse import Units
from opticornet.utils.errors import UserError
from opticornet.utils.files import write_text

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


@dataclass(frozen=True)
class SplitEntry:
    """``[splits.NAME]``: traverse names, half-open row ranges, radii in the dataset's units.

    ``reference_score`` and ``query_score`` list frames that this split scores, among those that their traverse scores.
    ``rows_are_places``: row i of both drives is one place, though one drive has more rows.
    """

    reference: str
    query: str
    reference_rows: tuple[int, int] | None = None
    query_rows: tuple[int, int] | None = None
    positive_radius: float | None = None
    negative_radius: float | None = None
    positives: str | None = None
    reference_score: str | None = None
    query_score: str | None = None
    rows_are_places: bool = False


Entry = TypeVar("Entry", TraverseEntry, SplitEntry)


@dataclass(frozen=True)
class FolderEntry:
    """A whole ``dataset.toml``."""

    name: str
    units: Units
    traverses: dict[str, TraverseEntry] = field(default_factory=dict)
    splits: dict[str, SplitEntry] = field(default_factory=dict)


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

    _check_keys(path, "at the top", document, FolderEntry)
    units = document.get("units")
    if units not in ("metres", "frames"):
        raise UserError(f'{path}: units is {units!r}; wanted units = "metres" or "frames"')
    traverses = {
        name: _entry(path, f"traverses.{name}", table, TraverseEntry)
        for name, table in _table(path, "traverses", document.get("traverses")).items()
    }
    splits = {
        name: _entry(path, f"splits.{name}", table, SplitEntry)
        for name, table in _table(path, "splits", document.get("splits")).items()
    }
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
        for role in (split.reference, split.query):
            if role not in traverses:
                raise UserError(f"{path}: splits.{name} names traverse {role!r}; there are {', '.join(traverses)}")
        if split.positive_radius is not None and split.positives is not None:
            raise UserError(
                f"{path}: splits.{name} has positive_radius and positives; give one of the two, or neither where "
                "nothing is known of the correct references"
            )
    return FolderEntry(_checked_value(path, "name", document.get("name", folder.name), str), units, traverses, splits)


def format_toml(entry: FolderEntry) -> str:
    """The text of a ``dataset.toml`` that :func:`read_toml` reads back to an equal entry."""
    import tomlkit

    return tomlkit.dumps(
        {"name": entry.name, "units": entry.units}
        | {"traverses": {name: _given_keys(traverse) for name, traverse in entry.traverses.items()}}
        | {"splits": {name: _given_keys(split) for name, split in entry.splits.items()}}
    )


def write_toml(folder: Path, entry: FolderEntry) -> None:
    """Write ``folder/dataset.toml``, atomically."""
    write_text(folder / TOML_NAME, format_toml(entry))


def _given_keys(entry: TraverseEntry | SplitEntry) -> dict[str, Any]:
    """The keys that have a value."""
    return {key: value for key, value in vars(entry).items() if value is not None and value is not False}


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise UserError(f"{path}: no {key}; wanted at least one [{key}.NAME]")
    return value


def _check_keys(path: Path, where: str, table: Any, entry_type: type) -> None:
    if not isinstance(table, dict):
        raise UserError(f"{path}: {where} is not a table")
    allowed = [attribute.name for attribute in fields(entry_type)]
    for key in table:
        if key not in allowed:
            raise UserError(f"{path}: unknown key {key!r} {where}; keys are {', '.join(allowed)}")


def _entry(path: Path, where: str, table: Any, entry_type: type[Entry]) -> Entry:
    _check_keys(path, f"in {where}", table, entry_type)
    kinds = {
        "reference_rows": tuple,
        "query_rows": tuple,
        "positive_radius": float,
        "negative_radius": float,
        "ignore_columns": list,
        "max_step": float,
        "rows_are_places": bool,
    }
    values = {key: _checked_value(path, f"{where}.{key}", value, kinds.get(key, str)) for key, value in table.items()}
    try:
        return entry_type(**values)
    except TypeError as error:
        missing = next(a.name for a in fields(entry_type) if a.name not in values)
        raise UserError(f"{path}: {where} has no key {missing!r}") from error


def _checked_value(path: Path, where: str, value: Any, kind: type) -> Any:
    """``value`` as str, bool, float, a pair of integers (tuple) or several texts (a tuple too; ``kind`` is list)."""
    if kind is str and isinstance(value, str) and value:
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is tuple and isinstance(value, list) and len(value) == 2 and all(type(row) is int for row in value):
        return tuple(value)
    if kind is list and isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return tuple(value)
    wanted = {
        str: "text",
        bool: "true or false",
        float: "a number",
        tuple: "two whole numbers [start, stop]",
        list: 'a list of texts ["a", "b"]',
    }[kind]
    raise UserError(f"{path}: {where} is {value!r}; wanted {wanted}")
