"""Opening the local features that belong to descriptors."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.descriptors.files import identity_in, read_identity
from opticornet.datasets.descriptors.local_files import AS_RECORDED, LocalSource, local_features_path, store_record
from opticornet.datasets.drives import JoinedRows
from opticornet.utils.array_files import map_npy, undamaged
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix


def open_local_features(
    descriptors: Path, count: int, wanted: LocalSource = AS_RECORDED, within: Path = Path()
) -> RowMatrix | None:
    """The local features of ``count`` frames, memory-mapped; None where there are none.

    Args:
        descriptors: the file of their descriptors.
        wanted: where they are, and how many per frame.
        within: the descriptors' folder inside their dataset, which is also their folder inside ``wanted.store``.

    Returns:
        (N, R, C) float16 or float32.

    Raises:
        UserError: files are missing or damaged, of other images or of another extraction; fewer features than wanted.
    """
    identity = (read_identity(descriptors) if descriptors.is_file() else None) or {}
    if wanted.store:
        parts, where = _of_store(Path(wanted.store, within), descriptors, identity, count)
    elif identity.get("local_store"):
        parts, where = _of_store(Path(identity["local_store"]), descriptors, identity, count)
    else:
        path = local_features_path(descriptors)
        if path.suffix != ".npy" or not path.is_file():
            return None
        parts, where = [_open(path)], path
        if identity and identity.get("local_shape") != list(parts[0].shape[1:]):
            raise UserError(
                f"{path}: shape {parts[0].shape}, and the record of {descriptors} says "
                f"{identity.get('local_shape') or 'none'} per image; extract both again with `overwrite`"
            )
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    if len(shape) != 3 or shape[0] != count:
        raise UserError(f"{where}: shape {shape}; wanted ({count}, R, C), one row per row of {descriptors}")
    if wanted.features > shape[1]:
        raise UserError(
            f"`local_features` {wanted.features}: {where} has {shape[1]} per image; choose no more, or extract more"
        )
    parts = [part[:, : wanted.features or None] for part in parts]
    return parts[0] if len(parts) == 1 else JoinedRows(parts)


def _of_store(
    folder: Path, descriptors: Path, identity: dict[str, object], count: int
) -> tuple[list[np.ndarray], Path]:
    """The files of a store, and its record, once it is known that they are of the same extraction."""
    path = store_record(folder, descriptors)
    if not path.is_file():
        raise UserError(
            f"{descriptors}: no local features of it in {folder} ({path.name} is missing); give the folder that has "
            "them as `local_store`, or extract them with `local`"
        )
    with undamaged(path, "extract again"):
        saved = json.loads(path.read_text(encoding="utf-8"))
        files, made_by = [folder / Path(str(name)).name for name in saved["files"]], dict(saved["identity"])
    if not identity:
        raise UserError(
            f"{path}: nothing beside {descriptors} says whether it is of the same extraction; extract both again"
        )
    if difference := _difference(made_by, identity_in(identity)):
        raise UserError(
            f"{path}: local features of another extraction than {descriptors} ({difference}); extract both again, or "
            "give their own `local_store`"
        )
    if missing := next((file for file in files if not file.is_file()), None):
        raise UserError(f"{missing}: no such file, and {path} names it; copy it again, or extract again")
    parts = [_open(file) for file in files]
    if not parts or any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        raise UserError(f"{path}: its files do not go together; extract again with `overwrite`")
    return parts, path


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """In words, the first thing in which two identities differ, of tables only the entry; empty where they agree."""
    for key in dict.fromkeys((*theirs, *ours)):
        there, here = theirs.get(key), ours.get(key)
        if there == here:
            continue
        if isinstance(there, dict) and isinstance(here, dict):
            return f"{key} {_difference(there, here)}"
        return f"{key} {_said(there)}, not {_said(here)}"
    return ""


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def _open(path: Path) -> np.ndarray:
    features = map_npy(path)
    if features.dtype not in (np.float16, np.float32):
        raise UserError(f"{path}: {features.dtype}; wanted float16 or float32; extract it again")
    return features
