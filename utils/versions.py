"""Versions of what computes: of Python, of this program and of the packages that it uses."""

import importlib
import platform
import sys
import tomllib
from importlib import metadata
from pathlib import Path

_OWN = "opticornet"
_DISTRIBUTIONS = {"faiss": "faiss-cpu", "PIL": "pillow", "cv2": "opencv-python-headless"}  # usual names, where others
_KEYED_BY_DISTRIBUTION = {"faiss"}  # its builds differ by more than a number: faiss-cpu, faiss-gpu


def versions(*modules: str) -> dict[str, str]:
    """Versions by name, ``python`` and ``opticornet`` first; a package that is not installed is left out.

    Args:
        modules: packages by the name they are imported by, which is their name in the answer too; faiss is named by
            its distribution, where it has one.
    """
    found = {"python": platform.python_version(), _OWN: _own_version()}
    for module in modules:
        distribution, version = _installed(module)
        if version:
            found[distribution if module in _KEYED_BY_DISTRIBUTION else module] = version
    return found


def _installed(module: str) -> tuple[str, str | None]:
    """A module's distribution, or its own name where it came without one, and its version; None: not installed."""
    usual = _DISTRIBUTIONS.get(module, module)
    if version := _distribution_version(usual):
        return usual, version
    for distribution in metadata.packages_distributions().get(module, ()):
        if version := _distribution_version(distribution):
            return distribution, version
    try:
        imported = sys.modules.get(module) or importlib.import_module(module)
    except ImportError:
        return module, None
    return module, str(getattr(imported, "__version__", "unknown"))


def _distribution_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _own_version() -> str:
    """A checkout's pyproject.toml is asked before the metadata, which may be of another copy."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return _distribution_version(_OWN) or "unknown"
