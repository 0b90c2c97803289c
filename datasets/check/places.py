"""What is in a set of labelled places, and what is wrong with it."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from opticornet.datasets.check.images import ImagesReport, images_report
from opticornet.datasets.check.judge import Findings
from opticornet.datasets.places.place_set import PlaceSet
from opticornet.datasets.traverse import Split
from opticornet.utils.text import counted

WANTED_IMAGES = 4  # of a place, that published recipes train with
COMPARED_IMAGES = 50_000  # whose files are compared; of more, as many spread over all
END_BYTES = 4096  # of files of one size that are read first


@dataclass(frozen=True)
class PlaceCounts:
    """How large a set of places is.

    Attributes:
        name: "train"; source: the table, or the split that it is cut from.
        count: images.
        places, groups: how many.
        per_place: least, median and greatest number of images of a place.
        too_few, of_too_few: places of fewer than :data:`WANTED_IMAGES` images, and how many they have in all.
        trainable: places of two images or more.
    """

    name: str
    source: str
    count: int
    places: int
    groups: int
    per_place: tuple[int, float, int]
    too_few: int
    of_too_few: int
    trainable: int

    @classmethod
    def of(cls, name: str, places: PlaceSet) -> "PlaceCounts":
        """Of places, whose images are not looked at."""
        counts = places.counts
        few = counts < WANTED_IMAGES
        return PlaceCounts(
            name=name,
            source=places.name,
            count=len(places),
            places=len(places.labels),
            groups=len(places.group_names),
            per_place=(int(counts.min()), float(np.median(counts)), int(counts.max())),
            too_few=int(few.sum()),
            of_too_few=int(counts[few].sum()),
            trainable=int((counts >= 2).sum()),
        )


@dataclass(frozen=True)
class PlacesReport:
    """A set of places, and its images.

    Attributes:
        size: of the set.
        images: of its images.
        compared: how many images were looked at for copies.
        copies: pairs of an image and an earlier one with the same bytes, of one place.
        shared: such pairs of two places.
    """

    size: PlaceCounts
    images: ImagesReport
    compared: int
    copies: tuple[tuple[str, str], ...]
    shared: tuple[tuple[str, str], ...]


def places_report(name: str, places: PlaceSet) -> PlacesReport:
    """Look for all images, decode some, and compare files."""
    rows = np.unique(np.linspace(0, len(places) - 1, min(len(places), COMPARED_IMAGES)).astype(int)).tolist()
    pairs = _copies(places.images, rows)
    same_place = [places.place[row] == places.place[first] for row, first in pairs]
    named = [(places.images[row], places.images[first]) for row, first in pairs]
    return PlacesReport(
        size=PlaceCounts.of(name, places),
        images=images_report(places.name, places.images),
        compared=len(rows),
        copies=tuple(pair for pair, same in zip(named, same_place, strict=True) if same),
        shared=tuple(pair for pair, same in zip(named, same_place, strict=True) if not same),
    )


def judge_places(report: PlacesReport, findings: Findings) -> None:
    """Add what is wrong with a set of places."""
    size, images = report.size, report.images
    where = f"places {size.name}"
    if images.missing:
        what = counted(len(images.missing), "image")
        findings.errors.append(
            f"{where}: {what} missing, first {images.missing[0]}; correct the paths in {images.source}"
        )
    if images.bad:
        path, reason = images.bad[0]
        findings.errors.append(
            f"{where}: {counted(len(images.bad), 'image')} cannot be decoded, first {path}: {reason}"
        )
    if size.trainable < 2:
        findings.errors.append(
            f"{where}: {counted(size.trainable, 'place')} of two images or more; wanted two such places"
        )
    elif size.too_few:
        findings.warnings.append(
            f"{where}: {size.too_few} of {counted(size.places, 'place')} have fewer than {WANTED_IMAGES} images, "
            f"{size.of_too_few} in all, and are left out where training takes {WANTED_IMAGES}"
        )
    for what, pairs in (("of one place", report.copies), ("of two places, of which one label is wrong", report.shared)):
        if pairs:
            image, first = pairs[0]
            copies = counted(len(pairs), "image") + (" is a copy" if len(pairs) == 1 else " are copies")
            findings.warnings.append(f"{where}: {copies} of another, {what}: first {image} of {first}")


def judge_places_overlap(name: str, places: PlaceSet, split: Split, findings: Findings) -> None:
    """Add images of places that are trained on and frames of a split too."""
    frames = {os.path.abspath(image) for side in split.sides for image in side.images or ()}
    seen = [image for image in places.images if image in frames]
    if seen:
        findings.warnings.append(
            f"{split.name}: {counted(len(seen), 'image')} of places {name} are in it, first {seen[0]}"
        )


def _copies(images: Sequence[str], rows: list[int]) -> list[tuple[int, int]]:
    """Of files with the same bytes, all but the first, each with the first, by rows; read as far as it takes."""
    alike = [rows]
    for key in (_size, _end, _content):
        alike = [some for more in alike for some in _equal(more, images, key)]
    return sorted((row, some[0]) for some in alike for row in some[1:])


def _equal(rows: list[int], images: Sequence[str], key: Callable[[str], int | bytes | None]) -> Iterator[list[int]]:
    """The rows of images with equal keys, where there are two or more; files that cannot be read have none."""
    found = defaultdict[int | bytes | None, list[int]](list)
    for row in rows:
        found[key(images[row])].append(row)
    return (some for value, some in found.items() if value is not None and len(some) > 1)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size or None
    except (OSError, ValueError):  # there may be a NUL in a path
        return None


def _end(path: str) -> bytes | None:
    """The last bytes, in which compressed images of one size differ."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - END_BYTES))
            return file.read()
    except (OSError, ValueError):  # there may be a NUL in a path
        return None


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):  # there may be a NUL in a path
        return None
