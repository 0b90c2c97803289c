"""Fingerprints of files and of many lines of text."""

import hashlib
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

SAMPLE_BYTES = 4096


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 (hex) of lines, each ended by a line feed."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def below_common_folder(paths: Sequence[str]) -> list[str]:
    """Absolute paths without the beginning that they share: the same wherever their folder is moved to."""
    start = len(os.path.commonpath((min(paths), max(paths))))  # of all, as these are first and last
    return [path[start:] for path in paths]


def fingerprint(path: Path) -> str:
    """Size and the CRC-32 of the middle of a file: uncompressed images of one camera all have the same size.

    Empty where the file cannot be read; decoding it will say why.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, 2)
            file.seek(max(0, (size - SAMPLE_BYTES) // 2))
            return f"{size} {zlib.crc32(file.read(SAMPLE_BYTES)):08x}"
    except OSError:
        return ""
