"""The command line's arguments as options, and messages about options by the names of its flags."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import Field
from typing import Any, NoReturn, get_type_hints

from opticornet.datasets.labels import first_repeated
from opticornet.inference.runs import NEWEST
from opticornet.options.base import Options
from opticornet.options.config import read_config
from opticornet.options.modes import MODES, VARIANTS
from opticornet.options.plugins import load_installed, load_plugins
from opticornet.options.variants import DECIDING, options_of
from opticornet.utils.errors import UserError
from opticornet.utils.options import as_typed, check_value, flag_of, is_tuple, option_fields, plain_type, spellings
from opticornet.utils.program import program
from opticornet.utils.registry import nearest
from opticornet.utils.text import number_or_text

REPEATABLE = ("--plugin",)  # flags that add to what was given before


def parse(arguments: Sequence[str]) -> tuple[str, Options]:
    """The command line's arguments to a mode and its options.

    Raises:
        UserError: an unknown mode or flag, a missing or malformed value.
    """
    _refuse_repeated(arguments)
    load_installed()
    first = _Parser(prog=program(), add_help=False, allow_abbrev=False)
    first.add_argument("--mode", choices=tuple(MODES))
    first.add_argument("--plugin", action="append", default=[])
    first.add_argument("--config", default="")
    _add_deciding(first)
    known = first.parse_known_args(arguments)[0]
    if not arguments or (known.mode is None and {"-h", "--help"} & set(arguments)):
        print(_overview())
        raise SystemExit(0)

    config = read_config(known.config) if known.config else {}
    mode = known.mode or config.get("mode") or "train"
    if mode not in MODES:
        raise UserError(f"`config` {known.config}: there is no mode {mode}; choose one of {', '.join(MODES)}")
    if config.get("mode", mode) != mode:
        raise UserError(f"`config` {known.config} is for another mode than {mode}")
    load_plugins([*check_value(Options, "plugin", config.get("plugin", ())), *known.plugin])
    options = options_of(mode, vars(known))
    given = _own_flags(mode, options, arguments)
    if given is None:  # some belong to what is chosen by name
        parser = _parser(mode, options, with_entries=True)
        found, others = parser.parse_known_args(arguments)
        if others:
            raise UserError(_unknown(others, mode, parser))
        given = vars(found)
    given.pop("mode", None)
    return mode, options.of(**given)


def _add_deciding(parser: argparse.ArgumentParser) -> None:
    """Add the flags that decide which options a mode has."""
    parser.add_argument("--sequence", action="store_true", default=argparse.SUPPRESS)
    for flag in DECIDING:
        parser.add_argument(f"--{flag}", nargs="?", const=NEWEST, default=argparse.SUPPRESS)


def _refuse_repeated(arguments: Sequence[str]) -> None:
    """Raise :class:`UserError` where a flag comes twice: taking the last one would drop the others unseen."""
    own = (f for options in MODES.values() for f in option_fields(options).values())
    first = {flag: flag_of(f) for f in own for flag in spellings(f)}
    given = (argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    flags = [first.get(flag, flag) for flag in given]
    if twice := first_repeated(flag for flag in flags if flag not in REPEATABLE):
        raise UserError(f"{twice} is given twice; give it once, with all its values where it takes several")


def in_flags(message: str, options: type[Options] | None) -> str:
    """A message about options in backticks, each named by its flag."""
    if options is None:
        return message
    names = set(re.findall(r"`(\w+)`", message))
    flags: dict[str, str] = {}
    for owner in _owners(options):
        if names <= flags.keys():
            break
        flags = {name: flag_of(f) for name, f in option_fields(owner).items()} | flags
    return re.sub(r"`(\w+)`", lambda found: flags.get(found[1], found[0]), message)


def _owners(options: type[Options]) -> Iterator[type]:
    """Where the options of a message may be declared: a mode, what it chooses by name, then the others likewise."""
    for mode in (options, *MODES.values(), *VARIANTS.values()):
        yield mode
        yield from (kind for _, _, kind in mode.entries())


def _own_flags(mode: str, options: type[Options], arguments: Sequence[str]) -> dict[str, Any] | None:
    """The given flags if the mode itself declares all of them, so that nothing that can be chosen is imported."""
    if {"-h", "--help"} & set(arguments):
        return None
    given, others = _parser(mode, options, with_entries=False).parse_known_args(arguments)
    return None if others else vars(given)


def _parser(mode: str, options: type[Options], with_entries: bool) -> "_Parser":
    parser = _Parser(
        prog=f"{program()} --mode {mode}",
        description=_plain(options.__doc__ or ""),
        allow_abbrev=False,
        formatter_class=_formatter,
    )
    parser.add_argument("--mode", choices=tuple(MODES), default=mode, help=argparse.SUPPRESS)
    _add_own(parser, options)
    if with_entries:
        _add_entries(parser, options)
    return parser


def _add_own(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add a mode's own flags, grouped by the dataclass that declares them."""
    hints = get_type_hints(options)
    groups = [group for group in reversed(options.__mro__) if hasattr(group, "__dataclass_fields__")]
    for group in (*groups[1:], groups[0]):  # config and plugin last
        if names := [name for name in option_fields(group) if name in vars(group).get("__annotations__", {})]:
            title = "This mode" if group is options else _plain((group.__doc__ or "").splitlines()[0])
            section = parser.add_argument_group(title)
            for name in names:
                f = option_fields(options)[name]
                section.add_argument(
                    *spellings(f), dest=name, default=argparse.SUPPRESS, **_form({name: f}, [hints[name]])
                )


def _add_entries(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add the flags of everything that can be chosen by name; one that several have is shown once."""
    own = {flag for f in options.flags().values() for flag in spellings(f)}
    owners: dict[tuple[str, str], dict[str, type]] = {}
    for choice, name, kind in options.entries():
        for field_name, f in option_fields(kind).items():
            if flag_of(f) in own:
                raise UserError(f"{name}: its option {flag_of(f)} is taken by the mode itself; rename it")
            owners.setdefault((choice, field_name), {})[name] = kind
    sections: dict[tuple[str, ...], Any] = {}
    added: set[str] = set()
    for (choice, field_name), kinds in owners.items():
        fields = {name: option_fields(kind)[field_name] for name, kind in kinds.items()}
        flag = flag_of(next(iter(fields.values())))
        if flag in added:
            continue
        added.add(flag)
        key = (choice, *kinds)
        if key not in sections:
            sections[key] = parser.add_argument_group(
                f"{flag_of(options.flags()[choice])} {', '.join(name.rstrip(':') for name in kinds)}"
            )
        hints = [get_type_hints(kind)[field_name] for kind in kinds.values()]
        sections[key].add_argument(flag, dest=field_name, default=argparse.SUPPRESS, **_form(fields, hints))


def _form(fields: dict[str, Field], hints: list[Any]) -> dict[str, Any]:
    """The argparse arguments for one flag, which several entries may declare: name to field, and the fields' types.

    What only some of them take is accepted here and refused where it is known which of them is chosen.
    """
    first, hint = next(iter(fields.values())), hints[0]
    kinds = {plain_type(one) for one in hints}
    text = _help(fields)
    if kinds == {bool}:
        return {"action": "store_true", "help": first.metadata["help"]}
    form: dict[str, Any] = {"help": text, "type": kinds.pop() if len(kinds) == 1 else number_or_text}
    names = tuple(
        dict.fromkeys(name for f in fields.values() for name in (*(f.metadata["choices"] or ()), *f.metadata["also"]))
    )
    several = any(map(is_tuple, hints))
    if names and not several and not any(name.endswith(":") for name in names):
        form |= {"choices": names}
    elif names:
        form |= {"metavar": "NAME", "help": f"{text}: {', '.join(names)}"}
    else:
        form |= {"metavar": plain_type(hint).__name__.upper()}
    if first.metadata["const"] is not None:
        form |= {"nargs": "?", "const": first.metadata["const"]}
    if first.name == "plugin":
        return {"help": text, "action": _Appended, "metavar": "FILE"}
    if several:
        action = _Tuple if all(map(is_tuple, hints)) else _OneOrSeveral
        form |= {"nargs": "+", "action": action, "metavar": "NAME" if names else "X"}
    return form


def _help(fields: dict[str, Field]) -> str:
    """What an option does in each entry that has it, and its default; once, where it is the same in all."""
    names: dict[str, list[str]] = {}
    for name, f in fields.items():
        default = "" if f.default in ("", (), None) else f" (default {as_typed(f.default)})"
        names.setdefault(f.metadata["help"] + default, []).append(name)
    if len(names) == 1:
        return next(iter(names))
    return "; ".join(f"{', '.join(those)}: {text}" for text, those in names.items())


class _Tuple(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, tuple(values))


class _OneOrSeveral(argparse.Action):
    """Where only some of those that have the flag take several values."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else tuple(values))


class _Appended(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, (*getattr(namespace, self.dest, ()), values))


def _unknown(others: Sequence[str], mode: str, parser: "_Parser") -> str:
    """What is wrong with arguments that a mode's parser does not know, and what they may have been meant to be."""
    flags = [other.partition("=")[0] for other in others if other.startswith("-")]
    if not flags:
        return f"unrecognized arguments: {' '.join(others)}; see {parser.prog} --help"
    flag = flags[0]
    elsewhere = [
        other
        for other, options in MODES.items()
        if other != mode and flag in {flag_of(f) for f in option_fields(options).values()}
    ]
    hint = nearest(flag, [known for known in parser.known_flags() if known.startswith("--")], "--")
    if elsewhere:
        hint = f" (it is of --mode {', '.join(elsewhere)})"
    return f"unrecognized arguments: {' '.join(others)}{hint}; see {parser.prog} --help"


class _Parser(argparse.ArgumentParser):
    """Raises :class:`UserError` where argparse would print its usage and exit."""

    def known_flags(self) -> list[str]:
        return list(self._option_string_actions)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = list(map(str, action.choices))
            raise argparse.ArgumentError(
                action, f"invalid choice: {value!r}{nearest(str(value), names)} (choose from {', '.join(names)})"
            )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def _formatter(prog: str) -> argparse.HelpFormatter:
    columns = os.environ.get("COLUMNS", "")
    width = max(60, int(columns)) if columns.isdecimal() else 110
    return argparse.HelpFormatter(prog, width=width, max_help_position=32)


def _plain(text: str) -> str:
    return text.replace("``", "").rstrip(".")


def _overview() -> str:
    """What ``--help`` without a mode prints."""
    lines = [f"usage: {program()} --mode MODE [flags]", "", "Sequence-based visual place recognition. Modes:", ""]
    lines += [f"  {(options.__doc__ or '').splitlines()[0].replace('``', '')}" for options in MODES.values()]
    lines += ["", f"The flags of a mode: {program()} --mode MODE --help"]
    return "\n".join(lines)
