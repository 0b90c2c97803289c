"""Versions of what computes: of Python, of this program and of the packages that it uses."""

import importlib
import platform
import sys
from importlib import metadata

from opticornet import __version__

_DISTRIBUTIONS = {  # usual names, where others
    "faiss": "faiss-cpu",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "pytorch_metric_learning": "pytorch-metric-learning",
}
_KEYED_BY_DISTRIBUTION = {"faiss"}  # its builds differ by more than a number: faiss-cpu, faiss-gpu


def versions(*modules: str) -> dict[str, str]:
    """Versions by name, ``python`` and ``opticornet`` first; a package that is not installed is left out.

    Args:
        modules: packages by the name they are imported by, which is their name in the answer too; faiss is named by
            its distribution, where it has one.
    """
    found = {"python": platform.python_version(), "opticornet": __version__}
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
