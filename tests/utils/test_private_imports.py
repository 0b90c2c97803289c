"""Foreign code imported in private: found first, kept, and never in the way."""

import importlib
import sys

import pytest

from opticornet.utils.private_imports import PrivateImports


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    importlib.invalidate_caches()
    return folder


@pytest.fixture(autouse=True)
def unchanged():
    """Every test leaves sys.modules, sys.path and sys.meta_path as they were."""
    before = dict(sys.modules), list(sys.path), list(sys.meta_path)
    yield
    assert (sys.modules, sys.path, sys.meta_path) == before


def test_names_are_those_of_packages_and_files_with_code(tmp_path):
    files = (
        "models/__init__.py",
        "space/part/code.py",
        "vpr.py",
        "__main__.py",
        "logging.py",
        "data/a.txt",
        "a-b/c.py",
    )
    write(tmp_path, dict.fromkeys(files, ""))
    assert PrivateImports(tmp_path).names == {"models", "space", "vpr"}


def test_the_folder_wins_over_what_is_imported_and_installed(tmp_path, monkeypatch):
    theirs = write(tmp_path / "site", {"modelz/__init__.py": "WHOSE = 'theirs'"})
    ours = write(tmp_path / "ours", {"modelz/part.py": "WHOSE = 'ours'"})  # a folder alone, without __init__.py
    monkeypatch.syspath_prepend(theirs)
    imported = importlib.import_module("modelz")
    imports = PrivateImports(ours)
    with imports.active():
        assert importlib.import_module("modelz.part").WHOSE == "ours"
        assert sys.path[0] == str(ours)
    assert sys.modules["modelz"] is imported
    assert "modelz.part" not in sys.modules
    del sys.modules["modelz"]


def test_modules_are_kept_from_one_use_to_the_next(tmp_path):
    folder = write(tmp_path / "f", {"kept.py": "COUNT = []", "later.py": "import kept", "third/party.py": ""})
    imports = PrivateImports(folder)
    with imports.active():
        importlib.import_module("kept").COUNT.append(1)
        sys.path.append(str(folder / "third"))
    assert "kept" not in sys.modules
    with imports.active():
        assert importlib.import_module("later").kept.COUNT == [1]
        importlib.import_module("party")  # what the code put on the path is still there
    assert not {"kept", "later", "party"} & set(sys.modules)


def test_modules_of_other_homes_are_kept_apart_and_installed_ones_stay(tmp_path, monkeypatch):
    folder = write(tmp_path / "f", {"own.py": ""})
    nested = write(tmp_path / "hub" / "other", {"backbone.py": ""})
    installed = write(tmp_path / "site", {"installed_lately.py": ""})
    monkeypatch.syspath_prepend(installed)
    imports = PrivateImports(folder, also=(tmp_path / "hub",))
    with imports.active():
        sys.path.insert(0, str(nested))
        backbone = importlib.import_module("backbone")
        importlib.import_module("installed_lately")
        sys.path.remove(str(nested))
    assert "backbone" not in sys.modules
    assert "installed_lately" in sys.modules
    with imports.active():
        assert importlib.import_module("backbone") is backbone
    del sys.modules["installed_lately"]


def test_an_error_leaves_everything_as_it_was(tmp_path):
    folder = write(tmp_path, {"broken.py": "import sys; sys.path.append('x'); 1 / 0"})
    with pytest.raises(ZeroDivisionError), PrivateImports(folder).active():
        importlib.import_module("broken")
