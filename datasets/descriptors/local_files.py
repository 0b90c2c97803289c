"""Where local features lie: in one file beside their descriptors, or in a store, in files of bounded size.

``summer.npy`` has ``summer-local.npy`` (N, R, C) beside it, of which its ``summer.json`` tells; or a store holds
``summer-local-00000.npy``, ``-00001.npy``, ..., together (N, R, C), and ``summer-local.json``, the identity of the
extraction that wrote both. The rows of an image are the most reliable first, so that the first of them are the best.
"""

import os
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Self

FILE_BYTES = 1 << 30  # of a store's files, at most where one image takes no more


@dataclass(frozen=True)
class LocalSource:
    """Where local features are, and how many of them are wanted.

    Attributes:
        store: folder of those that do not lie beside their descriptors; empty: where the descriptors' record says.
        features: per image, the most reliable; 0: all.
    """

    store: str = ""
    features: int = 0


AS_RECORDED = LocalSource()


def local_features_path(path: Path) -> Path:
    """Where the local features that lie beside the descriptors ``path`` are."""
    return path.with_name(f"{path.stem}-local{path.suffix}")


def store_record(folder: Path, descriptors: Path) -> Path:
    """What a store says of the local features that belong to ``descriptors``."""
    return folder / f"{descriptors.stem}-local.json"


def store_files(record: Path, count: int) -> tuple[Path, ...]:
    """The first ``count`` files of the store that has this record."""
    return tuple(record.with_name(f"{record.stem}-{number:05}.npy") for number in range(count))


@dataclass(frozen=True)
class LocalFiles:
    """The files that local features are written to.

    Attributes:
        paths: in the order of their images.
        images_per_file: of each but the last, which may have fewer.
        record: of a store; None: the features lie beside their descriptors.
    """

    paths: tuple[Path, ...]
    images_per_file: int
    record: Path | None = None

    @classmethod
    def beside(cls, descriptors: Path, images: int) -> Self:
        """One file beside the descriptors."""
        return cls((local_features_path(descriptors),), max(1, images))

    @classmethod
    def in_store(cls, folder: Path, descriptors: Path, images: int, image_bytes: int) -> Self:
        """Files of a store, for so many images of ``image_bytes`` each."""
        each = max(1, FILE_BYTES // image_bytes)
        record = store_record(folder, descriptors)
        return cls(store_files(record, -(-images // each)), each, record)

    @property
    def store(self) -> str | None:
        """The store's folder in full; None where the features lie beside their descriptors."""
        return os.path.abspath(self.record.parent) if self.record else None

    def holding(self, images: int) -> tuple[Path, ...]:
        """Those that the first so many images take."""
        return self.paths[: -(-images // self.images_per_file)]

    def superseded(self) -> list[Path]:
        """Files of more images, which an earlier extraction left in the store."""
        if self.record is None:
            return []
        numbered = self.record.parent.glob(f"{escape(self.record.stem)}-{5 * '[0-9]'}.npy")
        return sorted({*numbered} - {*self.paths})
