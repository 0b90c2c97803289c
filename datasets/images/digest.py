"""A fingerprint of many lines of text."""

import hashlib
from collections.abc import Iterable


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 (hex) of lines, each ended by a line feed."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
