"""Additions from outside: a Python file, or an installed package, whose registries add to ours.

A plugin holds dictionaries of the same names as the registries it adds to::

    SEQUENCE_ENCODERS = {"weighted": WeightedOptions}

Installed packages announce the module that holds them as an entry point of the group ``opticornet.plugins``.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType

from opticornet.options.registries import REGISTRIES
from opticornet.utils.errors import UserError

GROUP = "opticornet.plugins"


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
    name = f"opticornet_plugin_{path.stem}_{plugin_sha256(path)[:12]}"
    if name in sys.modules:
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
        if isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        raise UserError(f"`plugin` {path} fails: {type(error).__name__}: {error}") from error
    return module


def load_installed() -> None:
    """Add the registries of installed packages.

    Raises:
        UserError: one of them fails when it is imported, adds nothing, or adds a name that is taken.
    """
    for point in metadata.entry_points(group=GROUP):
        try:
            module = point.load()
        except Exception as error:  # whatever foreign code raises
            raise UserError(f"the installed plugin {point.value} fails: {type(error).__name__}: {error}") from error
        add_registries(module, point.value)


def add_registries(module: ModuleType, source: str) -> None:
    """Add the registries that a module holds to ours.

    Raises:
        UserError: it holds none, or a name in one is taken.
    """
    found = {name: value for name, value in vars(module).items() if name in REGISTRIES and isinstance(value, dict)}
    if not found:
        raise UserError(f"the plugin {source} adds nothing: wanted a dictionary named {' or '.join(REGISTRIES)}")
    for registry, additions in found.items():
        known = REGISTRIES[registry]
        if taken := [name for name in additions if name in known and known[name] is not additions[name]]:
            raise UserError(f"the plugin {source} adds {taken[0]!r} to {registry}, which has one; choose another name")
    for registry, additions in found.items():
        REGISTRIES[registry].update(additions)


def plugin_sha256(path: Path) -> str:
    """SHA-256 of a plugin file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
