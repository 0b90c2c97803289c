"""A descriptor file, the record beside it, and what there is of both while a run is unfinished.

``summer.npy`` (N, D) comes with ``summer.json``: the run's identity (everything a descriptor depends on), versions, and
the names of the N images in order, and where the store of their local features is, if they have one. Where some images
say nothing of their place, their rows are zeros and ``summer.usable.npy`` (N,) bool is False there. Until all rows are
there they are in ``summer.npy.part``, and ``summer.json.part`` says how many of them are certain; so says the record of
the store, which may be moved.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.descriptors.local_files import LocalFiles, local_features_path
from opticornet.utils.array_files import map_npy
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, write_json, writing

_WHICH = {"count", "sha256"}  # images they were
_DETAILS = {"rows", "source", "unusable", "shape", "versions", "names", "local_store"}  # of a record, not its identity


def unfinished_path(path: Path) -> Path:
    """Where the content of ``path`` is written until it is complete."""
    return path.with_name(f"{path.name}.part")


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
    usable = map_npy(beside)
    if usable.shape != (count,) or usable.dtype != np.bool_:
        raise UserError(f"{beside}: wanted ({count},) bool, one per row of {path.name}; extract it again")
    return np.array(usable.view(np.uint8) != 0)  # a damaged byte is neither True nor False


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

    def keep(self, images: int) -> None:
        """Go back to where so many images were looked at."""
        self.images = images
        self.unusable = [image for image in self.unusable if image["row"] < images]


@dataclass(frozen=True)
class DescriptorFiles:
    """The files of one extraction.

    Attributes:
        output: the descriptors, ``.npy``.
        identity: everything they depend on, in JSON's types; its ``images`` have a ``count`` and a ``sha256``.
        digest_of_first: the ``sha256`` that the first so many images would have; None where that cannot be told.
        overwrite: whether what another run left there may go.
        local: where local features are written; None: there are none.
    """

    output: Path
    identity: dict[str, Any]
    overwrite: bool = False
    local: LocalFiles | None = None
    digest_of_first: Callable[[int], str | None] = lambda count: None

    @property
    def record(self) -> Path:
        return self.output.with_suffix(".json")

    @property
    def _records(self) -> tuple[Path, ...]:
        """The record beside the descriptors and, where there is one, that of the store."""
        return (self.record, *([self.local.record] if self.local and self.local.record else []))

    @property
    def _place(self) -> dict[str, Any]:
        """What the record says of the store: nothing where there is none."""
        return {"local_store": self.local.store} if self.local and self.local.record else {}

    @property
    def arrays(self) -> tuple[Path, ...]:
        return (self.output, *(self.local.paths if self.local else ()))

    def is_finished(self) -> bool:
        """Whether exactly these descriptors are there already; not where images were appended since.

        Raises:
            UserError: something else is there, and may not be overwritten.
        """
        if self.overwrite:
            return False
        self._check_store()
        if not self.output.exists() and not local_features_path(self.output).exists():
            if self.record.exists() and "encoder" not in (_read_json(self.record) or {}):
                raise UserError(
                    f"{self.record} exists and is no record of descriptors: choose another `output`, or "
                    "give `overwrite` to replace it"
                )
            return False
        record = _read_json(self.record) or {}
        if difference := self._difference(record):
            raise UserError(
                f"{self.output} exists and was made otherwise ({difference}): choose another `output`, or "
                "give `overwrite` to replace it"
            )
        if not all(path.exists() for path in self.arrays):
            return False  # killed while publishing
        if record["images"] != self.identity["images"] and self._begin_with(record["images"]):
            return False
        self._clear()
        if record | self._place != record:  # the store was moved
            write_json(self.record, record | self._place)
        return True

    def read_progress(self) -> Progress:
        """How far an earlier run of the same identity came, also one of the first images; 0 images if there was none.

        Raises:
            UserError: an unfinished run of something else is there, and may not be overwritten.
        """
        path = unfinished_path(self.record)
        if not path.exists():
            return Progress() if self.overwrite or not self.output.exists() else self._reopened()
        saved = _read_json(path) or {}
        try:
            progress = Progress(**saved["progress"])
        except (KeyError, TypeError):
            progress = Progress()
        difference = self._difference(saved.get("identity"))
        if not difference:
            return progress
        if self.overwrite or progress.images == 0:
            return Progress()
        raise UserError(
            f"{self.output} was started otherwise and never finished ({difference}): choose another "
            "`output`, or give `overwrite` to start again"
        )

    def images_left(self) -> int:
        """Images that are still to be described, going by the records alone."""
        unfinished = _read_json(unfinished_path(self.record)) or {}
        finished = _read_json(self.record) if self.output.exists() and not self.overwrite else None
        done = (finished or {}).get("rows") or (unfinished.get("progress") or {}).get("images") or 0
        return max(0, self.identity["images"]["count"] - done)

    def save_progress(self, progress: Progress) -> None:
        """Call after the rows are on the disk."""
        content = {"identity": self.identity | self._place, "progress": asdict(progress)}
        for path in self._records:
            write_json(unfinished_path(path), content)

    def publish(self, details: dict[str, Any], *, usable: np.ndarray | None = None) -> None:
        """Turn the unfinished files into finished ones; killed anywhere in between, a new run completes it.

        ``usable`` (N,) bool is written beside them.
        """
        ready = unfinished_path(self.output)
        with writing(self.output):
            if ready.exists():  # never a new record beside old rows
                self.output.unlink(missing_ok=True)
            written = [path for path in self.arrays[1:] if unfinished_path(path).exists()]
            for path in (*written, *self._superseded()):
                path.unlink(missing_ok=True)
            self._write_usable(usable)
            if self.local and self.local.record:
                files = [path.name for path in self.local.paths]
                write_json(self.local.record, {"identity": self.identity, "files": files})
            write_json(self.record, self.identity | details | self._place)
            for path in written:
                os.replace(unfinished_path(path), path)
            if ready.exists():
                os.replace(ready, self.output)
            self._clear()

    def _superseded(self) -> list[Path]:
        """Local features of earlier extractions, which would be taken for these descriptors'."""
        beside = local_features_path(self.output)
        return ([] if beside in self.arrays else [beside]) + (self.local.superseded() if self.local else [])

    def _check_store(self) -> None:
        """Raise :class:`UserError` where the store holds local features of something else, not to be overwritten."""
        for record in self._records[1:]:
            for path in filter(Path.exists, (record, unfinished_path(record))):
                saved = _read_json(path) or {}
                if (saved.get("progress") or {}).get("images") == 0:
                    continue
                if difference := self._difference(saved.get("identity")):
                    raise UserError(
                        f"{path} is of another extraction ({difference}): choose another `local_store`, or give "
                        "`overwrite` to replace it"
                    )

    def _reopened(self) -> Progress:
        """The rows of finished descriptors of the first images, copied to where the others are appended."""
        record = read_identity(self.output) or {}
        images = record.get("images", {}).get("count")
        if record.get("rows") != images:
            raise UserError(
                f"{self.output} does not hold one row for each of the {images} images of its record: give `overwrite` "
                "to extract all again"
            )
        local = self.local.holding(record["rows"]) if self.local else ()
        if lost := next((path for path in local if not path.exists()), None):
            raise UserError(f"{lost} is missing: give `overwrite` to extract all again")
        in_store = self.local is not None and self.local.record is not None
        for path in (self.output, *(() if in_store else local)):  # a store's files are copied as they are written to
            with writing(unfinished_path(path)):
                shutil.copyfile(path, unfinished_path(path))
        return Progress(record["rows"], record.get("unusable", []), record.get("shape"))

    def _write_usable(self, usable: np.ndarray | None) -> None:
        path = usable_path(self.output)
        if usable is None:
            path.unlink(missing_ok=True)
            return
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, usable)

    def _clear(self) -> None:
        """Remove what is left of a run that was killed after its last file was in place."""
        for path in (*self.arrays, *self._records):
            if unfinished_path(path).exists():
                with suppress(OSError):  # the folder may be read-only, and nothing needs these
                    unfinished_path(path).unlink()

    def _difference(self, saved: dict[str, Any] | None) -> str:
        """In words, the first thing in which a saved identity differs from this one; empty if none."""
        if not saved:
            return "no readable record beside it says how"
        for key, now in self.identity.items():
            then = saved.get(key)
            if key == "images" and isinstance(then, dict) and self._begin_with(then):
                then = then | {name: now[name] for name in _WHICH}
            if then == now:
                continue
            if key == "images" and isinstance(then, dict) and any(then.get(name) != now[name] for name in _WHICH):
                return _other_images(then.get("count"), now["count"])
            if isinstance(then, dict) and isinstance(now, dict):
                inner = next((k for k in now if then.get(k) != now[k]), None)
                if inner is not None:
                    advice = "; `levels` keeps a range" if inner == "range" else ""
                    return f"{key} {inner} {then.get(inner)}, now {now[inner]}{advice}"
            return f"{key} {then}, now {now}"
        if (standardised := saved.get("standardise", "none")) != "none":
            return f"standardise {standardised}, which earlier versions did"
        return self._other_place(saved.get("local_store"))

    def _other_place(self, then: str | None) -> str:
        """In words, where the store of a saved identity is, if that is another than this one and has not come here."""
        now = self._place.get("local_store")
        came = any(path.exists() for record in self._records[1:] for path in (record, unfinished_path(record)))
        return "" if then == now or came else f"local_store {then}, now {now}"

    def _begin_with(self, images: Any) -> bool:
        """Whether the images of a saved identity are the first of these."""
        if not isinstance(images, dict) or not images.keys() >= _WHICH or not isinstance(images["count"], int):
            return False
        fewer = 0 < images["count"] < self.identity["images"]["count"]
        return fewer and self.digest_of_first(images["count"]) == images["sha256"]


def _other_images(then: Any, now: int) -> str:
    if then == now:
        return f"some of the {now} images were changed, renamed or put in another order since"
    more = f", of which the first {then} are not the same" if isinstance(then, int) and now > then else ""
    return f"of {then} images, now there are {now}{more}"


def read_identity(path: Path) -> dict[str, Any] | None:
    """The identity of finished descriptors, as the record beside them has it.

    None where there is no record, or one of other descriptors (by their shape).
    """
    record = _read_json(path.with_suffix(".json")) if path.suffix == ".npy" else None
    if record is None or not {"encoder", "weights", "rows", "dims"} <= record.keys():
        return None
    shape = map_npy(path).shape
    is_ours = shape == (record["rows"], record["dims"]) and isinstance(record["weights"], dict)
    return record if is_ours and "kind" in record["weights"] else None


def identity_in(record: dict[str, Any]) -> dict[str, Any]:
    """What the record of an extraction says that its descriptors depend on."""
    return {key: value for key, value in record.items() if key not in _DETAILS}


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
