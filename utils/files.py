"""Writing files so that an interruption never leaves half of one."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from opticornet.utils.errors import UserError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EFBIG: "the file would be larger than allowed; free some space or raise the limit, and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "the file system is read-only; choose another path",
    errno.EACCES: "no permission to write there; choose another path",
    errno.EPERM: "no permission to write there; choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "a folder of that name exists; choose another path",
}


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn a failed write to ``path`` (full disk, no permission, read-only) into a one-line :class:`UserError`."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another path")
        raise UserError(f"cannot write {path}: {advice}") from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it to ``path``.

    On any failure the temporary file is removed and whatever ``path`` held before is untouched.

    Raises:
        UserError: the disk is full or the path is not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def full_path(text: str) -> str:
    """A path that exists as an absolute one; any other text (a built-in name, an empty one) as it is.

    Not for what is still to be written, which exists only afterwards.
    """
    return os.path.abspath(text) if text and os.path.exists(text) else text


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
