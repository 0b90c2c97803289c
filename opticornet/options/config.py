"""Options from a TOML file, and a run's options as one."""

import tomllib
from pathlib import Path
from typing import Any

from opticornet.utils.errors import UserError
from opticornet.utils.files import write_text

OPTIONS_TOML = "options.toml"


def read_config(path: str | Path) -> dict[str, Any]:
    """The options in a TOML file: flags without their dashes, or names of options, to values.

    Raises:
        UserError: no such file, not TOML, or tables where values are wanted.
    """
    if not isinstance(path, str | Path):  # a number would be a file that is open already
        raise UserError(f"`config` {path!r}: wanted the path of a TOML file")
    try:
        with open(path, "rb") as file:
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
