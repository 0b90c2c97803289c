"""The datasets of the tables: a split and folds of real descriptors, and real images described by HOG."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDS, GAP, VALIDATION = 4, 10, 120
BLOCKS = {"train": (0, 600), "val": (620, 780), "test": (800, 1000)}  # the split that every figure uses
RADII = {"positive_radius": 1.0, "negative_radius": 5.0}
MORE_SEASONS = "+fall"  # ending of a dataset's name: fall is a second reference in training
SPLIT = "split"
# Of the backbone that describes thumbnails; chosen on their val split.
TOKENS: dict[str, Any] = {"sta_image_size": (56, 112), "sta_layer": 6, "sta_pool": 2}
GRID, MEAN = "thumbnails-grid", "thumbnails-mean"  # thumbnails described by these tokens, side by side or their mean
BACKBONE = "backbone"
TOKEN_DIMS = 384


def fold_names(ending: str = "") -> list[str]:
    return [f"fold{fold}{ending}" for fold in range(FOLDS)]


@dataclass(frozen=True)
class Sources:
    """Where the data is; None: not there.

    Attributes:
        descriptors: ``summer.npy``, ``fall.npy`` and ``winter.npy``, (N, D), row i the same place.
        thumbnails: season folders of images with a ``frames.csv``.
        corridor: folders ``ref`` and ``query`` of images with a ``ground_truth.csv``.
        backbone: weights of a vision transformer whose tokens describe the thumbnails.
    """

    descriptors: Path | None = None
    thumbnails: Path | None = None
    corridor: Path | None = None
    backbone: Path | None = None

    def open(self, name: str, folder: Path) -> str:
        """The dataset ``name``, made below ``folder`` where it is not yet; a built-in one is its name. Of the backbone,
        its file.

        A fold tests one block of a quarter of the rows, validates on 120 rows of the next, and trains on the rest,
        10 rows apart.
        """
        base = name.removesuffix(MORE_SEASONS)
        place = folder / name
        if name == BACKBONE:
            assert self.backbone is not None
            return str(self.backbone.resolve())
        if base not in (SPLIT, *fold_names(), "thumbnails", "corridor", GRID, MEAN):
            return name
        if not place.exists():
            made = folder / f"{name}.unfinished"
            shutil.rmtree(made, ignore_errors=True)
            if base == "thumbnails":
                describe("nordland", self.thumbnails, made, name)
            elif base == "corridor":
                describe("vpr-bench", self.corridor, made, name)
            elif base in (GRID, MEAN):
                prepare("nordland", self.thumbnails, made, name)
                for season in ("summer", "winter"):
                    self._write_tokens(base, made, season, folder)
            else:
                self._write(base, made, ("summer", "fall") if base != name else ("summer",))
            made.rename(place)
        return str(place)

    def _write_tokens(self, base: str, made: Path, season: str, folder: Path) -> None:
        """Descriptors of a season below ``made``: the unit tokens of every image side by side, or their mean."""
        import numpy as np

        if base == MEAN:
            rows = np.load(Path(self.open(GRID, folder)) / f"{season}.npy", mmap_mode="r")
            means = rows.reshape(len(rows), -1, TOKEN_DIMS).mean(1)
            np.save(made / f"{season}.npy", means / np.linalg.norm(means, axis=1, keepdims=True))
            return
        np.save(made / f"{season}.npy", token_rows(self.open(BACKBONE, folder), made / f"{season}.csv"))

    def _write(self, base: str, folder: Path, references: tuple[str, ...]) -> None:
        import numpy as np

        assert self.descriptors is not None
        frames = {season: np.load(self.descriptors / f"{season}.npy") for season in (*references, "winter")}
        count = len(frames["winter"])
        if base == SPLIT:
            pieces = {split: [list(range(*block))] for split, block in BLOCKS.items()}
        else:
            pieces = fold_pieces(int(base.removeprefix("fold")), count)
        write_dataset(folder, frames, pieces, references)


def fold_pieces(fold: int, count: int) -> dict[str, list[list[int]]]:
    """Rows of each split of a fold, as runs of neighbours."""
    size = count // FOLDS
    after = (fold + 1) % FOLDS * size
    rows = {
        "test": range(fold * size, (fold + 1) * size),
        "val": range(after + GAP, after + GAP + VALIDATION),
    }
    taken = {near for part in rows.values() for near in range(part.start - GAP, part.stop + GAP)}
    pieces = {split: [list(part)] for split, part in rows.items()}
    return pieces | {"train": contiguous(sorted(set(range(count)) - taken))}


def contiguous(rows: list[int]) -> list[list[int]]:
    """Ascending rows as runs of neighbours."""
    pieces: list[list[int]] = []
    for row in rows:
        if pieces and row == pieces[-1][-1] + 1:
            pieces[-1].append(row)
        else:
            pieces.append([row])
    return pieces


def write_dataset(folder: Path, frames: dict, splits: dict[str, list[list[int]]], references: tuple[str, ...]) -> None:
    """A dataset folder whose splits are these pieces of the rows, each piece a sequence of its own.

    In training every one of ``references`` is a reference drive, elsewhere the first alone.
    """
    import numpy as np

    folder.mkdir(parents=True)
    lines = [f'name = "{folder.stem}"', 'units = "frames"']
    for split, pieces in splits.items():
        rows = [row for piece in pieces for row in piece]
        table = [f"{row},{number}" for number, piece in enumerate(pieces) for row in piece]
        for season, descriptors in frames.items():
            name = f"{season}-{split}"
            np.save(folder / f"{name}.npy", descriptors[rows])
            (folder / f"{name}.csv").write_text("\n".join(["frame,sequence", *table]))
            lines += [f"[traverses.{name}]", f'descriptors = "{name}.npy"', f'frames = "{name}.csv"']
        drives = [f"{season}-{split}" for season in (references if split == "train" else references[:1])]
        lines += [f"[splits.{split}]", f"reference = {json.dumps(drives if len(drives) > 1 else drives[0])}"]
        lines += [f'query = "winter-{split}"', *(f"{radius} = {value}" for radius, value in RADII.items())]
    (folder / "dataset.toml").write_text("\n".join(lines) + "\n")


def prepare(source: str, root: Path | None, folder: Path, name: str) -> None:
    """A dataset folder of images."""
    import opticornet

    opticornet.prepare(source=source, root=str(root), output=str(folder), name=name, quiet=True)


def describe(source: str, root: Path | None, folder: Path, name: str) -> None:
    """A dataset folder of images with HOG descriptors."""
    import opticornet

    prepare(source, root, folder, name)
    opticornet.extract(dataset=str(folder), desc_type="hog", quiet=True)


def token_rows(backbone: str, table: Path) -> Any:
    """The unit tokens of every image of a table of frames side by side, (N, tokens x D) float32 unit rows."""
    import numpy as np
    import torch

    from opticornet.datasets.images.frames import ImageFrames
    from opticornet.datasets.images.sources import ImageFiles
    from opticornet.models.sequences.sta.backbone import FrozenTokens

    tokens = FrozenTokens.of(backbone, TOKENS["sta_layer"], TOKENS["sta_pool"])
    with table.open(newline="") as file:
        images = tuple(row["image"] for row in csv.DictReader(file))
    frames = ImageFrames(ImageFiles(Path(), images), tokens.preprocess(TOKENS["sta_image_size"]), torch.device("cpu"))
    parts = []
    for first in range(0, len(frames), 64):
        unit = torch.nn.functional.normalize(tokens(frames.rows(first, min(first + 64, len(frames)))), dim=2)
        parts.append((unit / unit.shape[1] ** 0.5).flatten(1).numpy())
    return np.concatenate(parts)
