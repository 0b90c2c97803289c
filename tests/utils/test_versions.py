"""Versions of packages, however they were installed."""

import platform
import sys
import tomllib
from importlib import metadata
from types import SimpleNamespace

import pytest

from opticornet.utils.versions import versions


@pytest.fixture
def installed(monkeypatch):
    """Distributions as if nothing else were installed: name to version, and the modules that each holds."""

    def pretend(distributions: dict[str, str], modules: dict[str, list[str]]) -> None:
        def version(name: str) -> str:
            if name not in distributions:
                raise metadata.PackageNotFoundError(name)
            return distributions[name]

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "packages_distributions", lambda: modules)

    return pretend


def test_python_and_this_program_come_first(root):
    found = versions("torch", "numpy")
    assert list(found) == ["python", "opticornet", "torch", "numpy"]
    assert found["python"] == platform.python_version()
    assert found["opticornet"] == tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert found["torch"] == metadata.version("torch")


def test_faiss_of_another_name_is_named_by_it(installed):
    installed({"faiss-gpu": "1.7.2"}, {"faiss": ["faiss-gpu"]})
    assert {"faiss-gpu": "1.7.2"}.items() <= versions("faiss").items()
    installed({"faiss-cpu": "1.9.0"}, {"faiss": ["faiss-cpu"]})
    assert versions("faiss")["faiss-cpu"] == "1.9.0"


def test_a_package_without_a_distribution_knows_its_version(installed, monkeypatch):
    installed({}, {})
    monkeypatch.setitem(sys.modules, "faiss", SimpleNamespace(__version__="1.13"))
    assert versions("faiss")["faiss"] == "1.13"
    monkeypatch.setitem(sys.modules, "faiss", SimpleNamespace())
    assert versions("faiss")["faiss"] == "unknown"


def test_modules_that_are_not_called_as_their_distribution(installed):
    installed({"opencv-contrib-python": "5.0", "pillow": "12.1"}, {"cv2": ["opencv-contrib-python"]})
    found = versions("PIL", "cv2")
    assert (found["PIL"], found["cv2"]) == ("12.1", "5.0")


def test_what_is_not_installed_is_left_out(installed):
    installed({}, {})
    assert "a_package_of_no_one" not in versions("a_package_of_no_one")
