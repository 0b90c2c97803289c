"""How this program was started, for the commands it asks the user to type."""

import os
import shlex
import shutil
import sys
from pathlib import Path, PurePath

from opticornet.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]  # of a checkout
DOORS = ("main.py", "train.py", "test.py")


def program() -> str:
    """What was typed to start it: ``opticornet``, ``python -m opticornet`` or ``python main.py``, as it was found.

    Python goes by its path where a virtual environment's runs and ``python`` is another one.
    """
    started = PurePath(sys.argv[0])
    if started.parts[-2:] == ("opticornet", "__main__.py"):
        return f"{python()} -m opticornet"
    if started.stem == "opticornet":
        return "opticornet"
    door = started.with_name("main.py") if started.name in DOORS else "main.py"
    return f"{python()} {shlex.quote(str(door))}"


def python() -> str:
    """What to type for this Python: ``python``, unless it is that of a virtual environment which is not activated."""
    here = Path(sys.prefix, "bin", "python")
    found = shutil.which("python")
    activated = os.environ.get("VIRTUAL_ENV") == sys.prefix or (found and Path(found).parent == here.parent)
    if sys.prefix == sys.base_prefix or activated:
        return "python"
    return os.path.relpath(here) if here.is_relative_to(ROOT) else shlex.quote(str(here))


def missing_library(error: Exception) -> str:
    """What to do about a library that is not installed, in a sentence; empty where that is not what failed."""
    library = str(error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library in ("", "opticornet", *sys.stdlib_module_names):
        return ""
    environment = ROOT / ".venv" / "bin"
    if (environment / "python").exists() and Path(sys.prefix) != environment.parent:
        here = os.path.relpath(environment)
        advice = f"type {here}/python instead of python, or first: source {here}/activate"
    elif (ROOT / "pyproject.toml").is_file():
        advice = f"{sys.executable} -m pip install -e {os.path.relpath(ROOT)}, or make demo, which installs into .venv"
    else:
        advice = f"{sys.executable} -m pip install opticornet"
    return f"{library} is not installed for {sys.executable}; {advice}"


def refuse_several_processes() -> None:
    """Raise :class:`UserError` where a launcher (torchrun) started this program several times over."""
    count = os.environ.get("WORLD_SIZE", "")
    if count.isdecimal() and int(count) > 1:
        raise UserError(
            f"WORLD_SIZE is {count}: each of these processes would do all of the work; training on several is not "
            "supported, start the program once, without torchrun"
        )
