"""Tables and values of a ``dataset.toml``, checked."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from opticornet.utils.errors import UserError

Entry = TypeVar("Entry")
# Keys that hold something else than text.
KINDS: dict[str, type] = {
    "reference_rows": tuple,
    "query_rows": tuple,
    "positive_radius": float,
    "negative_radius": float,
    "ignore_columns": list,
    "max_step": float,
    "rows_are_places": bool,
    "separation": float,
}


def read_entries(
    path: Path, key: str, value: Any, entry_type: type[Entry], one_or_each: tuple[str, ...] = ()
) -> dict[str, Entry]:
    """The entries of ``[KEY.NAME]`` by name.

    Args:
        path: of the file, for messages.
        value: what the file has under ``key``.
        entry_type: a dataclass, whose attributes are the keys.
        one_or_each: keys that may hold a list, one of each drive.

    Raises:
        UserError: there are none, a key is unknown or missing, or holds another type.
    """
    if not isinstance(value, dict) or not value:
        raise UserError(f"{path}: no {key}; wanted at least one [{key}.NAME]")
    return {name: _entry(path, f"{key}.{name}", table, entry_type, one_or_each) for name, table in value.items()}


def check_keys(path: Path, where: str, table: Any, entry_type: type) -> list[str]:
    """The keys that a table may have, the attributes of ``entry_type``.

    Raises:
        UserError: it is no table, or has other keys.
    """
    if not isinstance(table, dict):
        raise UserError(f"{path}: {where} is not a table")
    allowed = [attribute.name for attribute in fields(entry_type)]
    for key in table:
        if key not in allowed:
            raise UserError(f"{path}: unknown key {key!r} {where}; keys are {', '.join(allowed)}")
    return allowed


def _entry(path: Path, where: str, table: Any, entry_type: type[Entry], one_or_each: tuple[str, ...]) -> Entry:
    known = check_keys(path, f"in {where}", table, entry_type)
    values = {}
    for key, value in table.items():
        check = _one_or_each if key in one_or_each else checked_value
        values[key] = check(path, f"{where}.{key}", value, KINDS.get(key, str))
    try:
        return entry_type(**values)
    except TypeError as error:
        missing = next(key for key in known if key not in values)
        raise UserError(f"{path}: {where} has no key {missing!r}") from error


def _one_or_each(path: Path, where: str, value: Any, kind: type) -> Any:
    """A value of :func:`checked_value`, or a tuple of them from a list."""
    if kind is tuple and not (isinstance(value, list) and any(isinstance(one, list) for one in value)):
        return checked_value(path, where, value, kind)
    if kind is tuple:
        values = tuple(checked_value(path, where, one, kind) for one in value)
    else:
        values = tuple(value) if isinstance(value, list) else (value,)
        if not values or not all(isinstance(text, str) and text for text in values):
            raise UserError(f"{path}: {where} is {value!r}; wanted text, or a list of texts")
    return values if isinstance(value, list) else values[0]


def checked_value(path: Path, where: str, value: Any, kind: type) -> Any:
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
