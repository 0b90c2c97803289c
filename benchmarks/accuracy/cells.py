"""Cells of the tables: one test each, of what may have to be trained first. Finished ones are kept and not repeated."""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LATENCY_QUERIES = 50


@dataclass(frozen=True)
class Training:
    """An encoder to be trained: where, from which seed, with which options of ``train``, and which of those are files
    of the sources."""

    dataset: str
    seed: int
    options: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Described:
    """The windows of a dataset's test split as a trained encoder describes them: frames of a dataset of their own."""

    dataset: str
    training: Training


@dataclass(frozen=True)
class Cell:
    """A test: where, with which options of ``test``, and which of those are trained encoders; or of ``described``, the
    dataset's windows, in place of its frames."""

    dataset: str
    options: dict[str, Any]
    runs: dict[str, Training] = field(default_factory=dict)
    described: Described | None = None


Work = Training | Described | Cell


def key(what: Work) -> str:
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

    def _finish(self, kind: str, wanted: Mapping[str, Work]) -> None:
        place = self.folder / kind
        place.mkdir(parents=True, exist_ok=True)
        open_ = [what for name, what in wanted.items() if not (place / f"{name}.json").exists()]
        if not open_:
            return
        self._finish("trainings", {key(training): training for what in open_ for training in trainings_of(what)})
        described = [what.described for what in open_ if isinstance(what, Cell) and what.described]
        self._finish("described", {key(what): what for what in described})
        named = {name for what in open_ for name in names_of(what)}
        paths = {name: self.datasets(name, self.folder / "datasets") for name in sorted(named)}
        work = partial(WORK[kind], self.folder, paths)
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


def trainings_of(what: Work) -> list[Training]:
    """What has to be trained before."""
    if isinstance(what, Training):
        return []
    return list(what.runs.values()) if isinstance(what, Cell) else [what.training]


def names_of(what: Work) -> set[str]:
    """The datasets and files of the sources that are read."""
    return {what.dataset, *(what.files.values() if isinstance(what, Training) else ())}


def run_training(folder: Path, paths: dict[str, str], training: Training) -> None:
    """Train; ``trainings/KEY.json`` says where the run is, how many seconds it took, of which the processor worked
    ``cpu_s``, and R@1 of the validation at the start and after each epoch."""
    import opticornet
    from opticornet.learning.history import read_epochs

    name = key(training)
    begun, worked = time.monotonic(), time.process_time()
    run = opticornet.train(
        dataset=paths[training.dataset], seed=training.seed, runs_path=str(folder / "runs" / name), quiet=True,
        device="cpu", threads=1, **training.options, **{option: paths[file] for option, file in training.files.items()},
    )  # fmt: skip
    outcome = {"run": str(run), "seconds": time.monotonic() - begun, "cpu_s": time.process_time() - worked}
    validated = [epoch["recalls"]["1"] for epoch in read_epochs(run) if epoch["recalls"]]
    write(folder / "trainings" / f"{name}.json", outcome | {"validated": validated})


def run_described(folder: Path, paths: dict[str, str], described: Described) -> None:
    """Describe the windows; ``described/KEY.json`` says where they are and what was said of the training."""
    import opticornet

    name = key(described)
    trained = read(folder, "trainings", described.training)
    place = opticornet.extract(
        sequence=True, dataset=paths[described.dataset], resume=trained["run"], splits=("test",), device="cpu",
        output=str(folder / "windows" / name), threads=1, quiet=True,
    )  # fmt: skip
    write(folder / "described" / f"{name}.json", trained | {"dataset": str(place)})


def run_cell(folder: Path, paths: dict[str, str], cell: Cell) -> None:
    """Test; ``cells/KEY.json`` holds the result record, and as ``training_s`` how long its encoders took to train."""
    import opticornet

    dataset, trained = paths[cell.dataset], {o: read(folder, "trainings", run) for o, run in cell.runs.items()}
    encoders = list(trained.values())
    if cell.described:
        described = read(folder, "described", cell.described)
        dataset, encoders = described["dataset"], [described]
    given = {"bootstrap": 0, "latency_queries": 0} | {option: run["run"] for option, run in trained.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        record = opticornet.test(dataset=dataset, device="cpu", threads=1, quiet=True, **given | cell.options)
    outcome = asdict(record) | {"training_s": [run["seconds"] for run in encoders], "trained": encoders}
    write(folder / "cells" / f"{key(cell)}.json", outcome)


WORK = {"trainings": run_training, "described": run_described, "cells": run_cell}


def read(folder: Path, kind: str, what: Work) -> dict[str, Any]:
    """What was written of finished work."""
    return json.loads((folder / kind / f"{key(what)}.json").read_text())


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
