"""Imports of foreign code whose top-level names are anybody's: ``models``, ``utils``, ``datasets``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class PrivateImports:
    """What is imported from a folder of Python code, apart from all else in the process.

    Inside :meth:`active` the folder comes first on ``sys.path`` and its own packages are found before any others of
    their names, imported or not. Afterwards ``sys.path`` and ``sys.modules`` are as before, but for modules from
    elsewhere that were imported for the first time. The folder's modules are kept and are there again inside the next
    :meth:`active`, so a function that imports when it is called finds them. ``sys.modules`` belongs to all threads:
    one at a time.

    Args:
        folder: what holds the code; its packages, folders with Python files and files are its own top-level names,
            unless the standard library has them.
        also: further folders whose modules are kept apart once they are imported.
    """

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        self.folder = folder.resolve()
        self.names = frozenset(_top_level_names(self.folder))
        self._homes = (self.folder, *(home.resolve() for home in also))
        self._path = [str(self.folder)]
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Import from the folder inside ``with``."""
        names = self.names | {_top_level_name(name) for name in self._modules}
        hidden = {name: module for name, module in sys.modules.items() if _top_level_name(name) in names}
        before, path, finder = dict(sys.modules), list(sys.path), _FolderFinder(self.folder, self.names)
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(self._modules)
        sys.path[:] = [*self._path, *path]
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            self._path = [entry for entry in sys.path if entry not in path]
            sys.path[:] = path
            self._modules = {
                name: module
                for name, module in list(sys.modules.items())
                if _top_level_name(name) in names or (before.get(name) is not module and self._is_at_home(module))
            }
            for name in self._modules:
                del sys.modules[name]
            sys.modules.update(hidden)

    def _is_at_home(self, module: ModuleType) -> bool:
        places = [getattr(module, "__file__", None), *list(getattr(module, "__path__", []))]
        paths = [Path(place).resolve() for place in places if isinstance(place, str)]
        return any(path.is_relative_to(home) for path in paths for home in self._homes)


class _FolderFinder(MetaPathFinder):
    """Finds top-level names in one folder, also those of folders without an ``__init__.py``."""

    def __init__(self, folder: Path, names: frozenset[str]) -> None:
        self.folder, self.names = folder, names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname not in self.names:
            return None
        return PathFinder.find_spec(fullname, [str(self.folder)])


def _top_level_names(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        holds_code = entry.suffix == ".py" if entry.is_file() else any(entry.glob("*.py")) or any(entry.glob("*/*.py"))
        name = entry.stem if entry.is_file() else entry.name
        if holds_code and name.isidentifier() and not name.startswith("__") and name not in sys.stdlib_module_names:
            yield name


def _top_level_name(name: str) -> str:
    return name.partition(".")[0]
