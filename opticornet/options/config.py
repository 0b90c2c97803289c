"""Options from a TOML file, and a run's options as one."""

import tomllib
from pathlib import Path
from typing import Any

from opticornet.utils.errors import UserError
from opticornet.utils.files import write_text
from opticornet.utils.registry import nearest

OPTIONS_TOML = "options.toml"
RECIPES = Path(__file__).resolve().parents[1] / "recipes"  # trainings as their authors ran them, and small ones


def recipes() -> list[str]:
    """Names of the files that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def config_path(name: str) -> Path:
    """A file by its path, or one that comes with the package by its name.

    Raises:
        UserError: it is neither.
    """
    path = Path(name)
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    if name not in recipes():
        raise UserError(
            f"`config` {name}{nearest(name, recipes())}: no such file, and no recipe of the package, which "
            f"are {', '.join(recipes())}"
        )
    return RECIPES / f"{name}.toml"


def read_config(path: str | Path) -> dict[str, Any]:
    """The options in a TOML file, or in a recipe of the package: flags without their dashes, or names of options, to
    values.

    Raises:
        UserError: no such file, not TOML, or tables where values are wanted.
    """
    if not isinstance(path, str | Path):  # a number would be a file that is open already
        raise UserError(f"`config` {path!r}: wanted the path of a TOML file, or the name of a recipe")
    try:
        with open(config_path(str(path)), "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise UserError(f"`config` {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"`config` {path} is not TOML: {error}") from error
    for key, value in values.items():
        if isinstance(value, dict):
            raise UserError(f"`config` {path}: [{key}] is a table; wanted options, each a name = a value")
        if key == "config":
            raise UserError(f"`config` {path} names another one; wanted options only")
    if not isinstance(values.get("mode", ""), str):
        raise UserError(f"`config` {path}: mode {values['mode']!r}: wanted text")
    return values


def write_config(path: Path, record: dict[str, Any]) -> None:
    """Write options, by flag without dashes, so that :func:`read_config` reads them back.

    Raises:
        UserError: the file cannot be written.
    """
    import tomlkit

    write_text(path, tomlkit.dumps(record))
