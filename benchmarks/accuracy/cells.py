"""Cells of the tables: one test each, of what may have to be trained first. Finished ones are kept and not repeated."""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import shutil
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
    """An encoder to be trained: where, from which seed, with which options of ``train``, which of those are files of
    the sources and which are trained encoders; and on which frames, where they are not the dataset's own."""

    dataset: str
    seed: int
    options: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    runs: dict[str, "Training"] = field(default_factory=dict)
    described: "Frames | None" = None


@dataclass(frozen=True)
class Described:
    """The windows of a dataset's test split as a trained encoder describes them: frames of a dataset of their own."""

    dataset: str
    training: Training


@dataclass(frozen=True)
class Frames:
    """The images of a dataset as an image encoder describes them, which options of ``extract`` and files of the sources
    name, or which was trained."""

    dataset: str
    options: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    training: Training | None = None


@dataclass(frozen=True)
class Cell:
    """A test: where, with which options of ``test``, and which of those are trained encoders; or of ``described``, the
    dataset's windows or images, in place of its frames."""

    dataset: str
    options: dict[str, Any]
    runs: dict[str, Training] = field(default_factory=dict)
    described: Described | Frames | None = None


Work = Training | Described | Frames | Cell
KINDS = {Frames: "frames", Described: "described"}  # folders of what was described


def key(what: Work) -> str:
    """A name of its own for everything that can shape a result."""
    return hashlib.sha256(json.dumps(asdict(what), sort_keys=True).encode()).hexdigest()[:16]


class Bench:
    """Runs cells in processes of one thread each.

    Args:
        folder: of finished cells, trained encoders and datasets; what other sources of the package made is not used.
        datasets: from a dataset's name and a folder for it to its path or built-in name.
        processes: at a time; 1: this one.
        made_by: sources beside the package's that make the datasets.
    """

    def __init__(
        self, folder: Path, datasets: Callable[[str, Path], str], processes: int, made_by: Iterable[Path] = ()
    ) -> None:
        self.folder, self.datasets, self.processes = folder / sources_digest(made_by), datasets, processes

    def outcomes(self, cells: Iterable[Cell]) -> list[dict[str, Any]]:
        """What each cell gives, see :func:`run_cell`; those that are not finished are run."""
        cells = list(cells)
        self._finish("cells", {key(cell): cell for cell in cells})
        return [json.loads((self.folder / "cells" / f"{key(cell)}.json").read_text()) for cell in cells]

    def _finish(self, kind: str, wanted: Mapping[str, Work]) -> None:
        place = self.folder / kind
        place.mkdir(parents=True, exist_ok=True)
        if not (open_ := unfinished(place, wanted)):
            return
        first = {key(training): training for what in open_ for training in trainings_of(what)}
        if first and kind == "trainings":  # what waits for none keeps the other processes busy
            first |= {name: what for name, what in wanted.items() if not (trainings_of(what) or what.described)}
        self._finish("trainings", first)
        described = [what.described for what in open_ if isinstance(what, Cell | Training) and what.described]
        for type_, kind_ in KINDS.items():
            self._finish(kind_, {key(what): what for what in described if isinstance(what, type_)})
        open_ = unfinished(place, wanted)  # some may have been needed by others
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


def unfinished(place: Path, wanted: Mapping[str, Work]) -> list[Work]:
    """Those of which nothing is written."""
    return [what for name, what in wanted.items() if not (place / f"{name}.json").exists()]


def trainings_of(what: Work) -> list[Training]:
    """What has to be trained before."""
    if isinstance(what, Training | Cell):
        return list(what.runs.values())
    return [what.training] if what.training else []


def names_of(what: Work) -> set[str]:
    """The datasets and files of the sources that are read."""
    return {what.dataset, *(what.files.values() if isinstance(what, Training | Frames) else ())}


def dataset_of(folder: Path, paths: dict[str, str], what: Training | Cell) -> str:
    """The path of a dataset, or of what describes it."""
    if what.described is None:
        return paths[what.dataset]
    return read(folder, KINDS[type(what.described)], what.described)["dataset"]


def files_of(folder: Path, paths: dict[str, str], what: Training | Frames) -> dict[str, str]:
    """Options that are files of the sources, and trained encoders."""
    runs = what.runs if isinstance(what, Training) else {"resume": what.training} if what.training else {}
    files = {option: paths[name] for option, name in what.files.items()}
    return files | {option: read(folder, "trainings", run)["run"] for option, run in runs.items()}


def run_training(folder: Path, paths: dict[str, str], training: Training) -> None:
    """Train; ``trainings/KEY.json`` says where the run is, how many seconds it took, of which the processor worked
    ``cpu_s``, R@1 of the validation at the start and after each epoch, and the recalls of the ``best`` one."""
    import opticornet
    from opticornet.learning.history import read_epochs

    name = key(training)
    begun, worked = time.monotonic(), time.process_time()
    run = opticornet.train(
        dataset=dataset_of(folder, paths, training), seed=training.seed, runs_path=str(folder / "runs" / name),
        device="cpu", threads=1, quiet=True, **training.options, **files_of(folder, paths, training),
    )  # fmt: skip
    outcome = {"run": str(run), "seconds": time.monotonic() - begun, "cpu_s": time.process_time() - worked}
    epochs = [epoch for epoch in read_epochs(run) if epoch["recalls"]]
    best = next((epoch["recalls"] for epoch in reversed(epochs) if epoch["is_best"]), {})
    validated = [epoch["recalls"]["1"] for epoch in epochs]
    write(folder / "trainings" / f"{name}.json", outcome | {"validated": validated, "best": best})


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


def run_frames(folder: Path, paths: dict[str, str], frames: Frames) -> None:
    """Describe the images, in a copy of the dataset's folder; ``frames/KEY.json`` says where it is, how many seconds
    that took, and what was said of the training."""
    import opticornet

    name, begun = key(frames), time.monotonic()
    place = folder / "described" / f"frames-{name}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(paths[frames.dataset], place)
    opticornet.extract(
        dataset=str(place), device="cpu", threads=-1, quiet=True, **frames.options, **files_of(folder, paths, frames)
    )
    trained = read(folder, "trainings", frames.training) if frames.training else {}
    described = {"dataset": str(place), "described_s": time.monotonic() - begun}
    write(folder / "frames" / f"{name}.json", trained | described)


def run_cell(folder: Path, paths: dict[str, str], cell: Cell) -> None:
    """Test; ``cells/KEY.json`` holds the result record, as ``training_s`` how long its encoders took to train, and as
    ``described`` what was said of its descriptions."""
    import opticornet

    dataset, trained = dataset_of(folder, paths, cell), {o: read(folder, "trainings", r) for o, r in cell.runs.items()}
    encoders = list(trained.values())
    described = read(folder, KINDS[type(cell.described)], cell.described) if cell.described else None
    if isinstance(cell.described, Described):
        encoders = [described]
    given = {"bootstrap": 0, "latency_queries": 0} | {option: run["run"] for option, run in trained.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        record = opticornet.test(dataset=dataset, device="cpu", threads=1, quiet=True, **given | cell.options)
    outcome = asdict(record) | {"training_s": [run["seconds"] for run in encoders], "trained": encoders}
    outcome |= {"described": described}
    write(folder / "cells" / f"{key(cell)}.json", outcome)


WORK = {"trainings": run_training, "described": run_described, "frames": run_frames, "cells": run_cell}


def read(folder: Path, kind: str, what: Work) -> dict[str, Any]:
    """What was written of finished work."""
    return json.loads((folder / kind / f"{key(what)}.json").read_text())


def write(path: Path, values: dict[str, Any]) -> None:
    """As JSON; the file is whole or not there."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values))
    temporary.rename(path)


def sources_digest(more: Iterable[Path] = ()) -> str:
    """Of the sources any of which may change a number: the package's, and what makes datasets and cells of it."""
    digest = hashlib.sha256()
    package = [
        path for folder in ("opticornet", "models", "datasets", "utils") for path in (ROOT / folder).rglob("*.py")
    ]
    for path in (*sorted(package), *(Path(__file__).with_name(f"{name}.py") for name in ("cells", "sources")), *more):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
