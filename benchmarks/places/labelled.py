"""The labelled places that image encoders learn from, are chosen by and are tested on: cameras, clips and thumbnails.

A place is a camera by day and night, or a clip of a floor. Cameras and floors are held out as a whole, never frames.
"""

import csv
import itertools
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

PLACES, VALIDATION, CAMERAS = "places", "places-val", "cameras"
HELD_CAMERAS, HELD_FLOORS = slice(4, None, 5), slice(2, None, 5)  # of those in order: three cameras, five floors
MOST = 16  # images of a place that are learned from, evenly chosen
EVERY = 2  # of the frames that clips and thumbnails validate with


@dataclass(frozen=True)
class Shown:
    """One image in a table of places; ``role`` is reference, query or nothing."""

    image: Path
    place: str
    group: str
    role: str = ""


@dataclass(frozen=True)
class Labelled:
    """Where the images are.

    Attributes:
        cameras: folders ``train`` and ``test`` of a folder per camera.
        tower: a ``dataset.csv`` of images and their floors, which lie below ``frames``.
        thumbnails: season folders with a ``frames.csv``.
    """

    cameras: Path
    tower: Path
    thumbnails: Path

    def write(self, name: str, folder: Path) -> None:
        """The dataset folder ``name`` of :data:`PLACES` (places to train on), :data:`VALIDATION` (split ``val``) or
        :data:`CAMERAS` (split ``test``)."""
        import opticornet

        rows = {PLACES: self.trained, VALIDATION: self.validated, CAMERAS: self.tested}[name]()
        split = {PLACES: "train", VALIDATION: "val", CAMERAS: "test"}[name]
        roles = {} if name == PLACES else {"role_column": "role"}
        with tempfile.TemporaryDirectory() as root:
            with Path(root, "images.csv").open("w", newline="") as file:
                table = csv.writer(file)
                table.writerow(["image", "place", "group", "role", "split"])
                table.writerows((one.image, one.place, one.group, one.role, split) for one in rows)
            opticornet.prepare(
                source="place-table",
                root=root,
                output=str(folder),
                name=name,
                split_column="split",
                quiet=True,
                **roles,
            )

    def trained(self) -> Iterator[Shown]:
        """Cameras and clips that are not held out."""
        for camera in without(self.train_cameras(), HELD_CAMERAS):
            yield from evenly([Shown(image, camera.name, camera.name) for image in images_of(camera)])
        for clip in self.clips(without(self.floors(), HELD_FLOORS)):
            yield from evenly(clip)

    def validated(self) -> Iterator[Shown]:
        """Held-out cameras, by day references and by night queries; clips of held-out floors, first and second half;
        and the val split of the thumbnails, summer and winter."""
        for camera in self.train_cameras()[HELD_CAMERAS]:
            yield from day_and_night(camera)
        for clip in self.clips(self.floors()[HELD_FLOORS]):
            frames = clip[::EVERY]
            for number, shown in enumerate(frames):
                yield replace(shown, role="reference" if 2 * number < len(frames) else "query")
        with (self.thumbnails / "frames.csv").open(newline="") as file:
            names = [row["name"] for row in csv.DictReader(file) if row["split"] == "val"]
        for name in names[::EVERY]:
            yield Shown(self.thumbnails / "summer" / name, name, "thumbnails", "reference")
            yield Shown(self.thumbnails / "winter" / name, name, "thumbnails", "query")

    def tested(self) -> Iterator[Shown]:
        """The cameras of the test folder by night among all cameras by day."""
        for camera in self.train_cameras():
            yield from evenly([shown for shown in day_and_night(camera) if shown.role == "reference"])
        for camera in folders(self.cameras / "test"):
            shown = list(day_and_night(camera))
            yield from evenly([one for one in shown if one.role == "reference"])
            yield from (one for one in shown if one.role == "query")

    def train_cameras(self) -> list[Path]:
        return folders(self.cameras / "train")

    def floors(self) -> list[str]:
        """In the order of their numbers, from the lowest."""
        return sorted({row["label"] for row in self.tower_rows()}, key=floor_number)

    def clips(self, floors: list[str]) -> Iterator[list[Shown]]:
        """The images of each clip of some floors."""
        rows = [row for row in self.tower_rows() if row["label"] in floors]
        for place, clip in itertools.groupby(rows, clip_of):
            names = (Path(row["image_path"]).relative_to("processed_frames") for row in clip)
            yield [Shown(self.tower / "frames" / name, place, place.partition("/")[0]) for name in names]

    def tower_rows(self) -> list[dict[str, str]]:
        with (self.tower / "dataset.csv").open(newline="") as file:
            return sorted(csv.DictReader(file), key=lambda row: row["image_path"])


def clip_of(row: dict[str, str]) -> str:
    """Floor and clip."""
    return f"{row['label']}/{Path(row['image_path']).name.partition('_frame_')[0]}"


def floor_number(label: str) -> int:
    number = int(re.sub(r"\D", "", label))
    return -number if label.startswith("basement") else number


def folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def images_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


def without(items: list, some: slice) -> list:
    """Those that a slice does not take."""
    taken = range(len(items))[some]
    return [item for number, item in enumerate(items) if number not in taken]


def evenly(images: list[Shown]) -> list[Shown]:
    """At most :data:`MOST`, as far apart as they can be."""
    count = min(MOST, len(images))
    return [images[number * len(images) // count] for number in range(count)]


def day_and_night(camera: Path) -> Iterator[Shown]:
    """The third of a camera's images with the largest median brightness as references, that with the smallest as
    queries; dusk and dawn between them are left out."""
    images = images_of(camera)
    order = sorted(images, key=lambda image: (brightness(image), image.name))
    third = len(images) // 3
    for role, some in (("reference", order[-third:]), ("query", order[:third])):
        yield from (Shown(image, camera.name, camera.name, role) for image in sorted(some))


def brightness(image: Path) -> float:
    """Median grey level."""
    import numpy as np
    from PIL import Image

    with Image.open(image) as opened:
        return float(np.median(np.asarray(opened.convert("L"))))
