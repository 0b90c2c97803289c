import subprocess
import sys

import pytest

from opticornet.cli import main
from opticornet.utils import program as module
from opticornet.utils.errors import UserError
from opticornet.utils.program import missing_library, program, refuse_several_processes

STARTED = [
    ("main.py", "python main.py"),
    ("/a/train.py", "python /a/main.py"),
    ("../code/main.py", "python ../code/main.py"),
    ("", "python main.py"),  # from a notebook or python -c
    ("/usr/bin/opticornet", "opticornet"),
    ("/usr/lib/python3/site-packages/opticornet/__main__.py", "python -m opticornet"),
]


@pytest.mark.parametrize(("argument", "name"), STARTED)
def test_the_program_is_named_as_it_was_started(monkeypatch, argument, name):
    monkeypatch.setattr(sys, "argv", [argument])
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert program() == name


def test_commands_to_type_work_where_python_is_another_one(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["main.py"])
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", "/some/where else")
    assert program() == "'/some/where else/bin/python' main.py"
    monkeypatch.setenv("VIRTUAL_ENV", "/some/where else")  # activated
    assert program() == "python main.py"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert program() == ".venv/bin/python main.py"
    bin_folder = tmp_path / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(bin_folder))  # activated
    assert program() == "python main.py"


def test_a_missing_library_is_a_line_that_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    error = ModuleNotFoundError("No module named 'numpy.linalg'", name="numpy.linalg")
    assert (
        missing_library(error)
        == f"numpy is not installed for {sys.executable}; {sys.executable} -m pip install opticornet"
    )
    (tmp_path / "pyproject.toml").touch()
    assert "-m pip install -e " in missing_library(error)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    monkeypatch.chdir(tmp_path)
    assert missing_library(error).endswith(
        "type .venv/bin/python instead of python, or first: source .venv/bin/activate"
    )
    for ours in ("opticornet.gone", "json.gone", None):
        assert missing_library(ModuleNotFoundError("", name=ours)) == ""


@pytest.mark.parametrize("mode", [["--mode", "train"], ["--mode", "test", "--pooling", "single"], ["--mode", "check"]])
def test_without_libraries_the_program_says_so_in_one_line(root, mode):
    """As in an environment that has none: no folder of packages is looked into."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", BARE, *mode], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "is not installed for" in done.stderr


BARE = """
import sys
sys.path.insert(0, ".")
from opticornet.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_several_processes_are_refused(monkeypatch):
    for count in ("", "1", "many"):
        monkeypatch.setenv("WORLD_SIZE", count)
        refuse_several_processes()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="WORLD_SIZE is 2"):
        refuse_several_processes()


@pytest.mark.parametrize("line", [["--mode", "train"], ["--mode", "test", "--pooling", "single"]])
def test_train_and_test_are_not_done_twice_at_once(monkeypatch, tmp_path, capsys, line):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.chdir(tmp_path)
    assert main(line) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
