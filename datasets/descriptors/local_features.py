"""Opening the local features that belong to descriptors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.descriptors.files import identity_in, read_identity, read_usable
from opticornet.datasets.descriptors.local_files import (
    AS_RECORDED,
    LocalSource,
    local_features_path,
    store_files,
    store_record,
)
from opticornet.datasets.drives import JoinedRows
from opticornet.utils.array_files import map_npy, undamaged
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix

_LOOKED_AT = 8  # frames of a file, for one that is not all zeros


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
    store = Path(wanted.store, within) if wanted.store else identity.get("local_store")
    if store:
        where = store_record(Path(store), descriptors)
        parts = _of_store(where, descriptors, identity)
    else:
        where = local_features_path(descriptors)
        if where.suffix != ".npy" or not where.is_file():
            return None
        parts = [_open(where)]
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    if len(shape) != 3 or shape[0] != count:
        raise UserError(f"{where}: shape {shape}; wanted ({count}, R, C), one row per row of {descriptors}")
    if identity and identity.get("local_shape") != list(shape[1:]):
        raise UserError(
            f"{where}: shape {shape}, and the record of {descriptors} says "
            f"{identity.get('local_shape') or 'none'} per image; extract both again with `overwrite`"
        )
    if (dtype := identity.get("local_dtype") or parts[0].dtype) != parts[0].dtype:
        raise UserError(
            f"{where}: {parts[0].dtype}, and the record of {descriptors} says {dtype}; copy it again, or extract again "
            "with `overwrite`"
        )
    _check_filled(parts, read_usable(descriptors, count))
    if wanted.features > shape[1]:
        raise UserError(
            f"`local_features` {wanted.features}: {where} has {shape[1]} per image; choose no more, or extract more"
        )
    parts = [part[:, : wanted.features or None] for part in parts]
    return parts[0] if len(parts) == 1 else JoinedRows(parts)


def _of_store(record: Path, descriptors: Path, identity: dict[str, Any]) -> list[np.ndarray]:
    """The files of a store, once it is known that they are of the same extraction, and whole."""
    if not record.is_file():
        raise UserError(
            f"{descriptors}: no local features of it in {record.parent} ({record.name} is missing); give the folder "
            "that has them as `local_store`, or extract them with `local`"
        )
    with undamaged(record, "extract again"):
        saved = json.loads(record.read_text(encoding="utf-8"))
        names, made_by = list(saved["files"]), dict(saved["identity"])
    if not identity:
        raise UserError(
            f"{record}: nothing beside {descriptors} says whether it is of the same extraction; extract both again"
        )
    if difference := _difference(made_by, identity_in(identity)):
        raise UserError(
            f"{record}: local features of another extraction than {descriptors} ({difference}); extract both again, or "
            "give their own `local_store`"
        )
    files = store_files(record, len(names))
    if not names or names != [file.name for file in files]:
        raise UserError(f"{record}: damaged, its files are not numbered from 0 on; copy it again, or extract again")
    if missing := next((file for file in files if not file.is_file()), None):
        raise UserError(f"{missing}: no such file, and {record} names it; copy it again, or extract again")
    parts = [_open(file) for file in files]
    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        is_full = len(part) == len(first) or (file == files[-1] and len(part) < len(first))
        if part.shape[1:] != first.shape[1:] or part.dtype != first.dtype or not is_full:
            raise UserError(
                f"{file}: {part.shape} {part.dtype} does not go together with {first.shape} {first.dtype} of "
                f"{files[0].name}; copy it again, or extract again with `overwrite`"
            )
    return parts


def _check_filled(parts: Sequence[np.ndarray], usable: np.ndarray | None) -> None:
    """Raise :class:`UserError` where a few frames of a file are zeros throughout: then it was not copied, only made as
    large as it should be."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    for part, end in zip(parts, ends, strict=True):
        frames = np.arange(len(part)) if usable is None else np.flatnonzero(usable[end - len(part) : end])
        some = frames[:: -(-len(frames) // _LOOKED_AT) or 1]
        if len(some) > 1 and not part[some].any():
            raise UserError(
                f"{getattr(part, 'filename', 'local features')}: zeros in all {len(some)} frames of {len(part)} that "
                "were looked at; copy it again, or extract again with `overwrite`"
            )


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
    """A file of local features: as large as it says, of numbers, and not empty."""
    features = map_npy(path)
    if features.dtype not in (np.float16, np.float32):
        raise UserError(f"{path}: {features.dtype}; wanted float16 or float32; extract it again")
    if 0 in features.shape:
        raise UserError(f"{path}: shape {features.shape}; wanted local features of at least 1 row and 1 channel")
    if isinstance(features, np.memmap) and (more := path.stat().st_size - features.offset - features.nbytes):
        raise UserError(f"{path}: {more} bytes behind its {features.shape} {features.dtype}; copy or extract it again")
    return features
