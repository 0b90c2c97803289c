"""Options as typed fields: one frozen dataclass a mode, whose fields know their flag, default and help.

A notebook builds the same object the command line does::

    train(TrainOptions.of(dataset="synthetic", sequence_length=5))

``of`` remembers which fields were given, so that a resumed run can tell "the user asked for this" from "nobody said".
"""

import argparse
import math
import types
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, NoReturn, Self, Union, get_args, get_origin, get_type_hints

from opticornet.utils.errors import UserError


def option(
    flag: str,
    default: Any,
    help: str,
    choices: tuple[str, ...] | None = None,
    const: Any = None,
    minimum: float = 0,
) -> Any:
    """A dataclass field that is also a command-line flag.

    ``const`` is the flag's value when given without one; numbers must be finite and at least ``minimum``.
    """
    metadata = {"flag": flag, "help": help, "choices": choices, "const": const, "minimum": minimum}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options of every mode share."""

    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Options with these fields set, remembering that they were.

        Raises:
            UserError: an unknown field, a value outside a field's choices, or a number that is not finite or too small.
        """
        flags = cls.flags()
        for name, value in given.items():
            if name not in flags:
                raise UserError(f"unknown option {name}; {cls.__name__} has {', '.join(flags)}")
            _check_value(flags[name], value)
        return cls(**given, given=frozenset(given))

    @classmethod
    def flags(cls) -> dict[str, Field]:
        """Fields that are flags, by field name."""
        return {f.name: f for f in fields(cls) if "flag" in f.metadata}

    def record(self) -> dict[str, Any]:
        """Flag name (without dashes) to value, ready for JSON: the form of ``flags.json``."""
        return {
            flag_of(f)[2:]: list(value) if isinstance(value := getattr(self, name), tuple) else value
            for name, f in self.flags().items()
        }

    def restored(self, saved: dict[str, Any], names: tuple[str, ...], source: str) -> Self:
        """These options with the fields ``names`` taken from a run's saved flags.

        Args:
            saved: a run's ``flags.json``; flags it lacks keep their value here.
            names: the fields the run decides.
            source: the run, for the message.

        Raises:
            UserError: a field was given and differs from the run's (the message names both values), or a saved value
                has the wrong type.
        """
        changes = {}
        for name in names:
            f = self.flags()[name]
            flag = flag_of(f)
            value = saved.get(flag[2:])
            if value is None:  # seqNet writes null where it has no default
                continue
            value = tuple(value) if isinstance(value, list) else value
            kind = type(f.default)
            if not isinstance(value, (int, float) if kind is float else kind):
                raise UserError(f"{source} holds {flag} {value!r}, wanted {kind.__name__}; its flags were changed")
            if f.metadata["choices"] and value not in (*f.metadata["choices"], f.default):
                raise UserError(f"{source} holds {flag} {value}, which is not known here")
            if name in self.given and getattr(self, name) != value:
                raise UserError(
                    f"{flag} {getattr(self, name)} contradicts {flag} {value} of the resumed run {source}; "
                    f"leave {flag} out, or start a new run"
                )
            changes[name] = value
        return replace(self, **changes)


def _check_value(f: Field, value: Any) -> None:
    choices, minimum = f.metadata["choices"], f.metadata["minimum"]
    if choices and value not in choices:
        raise UserError(f"{flag_of(f)} {value}: choose one of {', '.join(choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int) and number >= 2**63:
            raise UserError(f"{flag_of(f)} {number}: wanted a number below 2**63")
        if isinstance(number, int | float) and not (math.isfinite(number) and number >= minimum):
            raise UserError(f"{flag_of(f)} {number:g}: wanted a number of at least {minimum:g}")


def flag_of(f: Field) -> str:
    """The field's flag, with its dashes."""
    return f.metadata["flag"]


class OneLineParser(argparse.ArgumentParser):
    """Raises :class:`UserError` where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def add_flags(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add the flags of ``options``, grouped by the dataclass that declares them."""
    hints = get_type_hints(options)
    declared: set[str] = set()
    for group in reversed(options.__mro__):
        if not (isinstance(group, type) and issubclass(group, Options)):
            continue
        names = [name for name in group.flags() if name not in declared]
        declared.update(names)
        if not names:
            continue
        section = parser.add_argument_group(group.__doc__.splitlines()[0].replace("``", "").rstrip("."))
        for name in names:
            f = options.flags()[name]
            section.add_argument(flag_of(f), dest=name, default=argparse.SUPPRESS, **_form(f, hints[name]))


def _form(f: Field, hint: Any) -> dict[str, Any]:
    """The argparse arguments for one field."""
    text = f.metadata["help"]
    if hint is bool:
        return {"action": "store_true", "help": text}
    if f.default not in ("", ()):
        shown = " ".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        text = f"{text} (default {shown})"
    form: dict[str, Any] = {"help": text, "choices": f.metadata["choices"]}
    if f.metadata["const"] is not None:
        form |= {"nargs": "?", "const": f.metadata["const"]}
    if get_origin(hint) is tuple:
        return form | {"type": get_args(hint)[0], "nargs": "+", "action": _Tuple, "metavar": "X"}
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    return form | {"type": hint} | ({} if f.metadata["choices"] else {"metavar": hint.__name__.upper()})


class _Tuple(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, tuple(values))
