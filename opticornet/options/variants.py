"""Which options a mode has, where that depends on what is given."""

from collections.abc import Mapping
from typing import Any

from opticornet.inference.runs import SAVE_PATH, find_run, is_of_images, read_flags
from opticornet.options.base import Options
from opticornet.options.config import read_config
from opticornet.options.modes import MODES, VARIANTS
from opticornet.options.shared import SEQNET_DATASETS, SYNTHETIC
from opticornet.utils.errors import UserError

DECIDING = ("descType", "dataset", "pooling", "resume", "runsPath", "savePath")  # flags that take a value
_BY_NAME = {"desc_type": "descType", "runs_path": "runsPath", "save_path": "savePath"}


def options_of(mode: str, given: Mapping[str, Any]) -> type[Options]:
    """The options of a mode.

    Args:
        given: values by flag without its dashes, or by field name; more of them may be in the file that ``config``
            names.

    Raises:
        UserError: that file cannot be read.
    """
    config = read_config(given["config"]) if given.get("config") else {}
    values = {_BY_NAME.get(key, key): value for key, value in (config | dict(given)).items()}
    asked = {"extract": _asks_for_sequences, "train": _asks_for_images}.get(mode)
    return VARIANTS[mode] if asked and asked(values) else MODES[mode]


def _asks_for_sequences(values: Mapping[str, Any]) -> bool:
    return bool(values.get("sequence"))


def _asks_for_images(values: Mapping[str, Any]) -> bool:
    """An image encoder is named, and no descriptors of seqNet's data; or the run to resume learned one."""
    if "pooling" in values:
        return False
    if "descType" in values:
        return values.get("dataset") not in (*SEQNET_DATASETS, *SYNTHETIC)
    if not values.get("resume"):
        return False
    save_path = str(values.get("savePath", SAVE_PATH))
    try:
        run = find_run(str(values["resume"]), str(values.get("runsPath", "data/runs")), save_path)
        return is_of_images(read_flags(run, save_path))
    except UserError:  # the step says why
        return False
