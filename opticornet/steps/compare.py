"""Step: training runs side by side, or two results query by query."""

import csv
import io
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opticornet.inference.runs import FLAGS, read_flags
from opticornet.learning.history import read_epochs
from opticornet.options.modes import CompareOptions
from opticornet.options.parsing import in_flags
from opticornet.utils.errors import UserError
from opticornet.utils.files import write_text
from opticornet.utils.logs import duration
from opticornet.utils.options import as_typed

# Flags that have a column of their own, or only say where files are and how fast to compute.
_NOT_COMPARED = {
    *(
        "dataset",
        "pooling",
        "descriptors",
        "plugins",
        "dataPath",
        "structPath",
        "runsPath",
        "savePath",
        "resume",
        "expName",
        "initialWeights",  # of initFrom
    ),
    *("device", "nocuda", "threads", "quiet", "verbose"),
}
_NEWEST, _TIME = "newest", "time"


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        path: its folder.
        flags: its options by flag.
        started: when its ``flags.json`` was written, seconds since 1970.
        epochs: epochs done; None where the run kept no history (seqNet's).
        best_epoch: epochs done at the best validation, 0: the initial weights; None before the first validation.
        recalls: K to validation recall in that epoch.
        seconds: spent in epochs; None where unknown.
    """

    path: Path
    flags: dict[str, Any]
    started: float
    epochs: int | None
    best_epoch: int | None
    recalls: dict[int, float]
    seconds: float | None


def compare(options: CompareOptions) -> None:
    """Print a table of runs, or the difference of two results.

    Raises:
        UserError: no run found, an unknown column to sort by, or results that cannot be compared.
    """
    options.refuse_unused()
    if options.diff:
        if len(options.diff) != 2:
            raise UserError(f"`diff` takes two result records, found {len(options.diff)}")
        from opticornet.reports.difference import as_text, difference
        from opticornet.reports.results import read_results

        results, failures = read_results(options.diff)
        if failures:
            raise UserError(failures[0])
        if len(results) != 2:
            raise UserError(f"`diff` {' '.join(options.diff)}: wanted two result records, found {len(results)}")
        print(as_text(difference(*results)))
        return
    runs, notes = find_runs(options.runs, options.save_path)
    for note in notes:
        print(f"note: {in_flags(note, CompareOptions)}", file=sys.stderr)
    runs = sort_runs(runs, options.sort)
    print(aligned(table(runs), width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    if options.csv:
        write_text(options.csv, as_csv(runs))


def find_runs(paths: tuple[str, ...], save_path: str) -> tuple[list[Run], list[str]]:
    """The runs among ``paths``: run folders, and folders of runs. Notes name those that cannot be read.

    Raises:
        UserError: there is none.
    """
    folders: dict[Path, None] = {}
    for path in map(Path, paths):
        if (path / save_path / FLAGS).is_file():
            folders[path] = None
        elif path.is_dir():
            folders |= dict.fromkeys(p.parents[1] for p in sorted(path.glob(f"*/{save_path}/{FLAGS}")))
    runs, notes = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder, save_path))
        except UserError as error:
            notes.append(str(error))
    if not runs:
        raise UserError(f"no run in {' '.join(paths)}: wanted folders with {save_path}/{FLAGS}; train one first")
    return runs, notes


def read_run(folder: Path, save_path: str) -> Run:
    """One run. Where its history has no best epoch (seqNet, which trained it, kept none), its best checkpoint holds the
    recalls.

    Raises:
        UserError: flags or checkpoint cannot be read.
    """
    flags = read_flags(folder, save_path)
    history = read_epochs(folder)
    best = next((epoch for epoch in reversed(history) if epoch.get("is_best")), None)
    best_epoch, recalls = (best["epoch"] + 1, best["recalls"]) if best else (None, {})
    epochs = [epoch for epoch in history if epoch["epoch"] >= 0]
    if best is None:
        best_epoch, recalls = _best_of_checkpoint(folder / save_path)
    return Run(
        folder,
        flags,
        started=(folder / save_path / FLAGS).stat().st_mtime,
        epochs=len(epochs) if history or best_epoch is None else None,
        best_epoch=best_epoch,
        recalls={int(k): float(value) for k, value in recalls.items()},
        seconds=sum(float(epoch.get("seconds", 0)) for epoch in epochs) if epochs else None,
    )


def _best_of_checkpoint(folder: Path) -> tuple[int | None, dict[int, float]]:
    """The epoch of a run's best checkpoint and its recalls; nothing where there is none yet."""
    from opticornet.utils.checkpoints import BEST, load_checkpoint  # which imports torch

    if not (folder / BEST).is_file():
        return None, {}
    state = load_checkpoint(folder / BEST)
    return int(state.get("epoch", 0)), dict(state.get("recalls") or {})


def sort_runs(runs: list[Run], column: str) -> list[Run]:
    """By "newest", "time", "R@K" or a flag; runs without a value come last.

    Raises:
        UserError: no such column.
    """
    if column == _NEWEST:
        return sorted(runs, key=lambda run: (-run.started, run.path.name))
    if column == _TIME:
        return sorted(runs, key=lambda run: (run.seconds is None, run.seconds or 0.0, run.path.name))
    if column.startswith("R@") and column[2:].isdigit():
        k = int(column[2:])
        if not any(k in run.recalls for run in runs):
            raise UserError(f"`sort` {column}: no run has validated it; there are {_known(runs)}")
        return sorted(runs, key=lambda run: -run.recalls.get(k, -1.0))
    if not any(column in run.flags for run in runs):
        raise UserError(f'`sort` {column}: choose "newest", "time", {_known(runs)}, or a flag without its dashes')
    return sorted(runs, key=lambda run: (column not in run.flags, _order(run.flags.get(column))))


def _known(runs: list[Run]) -> str:
    return ", ".join(f"R@{k}" for k in sorted({k for run in runs for k in run.recalls})) or "no recalls yet"


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers before text."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def table(runs: list[Run]) -> list[list[str]]:
    """Header and rows: what every run has, then the flags that differ between runs."""
    differing, ks = differing_flags(runs), recalls_known(runs)
    rows = [["run", "dataset", "method", "best epoch", *(f"R@{k}" for k in ks), "time", *differing]]
    for run in runs:
        best = "-" if run.best_epoch is None else str(run.best_epoch)
        rows.append(
            [
                run.path.name,
                dataset_name(run),
                method_name(run),
                best if run.epochs is None else f"{best} of {run.epochs}",
                *(f"{run.recalls[k]:.3f}" if k in run.recalls else "-" for k in ks),
                duration(run.seconds),
                *(_shown(run.flags.get(name, "-")) for name in differing),
            ]
        )
    return rows


def differing_flags(runs: list[Run]) -> list[str]:
    """Flags, without dashes, that are not the same in all runs."""
    flags = [(name, value) for run in runs for name, value in run.flags.items()]
    names = dict.fromkeys(name for name, value in flags if name not in _NOT_COMPARED and not isinstance(value, dict))
    return [name for name in names if len({str(run.flags.get(name)) for run in runs}) > 1]


def recalls_known(runs: list[Run]) -> list[int]:
    """The K that any run was validated at."""
    return [k for k in (1, 5, 10, 20) if any(k in run.recalls for run in runs)]


def method_name(run: Run) -> str:
    """What a run learned: a sequence method, or an image encoder."""
    return str(run.flags.get("pooling") or run.flags.get("descType", "?"))


def dataset_name(run: Run) -> str:
    """What a run was trained on, a folder by its last part."""
    dataset = str(run.flags.get("dataset", "?"))
    return Path(dataset).name if os.sep in dataset else dataset


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else as_typed(value)


def aligned(rows: list[list[str]], width: int | None) -> str:
    """Rows as aligned columns, numbers to the right; cut at ``width`` characters where given."""
    sizes = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = [i > 2 and all(row[i][:1].isdigit() or row[i][:1] in "-" for row in rows[1:]) for i in range(len(sizes))]
    lines = [
        "  ".join(
            cell.rjust(size) if flush else cell.ljust(size) for cell, size, flush in zip(row, sizes, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    if width:
        lines = [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
    return "\n".join(lines)


def as_csv(runs: list[Run]) -> str:
    """:func:`table` for programs: all digits, units in the names of the columns, nothing where nothing is known."""
    differing, ks = differing_flags(runs), recalls_known(runs)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["run", "dataset", "method", "best_epoch", "epochs", *(f"R@{k}" for k in ks), "seconds", *differing]
    )
    for run in runs:
        known = [run.best_epoch, run.epochs, *(run.recalls.get(k) for k in ks), run.seconds]
        flags = [run.flags.get(name) for name in differing]
        row = [run.path.name, dataset_name(run), method_name(run), *known, *flags]
        writer.writerow([" ".join(map(str, value)) if isinstance(value, list) else value for value in row])
    return out.getvalue()
