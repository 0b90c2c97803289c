"""Accuracy of every method on real descriptors: the test split, and 4-fold cross-validation over contiguous blocks.

    python benchmarks/accuracy.py [--data FOLDER] [--nordland FOLDER] [--corridor FOLDER] [--output docs/results.md]

``--data`` holds ``summer.npy`` and ``winter.npy``, row i the same place (nordland-1k: 1000 x 64, real NetVLAD).
``--nordland`` and ``--corridor`` are folders of images, described by HOG: see ``images_accuracy.py``. Every
trained row uses the default options but for what its name says. A fold tests one block of a quarter of the rows,
validates on 120 rows of the next, and trains on the rest, 10 rows apart; sequences end where rows were cut out.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import images_accuracy

FOLDS, GAP, VALIDATION = 4, 10, 120
BLOCKS = {"train": (0, 600), "val": (620, 780), "test": (800, 1000)}  # the split that every figure uses
IMAGE_SEEDS = [1, 2, 3]
END = "<!-- end -->"  # a table's place in the page ends here, and begins with "<!-- NAME -->"


@dataclass(frozen=True)
class Row:
    """One line of the table: what to train (S5, S1) and how to test it."""

    name: str
    test: dict
    s5: dict | None = None
    s1: dict | None = None


S5, S1 = {"sequence_length": 5, "w": 3}, {"sequence_length": 1, "w": 1}
RANDOM = {"init": "random", "lr": 1e-3}
MATCH = {"pooling": "s1+seqmatch"}


def hvpr(length: int) -> dict:
    return {"rerank": "s1+seqmatch", "rerank_length": length, "sequence_length": 5}


UNTRAINED = [
    Row("single", {"pooling": "single", "sequence_length": 1}),
    Row("smooth L5", {"pooling": "smooth", "sequence_length": 5}),
    Row("delta L5", {"pooling": "delta", "sequence_length": 5}),
    Row("single+seqmatch L5", {"pooling": "single+seqmatch", "sequence_length": 5}),
    Row("single+seqmatch L10", {"pooling": "single+seqmatch", "sequence_length": 10}),
]
TRAINED = [
    Row("seqnet S1", {}, s1=S1 | {"pooling": "seqnet"}),
    Row("seqnet S5", {}, s5=S5 | {"pooling": "seqnet"}),
    Row("seqnet S1 + seqmatch L5", MATCH | {"sequence_length": 5}, s1=S1 | {"pooling": "seqnet"}),
    Row("seqnet HVPR S5 to S1 (5)", hvpr(5), s5=S5 | {"pooling": "seqnet"}, s1=S1 | {"pooling": "seqnet"}),
    Row("seqnet S5, random weights, lr 1e-3", {}, s5=S5 | RANDOM | {"pooling": "seqnet"}),
    Row("delta-lstm L5, random weights, lr 1e-3", {}, s5={"sequence_length": 5, "pooling": "delta-lstm", "lr": 1e-3}),
    Row("dsdnet S1", {}, s1=S1),
    Row("dsdnet S5", {}, s5=S5),
    Row("dsdnet S1 + seqmatch L5", MATCH | {"sequence_length": 5}, s1=S1),
    Row("dsdnet S1 + seqmatch L10", MATCH | {"sequence_length": 10}, s1=S1),
    Row("dsdnet HVPR S5 to S1 (5)", hvpr(5), s5=S5, s1=S1),
    Row("dsdnet HVPR S5 to S1 (10)", hvpr(10), s5=S5, s1=S1),
]
ABLATIONS = [
    Row("dsdnet S5", {}, s5=S5),
    Row("without the LSTM", {}, s5=S5 | {"no_lstm": True}),
    Row("without the residual", {}, s5=S5 | {"no_residual": True}),
    Row("without temporal differencing", {}, s5=S5 | {"no_delta": True}),
    Row("fusion by sum", {}, s5=S5 | {"dsd_fusion": "sum"}),
    Row("from random weights, lr 1e-3", {}, s5=S5 | RANDOM),
    Row("whitening alone, no training", {}, s5=S5 | {"lr": 1e-30, "n_epochs": 1}),
    Row("triplet loss", {}, s5=S5 | {"loss": "triplet"}),
    Row("multi-similarity loss", {}, s5=S5 | {"loss": "multi-similarity"}),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="real descriptors of two seasons")
    parser.add_argument("--nordland", type=Path, help="season folders of images with a frames.csv")
    parser.add_argument("--corridor", type=Path, help="folders ref and query of images with a ground_truth.csv")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--foldSeeds", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    tables = {}
    if arguments.data:
        with tempfile.TemporaryDirectory() as scratch:
            bench = Bench(Path(scratch), arguments.data, arguments.seeds, arguments.foldSeeds)
            tables["descriptors"] = [
                *table("Methods", UNTRAINED + TRAINED, bench),
                *table("What each part of dsdnet S5 gives", ABLATIONS, bench),
                "",
                f"Training one encoder took {statistics.median(bench.seconds):.1f} s (median of {len(bench.seconds)}).",
            ]
    if arguments.nordland or arguments.corridor:
        tables["images"] = images_accuracy.table(arguments.corridor, arguments.nordland, IMAGE_SEEDS)
    if not tables:
        parser.error("nothing to measure: give --data, --nordland or --corridor")
    for name, lines in tables.items():
        print("\n".join(lines))
        if arguments.output:
            insert(arguments.output, name, lines)
    return 0


class Bench:
    """Datasets of the split and the folds, and encoders trained so far."""

    def __init__(self, scratch: Path, data: Path, seeds: int, fold_seeds: int) -> None:
        import numpy as np

        self.scratch, self.seconds = scratch, []
        frames = {name: np.load(data / f"{name}.npy") for name in ("summer", "winter")}
        count = len(frames["summer"])
        size = count // FOLDS
        self.split = write_dataset(scratch / "split", frames, {n: [list(range(*b))] for n, b in BLOCKS.items()})
        self.folds = []
        for fold in range(FOLDS):
            rows = {"test": range(fold * size, (fold + 1) * size)}
            after = (fold + 1) % FOLDS * size
            rows["val"] = range(after + GAP, after + GAP + VALIDATION)
            taken = [near for part in rows.values() for near in range(part.start - GAP, part.stop + GAP)]
            pieces = {name: [list(part)] for name, part in rows.items()}
            pieces["train"] = contiguous(sorted(set(range(count)) - set(taken)))
            self.folds.append(write_dataset(scratch / f"fold{fold}", frames, pieces))
        self.cases = {
            "split": [(self.split, seed) for seed in range(seeds)],
            "folds": [(folder, seed) for folder in self.folds for seed in range(fold_seeds)],
        }
        self.runs: dict[tuple, Path] = {}

    def recalls(self, row: Row, cases: list[tuple[Path, int]]) -> list[tuple[float, float]]:
        """R@1 and R@5 of a row for each dataset and seed (each dataset once where nothing is trained)."""
        from opticornet.options.modes import TestOptions
        from opticornet.steps.test import test

        if row.s5 is None and row.s1 is None:
            cases = [(folder, 0) for folder in dict.fromkeys(folder for folder, _ in cases)]
        found = []
        for folder, seed in cases:
            given = {"dataset": str(folder), "bootstrap": 0, "latency_queries": 0, "device": "cpu"} | row.test
            runs = [self.run(what, folder, seed) for what in (row.s5, row.s1) if what is not None]
            if runs:
                given["resume"] = str(runs[0])
            if row.test.get("rerank"):
                given["rerank_resume"] = str(runs[1])
            if runs and "pooling" not in given:
                given["pooling"] = (row.s5 or row.s1).get("pooling", "dsdnet")
            with contextlib.redirect_stdout(io.StringIO()):
                record = test(TestOptions.of(**given))
            found.append((record.recall["1"], record.recall["5"]))
        return found

    def run(self, what: dict, folder: Path, seed: int) -> Path:
        """Train an encoder, once."""
        from opticornet.options.modes import TrainOptions
        from opticornet.steps.train import train

        key = (folder, seed, tuple(sorted(what.items())))
        if key not in self.runs:
            begun = time.monotonic()
            options = {"dataset": str(folder), "runs_path": str(self.scratch / "runs"), "seed": seed, "quiet": True}
            self.runs[key] = train(TrainOptions.of(**options, device="cpu", **what))
            self.seconds.append(time.monotonic() - begun)
        return self.runs[key]


def contiguous(rows: list[int]) -> list[list[int]]:
    """Ascending rows as runs of neighbours."""
    pieces: list[list[int]] = []
    for row in rows:
        if pieces and row == pieces[-1][-1] + 1:
            pieces[-1].append(row)
        else:
            pieces.append([row])
    return pieces


def write_dataset(folder: Path, frames: dict, splits: dict[str, list[list[int]]]) -> Path:
    """A dataset folder whose splits are these pieces of the rows, each piece a sequence of its own."""
    import numpy as np

    from opticornet.datasets.folder.toml import FolderEntry, SplitEntry, TraverseEntry, write_toml

    folder.mkdir()
    traverses, entries = {}, {}
    for split, pieces in splits.items():
        rows = [row for piece in pieces for row in piece]
        table = [f"{row},{number}" for number, piece in enumerate(pieces) for row in piece]
        for season, descriptors in frames.items():
            name = f"{season}-{split}"
            np.save(folder / f"{name}.npy", descriptors[rows])
            (folder / f"{name}.csv").write_text("\n".join(["frame,sequence", *table]))
            traverses[name] = TraverseEntry(f"{name}.npy", f"{name}.csv")
        entries[split] = SplitEntry(f"summer-{split}", f"winter-{split}", positive_radius=1.0, negative_radius=5.0)
    write_toml(folder, FolderEntry(folder.name, "frames", traverses, entries))
    return folder


def table(title: str, rows: list[Row], bench: Bench) -> list[str]:
    """A markdown table of R@1/R@5, mean and standard deviation, on the split and over the folds."""
    seeds, folds = (len(cases) for cases in bench.cases.values())
    lines = [
        "",
        f"### {title}",
        "",
        f"| method | test split, {seeds} seeds: R@1 | R@5 | {FOLDS} folds x {folds // FOLDS} seeds: R@1 | R@5 |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [cell for cases in bench.cases.values() for cell in summary(bench.recalls(row, cases))]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def summary(recalls: list[tuple[float, float]]) -> list[str]:
    """Mean and standard deviation of each column; no deviation where there is one number."""
    cells = []
    for column in zip(*recalls, strict=True):
        deviation = f" ± {statistics.stdev(column):.3f}" if len(column) > 1 else ""
        cells.append(f"{statistics.mean(column):.3f}{deviation}")
    return cells


def insert(page: Path, name: str, lines: list[str]) -> None:
    """Put tables into the page, between the marker of their ``name`` and the next end."""
    begin = f"<!-- {name} -->"
    head, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, tail = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{page} has no place {begin} ... {END}")
    page.write_text(f"{head}{begin}\n" + "\n".join(lines) + f"\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
