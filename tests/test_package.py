"""The package as others get it: built to a wheel and installed, or unpacked where there are no links."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("models", "datasets", "utils")
SMALL = ("--nEpochs", "1", "--outDims", "16", "--device", "cpu")
EVERY_MODULE_THEN_TRAIN = """
import importlib, pathlib, sys
from opticornet.cli import main
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/**/*.py")):
    parts = path.relative_to(sys.argv[1]).with_suffix("").parts
    if parts[0] in ("opticornet", "models", "datasets", "utils") and parts[-1] != "__main__":
        name = ".".join(parts if parts[0] == "opticornet" else ("opticornet", *parts)).removesuffix(".__init__")
        importlib.import_module(name)
print(sum(name.startswith("opticornet.") for name in sys.modules), "modules")
sys.exit(main(["--mode", "train", *sys.argv[2:]]))
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """What a command that has to end well prints, started in ``folder`` with nothing on Python's path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment
    done = subprocess.run(list(map(str, command)), cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_of_the_code(folder: Path, links: bool) -> Path:
    """The files that are packaged; without ``links`` as an archive is unpacked where there are none."""
    for name in ("opticornet", *FOLDERS):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "main.py"):
        shutil.copy(ROOT / name, folder / name)
    if not links:
        for name in FOLDERS:
            link = folder / "opticornet" / name
            if link.is_symlink():
                link.unlink()
            link.write_text(f"../{name}")
    return folder


def wheel_of(source: Path, output: Path) -> Path:
    """Built without a network."""
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", ".", *flags, "-w", output, folder=source)
    (wheel,) = output.glob("opticornet-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source = copy_of_the_code(tmp_path_factory.mktemp("source"), links=True)
    return wheel_of(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unlinked(tmp_path_factory) -> Path:
    return copy_of_the_code(tmp_path_factory.mktemp("unlinked"), links=False)


@pytest.fixture(scope="module")
def commands(wheel, tmp_path_factory) -> Path:
    """The folder of the commands of an environment with the wheel; other libraries are those of this environment."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", wheel, folder=environment)  # while pip sees nothing else
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=environment).strip()
    Path(packages, "host.pth").write_text("\n".join(sorted({sysconfig.get_path(n) for n in ("purelib", "platlib")})))
    return environment / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(wheel, root):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = [path for name in ("opticornet", *FOLDERS) for path in (root / name).rglob("*")]
    names = [path.relative_to(root).as_posix() for path in ours if path.is_file() and path.suffix != ".pyc"]
    assert held == {name if name.startswith("opticornet/") else f"opticornet/{name}" for name in names}
    assert {"opticornet/models/sequences/dsdnet.py", "opticornet/reports/templates/page.html"} <= held


def test_the_installed_command_trains_and_tests(commands, tmp_path):
    said = run(commands / "opticornet", "--mode", "train", *SMALL, folder=tmp_path)
    assert "next: opticornet --mode test --resume data/runs/" in said
    assert "dsdnet S5 (adapted) on synthetic (test)" in run(
        commands / "opticornet", "--mode", "test", "--resume", "--bootstrap", "0", folder=tmp_path
    )


def test_the_package_runs_as_a_module(commands, tmp_path):
    assert "--mode MODE" in run(commands / "python", "-m", "opticornet", "--help", folder=tmp_path)


def test_another_package_called_datasets_does_no_harm(commands, tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("OTHER = True")
    code = "import datasets, opticornet.datasets.windows as ours; print(datasets.OTHER, ours.__name__)"
    assert run(commands / "python", "-c", code, folder=tmp_path) == "True opticornet.datasets.windows\n"


def test_the_wheel_is_the_same_without_links(wheel, unlinked, tmp_path):
    other = wheel_of(unlinked, tmp_path)
    assert sorted(zipfile.ZipFile(other).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_unpacked_without_links_every_module_is_found_and_it_trains(unlinked, tmp_path):
    code = ("-c", EVERY_MODULE_THEN_TRAIN, unlinked, *SMALL)
    said = run(sys.executable, *code, folder=tmp_path, PYTHONPATH=str(unlinked))
    assert int(said.split(" modules")[0]) > 100
    assert re.search(r"^next: \S*python main.py --mode test", said, re.MULTILINE)
