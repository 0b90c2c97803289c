"""Cells of the tables: one test each, of what may have to be trained first. Finished ones are kept and not repeated."""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LATENCY_QUERIES = 50


@dataclass(frozen=True)
class Training:
    """An encoder to be trained: where, from which seed, with which options of ``train``."""

    dataset: str
    seed: int
    options: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A test: where, with which options of ``test``, and which of those are trained encoders."""

    dataset: str
    options: dict[str, Any]
    runs: dict[str, Training] = field(default_factory=dict)


def key(what: Training | Cell) -> str:
    """A name of its own for everything that can shape a result."""
    return hashlib.sha256(json.dumps(asdict(what), sort_keys=True).encode()).hexdigest()[:16]


class Bench:
    """Runs cells in processes of one thread each.

    Args:
        folder: of finished cells, trained encoders and datasets; what other sources of the package made is not used.
        datasets: from a dataset's name and a folder for it to its path or built-in name.
        processes: at a time; 1: this one.
    """

    def __init__(self, folder: Path, datasets: Callable[[str, Path], str], processes: int) -> None:
        self.folder, self.datasets, self.processes = folder / sources_digest(), datasets, processes

    def outcomes(self, cells: Iterable[Cell]) -> list[dict[str, Any]]:
        """What each cell gives, see :func:`run_cell`; those that are not finished are run."""
        cells = list(cells)
        self._finish("cells", {key(cell): cell for cell in cells})
        return [json.loads((self.folder / "cells" / f"{key(cell)}.json").read_text()) for cell in cells]

    def _finish(self, kind: str, wanted: dict[str, Cell] | dict[str, Training]) -> None:
        place = self.folder / kind
        place.mkdir(parents=True, exist_ok=True)
        open_ = [what for name, what in wanted.items() if not (place / f"{name}.json").exists()]
        if not open_:
            return
        if kind == "cells":
            runs = [training for cell in open_ for training in cell.runs.values()]
            self._finish("trainings", {key(training): training for training in runs})
        paths = {name: self.datasets(name, self.folder / "datasets") for name in {what.dataset for what in open_}}
        work = partial({"cells": run_cell, "trainings": run_training}[kind], self.folder, paths)
        for count, _ in enumerate(self._each(work, open_), 1):
            print(f"\r{kind}: {count} of {len(open_)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    def _each(self, work: Callable[[Any], None], items: list[Any]) -> Iterator[None]:
        """Do every item, in no order."""
        if self.processes == 1:
            yield from map(work, items)
            return
        with multiprocessing.get_context("spawn").Pool(self.processes) as pool:
            yield from pool.imap_unordered(work, items)


def run_training(folder: Path, paths: dict[str, str], training: Training) -> None:
    """Train; ``trainings/KEY.json`` says where the run is and how many seconds it took."""
    import opticornet

    name = key(training)
    begun = time.monotonic()
    run = opticornet.train(
        dataset=paths[training.dataset], seed=training.seed, runs_path=str(folder / "runs" / name), quiet=True,
        device="cpu", threads=1, **training.options,
    )  # fmt: skip
    write(folder / "trainings" / f"{name}.json", {"run": str(run), "seconds": time.monotonic() - begun})


def run_cell(folder: Path, paths: dict[str, str], cell: Cell) -> None:
    """Test; ``cells/KEY.json`` holds the result record, and as ``training_s`` how long its encoders took to train."""
    import opticornet

    trained = {
        option: json.loads((folder / "trainings" / f"{key(training)}.json").read_text())
        for option, training in cell.runs.items()
    }
    given = {"bootstrap": 0, "latency_queries": 0} | {option: run["run"] for option, run in trained.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        record = opticornet.test(
            dataset=paths[cell.dataset], device="cpu", threads=1, quiet=True, **given | cell.options
        )
    outcome = asdict(record) | {"training_s": [run["seconds"] for run in trained.values()]}
    write(folder / "cells" / f"{key(cell)}.json", outcome)


def write(path: Path, values: dict[str, Any]) -> None:
    """As JSON; the file is whole or not there."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values))
    temporary.rename(path)


def sources_digest() -> str:
    """Of the sources any of which may change a number: the package's, and what makes datasets and cells of it."""
    digest = hashlib.sha256()
    package = [
        path for folder in ("opticornet", "models", "datasets", "utils") for path in (ROOT / folder).rglob("*.py")
    ]
    for path in (*sorted(package), *(Path(__file__).with_name(f"{name}.py") for name in ("cells", "sources"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
