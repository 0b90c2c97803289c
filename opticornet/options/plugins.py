"""Additions from outside: a Python file, or an installed package, whose registries add to ours.

A plugin holds dictionaries of the same names as the registries it adds to::

    SEQUENCE_ENCODERS = {"weighted": WeightedOptions}

Installed packages announce the module that holds them as an entry point of the group ``opticornet.plugins``.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

from opticornet.options.registries import BASES, REGISTRIES
from opticornet.utils.errors import UserError
from opticornet.utils.files import sha256
from opticornet.utils.options import flag_of, is_tuple, option_fields, spellings
from opticornet.utils.registry import imported

GROUP = "opticornet.plugins"
_installed: set[str] = set()  # once per process, as imports are


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Add the registries of plugin files. A file that was loaded before and has not changed is left as it is.

    Raises:
        UserError: a file is missing, fails when it is run, adds nothing, or adds a name that is taken.
    """
    for path in paths:
        load_plugin(Path(path))


def load_plugin(path: Path) -> ModuleType:
    """Run a plugin file and add its registries.

    Raises:
        UserError: see :func:`load_plugins`.
    """
    if not path.is_file():
        raise UserError(f"`plugin` {path}: no such file")
    state = hashlib.sha256(bytes(path.absolute()) + path.read_bytes()).hexdigest()
    name = f"opticornet_plugin_{path.stem}_{state[:12]}"
    if name in sys.modules:
        add_registries(sys.modules[name], str(path))
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"`plugin` {path}: wanted a Python file, ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as import does, for dataclasses and pickles of what it defines
    try:
        spec.loader.exec_module(module)
        add_registries(module, str(path))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, UserError) or not isinstance(error, Exception | SystemExit):
            raise
        raise UserError(f"`plugin` {path} fails: {type(error).__name__}: {error}") from error
    return module


def load_installed() -> None:
    """Add the registries of installed packages.

    Raises:
        UserError: one of them fails when it is imported, adds nothing, or adds a name that is taken.
    """
    for point in metadata.entry_points(group=GROUP):
        if point.value in _installed:
            continue
        try:
            module = point.load()
        except Exception as error:  # whatever foreign code raises
            raise UserError(f"the installed plugin {point.value} fails: {type(error).__name__}: {error}") from error
        add_registries(module, point.value)
        _installed.add(point.value)


def add_registries(module: ModuleType, source: str) -> None:
    """Add the registries that a module holds to ours.

    Raises:
        UserError: it holds none, or a name in one is taken.
    """
    found = {name: value for name, value in vars(module).items() if name in REGISTRIES and isinstance(value, dict)}
    if not found:
        raise UserError(f"the plugin {source} adds nothing: wanted a dictionary named {' or '.join(REGISTRIES)}")
    for registry, additions in found.items():
        for name, kind in additions.items():
            what = f"the plugin {source} adds {name!r} to {registry}"
            there = REGISTRIES[registry].get(name)
            if there is not None and there != kind and not _is_of(there, module):
                raise UserError(f"{what}, which has one; choose another name")
            if not isinstance(name, str):
                raise UserError(f"{what}: wanted text as its name")
            _check_entry(imported(kind, name), registry, what)
    _check_options(found, source)
    for registry, additions in found.items():
        REGISTRIES[registry].update(additions)


def _check_entry(kind: object, registry: str, what: str) -> None:
    """Raise :class:`UserError` where what a plugin adds cannot be an entry of the registry."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise UserError(f"{what}, which is no dataclass of options")
    base = imported(BASES[registry], registry)
    if not issubclass(kind, base):
        raise UserError(f"{what}, which does not derive from {base.__module__}.{base.__name__}")
    if inspect.isabstract(kind):
        raise UserError(f"{what}, which lacks {', '.join(sorted(kind.__abstractmethods__))}")
    for f in fields(kind):
        if f.default is MISSING and f.default_factory is MISSING and f.init:
            raise UserError(f"{what}, whose field {f.name} has no default")
    try:
        get_type_hints(kind)
    except Exception as error:  # an annotation may be any expression
        raise UserError(f"{what}, whose annotations fail: {type(error).__name__}: {error}") from error
    for f in option_fields(kind).values():
        if not flag_of(f).startswith("--"):
            raise UserError(f"{what}, whose flag {flag_of(f)!r} does not begin with --")


def _check_options(found: Mapping[str, Mapping[str, str | type]], source: str) -> None:
    """Raise :class:`UserError` where an option that a plugin adds would be taken for another one of the same mode.

    Entries of one registry may share an option where one of them is in use at a time.
    """
    from opticornet.options.modes import MODES, VARIANTS  # which know of plugins themselves

    for mode, options in (*MODES.items(), *VARIANTS.items()):
        new = [
            (choice, name, imported(kind, name))
            for choice, registry in options.registries().items()
            for additions in (found[known] for known in found if REGISTRIES[known] is registry)
            for name, kind in additions.items()
        ]
        names = {(choice, name) for choice, name, _ in new}
        several = {choice for choice in options.registries() if is_tuple(get_type_hints(options)[choice])}
        others = [other for other in options.entries() if other[:2] not in names] if new else []
        for choice, name, kind in new:
            for field_name, f in option_fields(kind).items():
                what = f"the plugin {source}: the option {field_name}, {flag_of(f)}, of {name!r}"
                for own_name, own in options.flags().items():
                    if own_name == field_name or flag_of(f) in spellings(own):
                        raise UserError(f"{what} is taken by --mode {mode} itself ({flag_of(own)}); rename it")
                for other_choice, other_name, other in (*others, *new):
                    alone = choice == other_choice and (name == other_name or choice not in several)
                    if clash := _clash(field_name, flag_of(f), other, may_share=alone):
                        raise UserError(f"{what} is taken by {other_name!r} ({clash}); rename it")


def _clash(name: str, flag: str, other: type, *, may_share: bool) -> str:
    """An option of another entry, name and flag, that could be taken for this one; else an empty text."""
    for other_name, f in option_fields(other).items():
        alike = (other_name == name) + (flag_of(f) == flag)
        if alike == 1 or (alike and not may_share):
            return f"{other_name}, {flag_of(f)}"
    return ""


def _is_of(kind: object, module: ModuleType) -> bool:
    """Whether an entry comes from an earlier state of a plugin file: what it added then may be replaced."""
    file = getattr(sys.modules.get(getattr(kind, "__module__", "")), "__file__", None)
    return file is not None and file == getattr(module, "__file__", None)


def remembered(plugins: Iterable[str | Path]) -> dict[str, str]:
    """Plugin files, as absolute paths, with their SHA-256: what a run remembers of them."""
    return {str(Path(path).resolve()): sha256(Path(path)) for path in plugins}


def load_remembered(plugins: Mapping[str, str], loaded: Iterable[str | Path], run: str) -> None:
    """Load the plugins that a run remembers, unless they are loaded already.

    Args:
        plugins: from :func:`remembered`.
        loaded: plugin files given now; one of the same file name stands for the remembered one.
        run: the run, for messages.

    Raises:
        UserError: one is not there any more, or is not what it was; or as :func:`load_plugins`.
    """
    names = {Path(path).name for path in loaded}
    for path, digest in plugins.items():
        if Path(path).name in names:
            continue
        if not Path(path).is_file():
            raise UserError(
                f"{run} needs the plugin {path}, which is not there; give a file of that name with `plugin`"
            )
        if sha256(Path(path)) != digest:
            raise UserError(f"{run} needs the plugin {path}, which has changed since; give it with `plugin` to use it")
        load_plugin(Path(path))
