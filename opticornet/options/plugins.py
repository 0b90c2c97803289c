"""Additions from outside: a Python file, or an installed package, whose registries add to ours.

A plugin holds dictionaries of the same names as the registries it adds to::

    SEQUENCE_ENCODERS = {"weighted": WeightedOptions}

Installed packages announce the module that holds them as an entry point of the group ``opticornet.plugins``.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from opticornet.options.registries import REGISTRIES
from opticornet.utils.errors import UserError

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
            if name in REGISTRIES[registry] and not _is_of(REGISTRIES[registry][name], module):
                raise UserError(f"the plugin {source} adds {name!r} to {registry}, which has one; choose another name")
            if not isinstance(kind, str) and not (isinstance(kind, type) and is_dataclass(kind)):
                raise UserError(f"the plugin {source} adds {name!r} to {registry}, which is no dataclass of options")
    for registry, additions in found.items():
        REGISTRIES[registry].update(additions)


def _is_of(kind: str | type, module: ModuleType) -> bool:
    """Whether an entry comes from an earlier state of a plugin file: what it added then may be replaced."""
    file = getattr(sys.modules.get(getattr(kind, "__module__", "")), "__file__", None)
    return file is not None and file == getattr(module, "__file__", None)


def remembered(plugins: Iterable[str | Path]) -> dict[str, str]:
    """Plugin files, as absolute paths, with their SHA-256: what a run remembers of them."""
    return {str(Path(path).resolve()): plugin_sha256(Path(path)) for path in plugins}


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
    for path, sha256 in plugins.items():
        if Path(path).name in names:
            continue
        if not Path(path).is_file():
            raise UserError(f"{run} needs the plugin {path}, which is not there; give it with `plugin`")
        if plugin_sha256(Path(path)) != sha256:
            raise UserError(f"{run} needs the plugin {path}, which has changed since; give it with `plugin` to use it")
        load_plugin(Path(path))


def plugin_sha256(path: Path) -> str:
    """SHA-256 of a plugin file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
