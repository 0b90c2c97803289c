"""The datasets of the tables by name: places to learn from, what validates them, and what tests them."""

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from labelled import CAMERAS, PLACES, VALIDATION, Labelled
from sources import prepare

BACKBONE = "backbone"
CORRIDOR, THUMBNAILS, THUMBNAILS_TEST = "corridor", "thumbnails", "thumbnails-test"


@dataclass(frozen=True)
class Datasets:
    """Where images and weights are.

    Attributes:
        data: the folders ``amos-17-cameras``, ``ie-tower``, ``nordland-thumbnails`` and ``corridor``.
        backbone: weights of a ViT-S/14.
    """

    data: Path
    backbone: Path

    def open(self, name: str, folder: Path) -> str:
        """The path of a dataset, which is made below ``folder`` where it is not yet, or of the backbone."""
        if name == BACKBONE:
            return str(self.backbone.resolve())
        place = folder / name
        if not place.exists():
            made = folder / f"{name}.unfinished"
            shutil.rmtree(made, ignore_errors=True)
            self._make(name, made)
            made.rename(place)
        return str(place)

    def _make(self, name: str, folder: Path) -> None:
        thumbnails = self.data / "nordland-thumbnails"
        if name in (PLACES, VALIDATION, CAMERAS):
            Labelled(self.data / "amos-17-cameras", self.data / "ie-tower", thumbnails).write(name, folder)
        elif name == CORRIDOR:
            prepare("vpr-bench", self.data / "corridor", folder, name)
        elif name == THUMBNAILS:
            prepare("nordland", thumbnails, folder, name)
        else:
            assert name == THUMBNAILS_TEST
            prepare("nordland", thumbnails, folder, name)
            keep_test_rows(folder)


def keep_test_rows(folder: Path) -> None:
    """Leave of a dataset the split ``test`` alone, and no other frames than its own."""
    path = folder / "dataset.toml"
    whole = tomllib.loads(path.read_text())
    test = whole["splits"]["test"]
    lines = [f'name = "{whole["name"]}"', f'units = "{whole["units"]}"']
    for side in ("reference", "query"):
        drive = whole["traverses"][test[side]]
        kept = slice(*test[f"{side}_rows"])
        table = folder / drive["frames"]
        header, *rows = table.read_text().splitlines()
        table.write_text("\n".join([header, *rows[kept]]) + "\n")
        images = table.with_suffix(".txt")  # extraction reads it
        images.write_text("\n".join(images.read_text().splitlines()[kept]) + "\n")
        lines += [f"[traverses.{test[side]}]", *(f'{key} = "{value}"' for key, value in drive.items())]
    lines += ["[splits.test]", *(f'{side} = "{test[side]}"' for side in ("reference", "query"))]
    path.write_text("\n".join([*lines, f"positive_radius = {test['positive_radius']}"]) + "\n")
