"""Options as typed dataclass fields: each knows its flag, its help and what values it takes.

What can be chosen by name (a method, a loss, a source of data) is a frozen dataclass of such fields; so is each mode of
the command line. Nothing heavy is imported here.
"""

import math
import types
from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from opticornet.utils.errors import UserError
from opticornet.utils.files import full_path
from opticornet.utils.registry import nearest


def option(
    flag: str,
    default: Any,
    help: str,
    choices: tuple[str, ...] | dict[str, Any] | None = None,
    also: tuple[str, ...] = (),
    const: Any = None,
    minimum: float = 0,
    above: float | None = None,
    path: tuple[str, ...] | None = None,
    alias: str = "",
) -> Any:
    """A dataclass field that is also a command-line flag.

    Args:
        flag: with its dashes.
        default: the field's default.
        help: one line for ``--help``.
        choices: the values it takes, or a registry whose names it takes: then the options of what it names are added.
            An option of several values chooses as many entries; something may follow each name behind a colon.
        also: other names that it takes.
        const: the flag's value when given without one.
        minimum: numbers must be finite and at least this.
        above: and above this.
        path: for what names a file or folder, the words that do not; records have the paths in full.
        alias: another flag for it, of a mode's own options; records know the first.
    """
    kind = {"choices": choices, "also": also, "const": const, "minimum": minimum, "above": above, "path": path}
    return field(default=default, metadata={"flag": flag, "help": help, "alias": alias} | kind)


class Choice:
    """Base of what can be chosen by name: an entry of a registry, whose fields are options."""

    def unused(self) -> dict[str, str]:
        """Options that change nothing beside the entry's others, by field name, and why."""
        return {}


def option_fields(options: type) -> dict[str, Field]:
    """Fields of a dataclass that are flags, by field name."""
    return {f.name: f for f in fields(options) if "flag" in f.metadata}


def flag_of(f: Field) -> str:
    """The field's flag, with its dashes."""
    return f.metadata["flag"]


def spellings(f: Field) -> tuple[str, ...]:
    """The field's flag and its alias, where it has one, with their dashes."""
    return (flag_of(f), f.metadata["alias"])[: 1 + bool(f.metadata["alias"])]


def recorded_value(f: Field, value: Any) -> Any:
    """A field's value as records keep it: paths that exist in full, which any working directory understands."""
    names = f.metadata["path"]
    return value if names is None or value in names else full_path(value)


def chosen_names(value: Any) -> tuple[str, ...]:
    """The names in the value of an option that chooses by name: of several, each without what follows its colon."""
    return tuple(str(one).partition(":")[0] for one in value) if isinstance(value, tuple | list) else (value,)


def as_typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def check_value(options: type, name: str, value: Any) -> Any:
    """A value for the option ``name``, whole numbers turned into floats and lists into tuples where those are wanted.

    Raises:
        UserError: it has another type, is not among the choices, or is a number that is not finite or too small.
    """
    f = option_fields(options)[name]
    if value is None and f.default is None:
        return None
    value = _converted(name, get_type_hints(options)[name], value)
    choices, minimum, above = f.metadata["choices"], f.metadata["minimum"], f.metadata["above"]
    allowed = (*(choices or ()), *f.metadata["also"])
    for one in chosen_names(value) if allowed else ():
        if one not in (*allowed, f.default) and not _has_open_prefix(one, allowed):
            raise UserError(f"`{name}` {one}{nearest(one, allowed)}: choose one of {', '.join(allowed)}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if isinstance(number, int) and number >= 2**63:
            raise UserError(f"`{name}` {number}: wanted a number below 2**63")
        if above is not None and not (math.isfinite(number) and number > above):
            raise UserError(f"`{name}` {number:g}: wanted a number above {above:g}")
        if not (math.isfinite(number) and number >= minimum):
            raise UserError(f"`{name}` {number:g}: wanted a number of at least {minimum:g}")
    return value


def from_flags(options: type, flags: Mapping[str, Any]) -> Any:
    """A dataclass of options with the values that saved flags (without dashes) hold for it; defaults for the rest.

    Raises:
        UserError: a value has another type, or is not among the choices.
    """
    found = {name: flags.get(flag_of(f)[2:]) for name, f in option_fields(options).items()}
    return options(**{name: check_value(options, name, value) for name, value in found.items() if value is not None})


def _has_open_prefix(value: str, names: tuple[str, ...]) -> bool:
    """Whether a value begins with a name that ends in a colon, as ``hub:``, which takes anything behind it."""
    return any(name.endswith(":") and value.startswith(name) for name in names)


def plain_type(hint: Any) -> type:
    """The type of one value: ``int`` of ``int | None`` and of ``tuple[int, ...]``."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0])
    return get_args(hint)[0] if get_origin(hint) is tuple else hint


def is_tuple(hint: Any) -> bool:
    """Whether an option takes several values."""
    return get_origin(hint) is tuple


def _converted(name: str, hint: Any, value: Any) -> Any:
    wanted = plain_type(hint)
    if is_tuple(hint):
        if wanted is str and isinstance(value, str):  # the only one
            return (value,)
        if not isinstance(value, list | tuple):
            raise UserError(f"`{name}` {value!r}: wanted several values, each {_kind_in_words(wanted)}")
        return tuple(_converted(name, wanted, one) for one in value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is str and hasattr(value, "__fspath__"):
        return str(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UserError(f"`{name}` {value!r}: wanted {_kind_in_words(wanted)}")
    return value


def _kind_in_words(kind: type) -> str:
    names: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(kind, kind.__name__)
