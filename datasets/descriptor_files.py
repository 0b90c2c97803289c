"""A descriptor file, the record beside it, and what there is of both while a run is unfinished.

``summer.npy`` (N, D) comes with ``summer.json``: the run's identity (everything a descriptor depends on), versions, and
the names of the N images in order. Where some images say nothing of their place, their rows are zeros and
``summer.usable.npy`` (N,) bool is False there. Until all rows are there they are in ``summer.npy.part``, and
``summer.json.part`` says how many of them are certain.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, write_json, writing
from opticornet.utils.rows import RowWriter

BLOCK_BYTES = 64 << 20  # of descriptors in memory while standardising


def unfinished_path(path: Path) -> Path:
    """Where the content of ``path`` is written until it is complete."""
    return path.with_name(f"{path.name}.part")


def local_features_path(path: Path) -> Path:
    """Where the local features that belong to the descriptors ``path`` are."""
    return path.with_name(f"{path.stem}-local{path.suffix}")


def usable_path(path: Path) -> Path:
    """Where it is said which rows of the descriptors ``path`` can be used; no such file: all of them."""
    return path.with_name(f"{path.stem}.usable.npy")


def read_usable(path: Path, count: int) -> np.ndarray | None:
    """Which of the ``count`` rows of the descriptors ``path`` can be used: (N,) bool, or None for all of them.

    Raises:
        UserError: the file that says so is damaged, or belongs to another number of rows.
    """
    beside = usable_path(path)
    if not beside.is_file():
        return None
    try:
        usable = np.load(beside, allow_pickle=False)
    except Exception as error:  # NumPy raises whatever its parsers do on a damaged header
        raise UserError(f"{beside}: cannot be read ({type(error).__name__}); extract {path.name} again") from error
    if not isinstance(usable, np.ndarray) or usable.shape != (count,) or usable.dtype != np.bool_:
        raise UserError(f"{beside}: wanted ({count},) bool, one per row of {path.name}; extract it again")
    return usable


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        images: rows written; one per image looked at.
        unusable: ``row``, ``name`` and ``reason`` of each image that says nothing of its place.
        shape: of a prepared image; all have the same.
    """

    images: int = 0
    unusable: list[dict[str, Any]] = field(default_factory=list)
    shape: list[int] | None = None

    @property
    def usable(self) -> np.ndarray | None:
        """(images,) bool; None where all are."""
        if not self.unusable:
            return None
        usable = np.ones(self.images, np.bool_)
        usable[[image["row"] for image in self.unusable]] = False
        return usable


@dataclass(frozen=True)
class DescriptorFiles:
    """The files of one extraction.

    Attributes:
        output: the descriptors, ``.npy``.
        identity: everything they depend on, in JSON's types.
        overwrite: whether what another run left there may go.
        with_local: whether local features are written too.
    """

    output: Path
    identity: dict[str, Any]
    overwrite: bool = False
    with_local: bool = False

    @property
    def record(self) -> Path:
        return self.output.with_suffix(".json")

    @property
    def local(self) -> Path:
        return local_features_path(self.output)

    @property
    def arrays(self) -> tuple[Path, ...]:
        return (self.output, self.local) if self.with_local else (self.output,)

    def is_finished(self) -> bool:
        """Whether exactly these descriptors are there already.

        Raises:
            UserError: something else is there, and may not be overwritten.
        """
        if self.overwrite:
            return False
        if not self.output.exists() and not self.local.exists():
            if self.record.exists() and "encoder" not in (_read_json(self.record) or {}):
                raise UserError(
                    f"{self.record} exists and is no record of descriptors: choose another `output`, or "
                    "give `overwrite` to replace it"
                )
            return False
        if difference := self._difference(_read_json(self.record)):
            raise UserError(
                f"{self.output} exists and was made otherwise ({difference}): choose another `output`, or "
                "give `overwrite` to replace it"
            )
        if not all(path.exists() for path in self.arrays):
            return False  # killed while publishing
        self._clear()
        return True

    def read_progress(self) -> Progress:
        """How far an earlier run of the same identity came; nothing done if there was none.

        Raises:
            UserError: an unfinished run of something else is there, and may not be overwritten.
        """
        path = unfinished_path(self.record)
        if not path.exists():
            return Progress()
        saved = _read_json(path) or {}
        difference = self._difference(saved.get("identity"))
        if not difference:
            try:
                return Progress(**saved["progress"])
            except (KeyError, TypeError):
                return Progress()
        if self.overwrite or saved.get("progress", {}).get("images") == 0:
            return Progress()
        raise UserError(
            f"{self.output} was started otherwise and never finished ({difference}): choose another "
            "`output`, or give `overwrite` to start again"
        )

    def save_progress(self, progress: Progress) -> None:
        """Call after the rows are on the disk."""
        write_json(unfinished_path(self.record), {"identity": self.identity, "progress": asdict(progress)})

    def publish(self, details: dict[str, Any], *, usable: np.ndarray | None = None, standardised: bool = False) -> None:
        """Turn the unfinished files into finished ones; killed anywhere in between, a new run completes it.

        ``usable`` (N,) bool is written beside them. With ``standardised`` the descriptors go through
        :func:`standardise`; the plain ones stay until that is done.
        """
        ready = unfinished_path(self.output)
        if standardised and ready.exists():
            ready = unfinished_path(ready)
            standardise(unfinished_path(self.output), ready, usable)
        with writing(self.output):
            if ready.exists():  # never a new record beside old rows
                self.output.unlink(missing_ok=True)
            if not self.with_local or unfinished_path(self.local).exists():
                self.local.unlink(missing_ok=True)
            self._write_usable(usable)
            write_json(self.record, self.identity | details)
            if self.with_local and unfinished_path(self.local).exists():
                os.replace(unfinished_path(self.local), self.local)
            if ready.exists():
                os.replace(ready, self.output)
            self._clear()

    def _write_usable(self, usable: np.ndarray | None) -> None:
        path = usable_path(self.output)
        if usable is None:
            path.unlink(missing_ok=True)
            return
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, usable)

    def _clear(self) -> None:
        """Remove what is left of a run that was killed after its last file was in place."""
        for path in (unfinished_path(self.output), *self.arrays, self.record):
            if unfinished_path(path).exists():
                unfinished_path(path).unlink()

    def _difference(self, saved: dict[str, Any] | None) -> str:
        """In words, the first thing in which a saved identity differs from this one; empty if none."""
        if not saved:
            return "no readable record beside it says how"
        for key, now in self.identity.items():
            then = saved.get(key)
            if then == now:
                continue
            if isinstance(then, dict) and isinstance(now, dict):
                inner = next((k for k in now if then.get(k) != now[k]), None)
                if inner is not None:
                    return f"{key} {inner} {then.get(inner)}, now {now[inner]}"
            return f"{key} {then}, now {now}"
        return ""


def read_identity(path: Path) -> dict[str, Any] | None:
    """The identity of finished descriptors, as the record beside them has it.

    None where there is no record, or one of other descriptors (by their shape).
    """
    record = _read_json(path.with_suffix(".json")) if path.suffix == ".npy" else None
    if record is None or not {"encoder", "weights", "rows", "dims"} <= record.keys():
        return None
    shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    is_ours = shape == (record["rows"], record["dims"]) and isinstance(record["weights"], dict)
    return record if is_ours and "kind" in record["weights"] else None


def standardise(path: Path, target: Path, usable: np.ndarray | None = None) -> None:
    """Copy a ``.npy`` with its rows as (row - mean) / deviation over all rows, each then of unit length.

    Rows that are not ``usable`` (N,) take no part and become zeros, as does a dimension that never varies. Mean and
    deviation are float64; memory does not grow with the rows.
    """
    rows = np.load(path, mmap_mode="r", allow_pickle=False)
    weights = np.ones(len(rows)) if usable is None else usable.astype(np.float64)
    block = max(1, BLOCK_BYTES // (rows.shape[1] * 8))
    starts = range(0, len(rows), block)
    total = weights.sum()
    mean = sum(weights[i : i + block] @ np.asarray(rows[i : i + block], np.float64) for i in starts) / total
    variance = sum(weights[i : i + block] @ np.square(rows[i : i + block] - mean) for i in starts) / total
    deviation = np.sqrt(variance)
    scale = np.divide(1, deviation, out=np.zeros_like(mean), where=deviation > 1e-9)
    writer = RowWriter(target, rows.shape[1:], rows.dtype)
    try:
        for i in starts:
            standard = (rows[i : i + block] - mean) * scale * weights[i : i + block, None]
            length = np.linalg.norm(standard, axis=1, keepdims=True)
            writer.append(standard / np.maximum(length, 1e-12))
        writer.sync()
    finally:
        writer.close()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
