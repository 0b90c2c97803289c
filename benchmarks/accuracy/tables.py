"""Cells to tables: lines of markdown."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from cells import LATENCY_QUERIES, Bench, Cell
from image_sequences import sta, tokens
from lines import Outcome, header_of, line, recalls
from rows import (
    ABLATIONS,
    ADAPTATIONS,
    DIMENSIONS,
    ENCODED,
    FRAME_DIMS,
    IMAGES,
    METHODS,
    MORE_SEASONS,
    SIMULATED,
    START,
    STRESSED,
    SUMMARY,
    Row,
)
from sources import FOLDS, SPLIT, fold_names

IMAGE_SEED = 1
SIMULATION = "synthetic-20k"
SIMULATION_SEEDS = 3


@dataclass(frozen=True)
class Seeds:
    """How often each encoder is trained on the split and on each fold."""

    split: int
    fold: int

    def cases(self, where: str) -> list[tuple[str, int]]:
        """Dataset and seed of each training: on the "split", or on the "folds"."""
        if where == "split":
            return [(SPLIT, seed) for seed in range(self.split)]
        return [(fold, seed) for fold in fold_names() for seed in range(self.fold)]


def methods(bench: Bench, seeds: Seeds) -> list[str]:
    """Every method with each adaptation, on the test split and over the folds."""
    rows = METHODS + MORE_SEASONS
    found = by_row(bench, seeds, rows, ADAPTATIONS)
    header = [f"{adapt}: R@1 | R@5" for adapt in ADAPTATIONS]
    lines = [f"### Test split, {seeds.split} seeds, by adaptation", ""]
    lines += header_of("method", "dimensions", "ms per query: encode", "search", *header)
    for row in rows:
        costs = cost(found[row.name, row.adaptations[0], "split"][0])
        lines.append(line(row.name, *costs, *adapted(found, row, "split")))
    lines += ["", f"### {FOLDS} folds, {seeds.fold} seeds, by adaptation", "", *header_of("method", *header)]
    lines += [line(row.name, *adapted(found, row, "folds")) for row in rows]
    return [*lines, "", training_time(found.values())]


def summary(bench: Bench, seeds: Seeds) -> list[str]:
    """The rows of the README, of the methods' test split."""
    rows = [row for row in METHODS + MORE_SEASONS if row.name in SUMMARY]
    shown = ("none", "running")
    found = by_row(bench, seeds, rows, shown)
    header = [f"`--adapt {adapt}`: R@1 | R@5" for adapt in shown]
    lines = header_of("method", *header)
    for row in rows:
        cells = [recalls(found[row.name, adapt, "split"], deviation=False) for adapt in shown]
        lines.append(line(row.name, *cells))
    return lines


def ablations(bench: Bench, seeds: Seeds) -> list[str]:
    """What each part of dsdnet gives, with the default adaptation."""
    found = by_row(bench, seeds, ABLATIONS, (None,))
    lines = header_of(
        "method", f"test split, {seeds.split} seeds: R@1 | R@5", f"{FOLDS} folds x {seeds.fold} seeds: R@1 | R@5"
    )
    for row in ABLATIONS:
        lines.append(line(row.name, *(recalls(found[row.name, None, where]) for where in ("split", "folds"))))
    return lines


def dimensions(bench: Bench, seeds: Seeds) -> list[str]:
    """Recall against the numbers kept for a place: of dsdnet as many channels as fit, once for each step."""
    values = {}
    for name, options in ENCODED.items():
        length, is_dsdnet = options["sequence_length"], "pooling" not in options
        fitting = [size for size in DIMENSIONS if size <= length * FRAME_DIMS]
        values[name] = {size: {"out_dims": size // length if is_dsdnet else size} for size in fitting}
    return starts(bench, "dimensions", values)


def kernels(bench: Bench, seeds: Seeds) -> list[str]:
    """Recall against the frames under the kernel."""
    lengths = {name: options["sequence_length"] for name, options in ENCODED.items()}
    return starts(bench, "`--w`", {name: {w: {"w": w} for w in range(1, most + 1)} for name, most in lengths.items()})


def starts(bench: Bench, what: str, values: dict[str, dict[int, dict[str, int]]]) -> list[str]:
    """Recall of the start alone, untrained, for values of each encoder and the options they stand for: by the folds,
    which choose, and the test."""
    rows = {
        (name, value): Row(f"{name} {value}", {}, ENCODED[name] | START | options)
        for name, of_name in values.items()
        for value, options in of_name.items()
    }
    found = by_row(bench, Seeds(1, 1), list(rows.values()), (None,))
    columns = [f"{name}: dimensions | folds: R@1 | R@5 | test: R@1 | R@5" for name in values]
    lines = header_of(what, *columns)
    for value in sorted({value for of_name in values.values() for value in of_name}):
        cells = []
        for name in values:
            if (row := rows.get((name, value))) is None:
                cells.append(" | ".join([""] * 5))
                continue
            folds, split = (found[row.name, None, where] for where in ("folds", "split"))
            cells.append(f"{split[0]['method']['out_dims']} | {recalls(folds, deviation=False)} | {recalls(split)}")
        lines.append(line(str(value), *cells))
    return lines


def images(bench: Bench, seeds: Seeds) -> list[str]:
    """HOG of real images, trained on the thumbnails alone."""
    rows = {(length, row.name): row for length, rows in IMAGES.items() for row in rows}
    places = ("thumbnails", "corridor")
    keys = [(place, name, adapt) for place in places for _, name in rows for adapt in ADAPTATIONS]
    by_name = {name: row for (_, name), row in rows.items()}
    cells = [by_name[name].cell(place, IMAGE_SEED, adapt, trained_on="thumbnails") for place, name, adapt in keys]
    found = dict(zip(keys, bench.outcomes(cells), strict=True))
    header = [f"{place}, {adapt}: R@1 | R@5" for place in places for adapt in ADAPTATIONS]
    lines = header_of("frames", "method", *header)
    for length, name in rows:
        cells_of = [recalls([found[place, name, adapt]]) for place in places for adapt in ADAPTATIONS]
        lines.append(line(str(length), name, *cells_of))
    return lines


def stress(bench: Bench, seeds: Seeds) -> list[str]:
    """R@1 of the thumbnails where the queries' drive is at another pace."""
    found = bench.outcomes(row.cell("thumbnails", IMAGE_SEED, stress=True) for row in STRESSED)
    names = list(found[0]["stress"])
    lines = header_of("queries' drive", *(row.name for row in STRESSED))
    return lines + [line(name, *(f"{outcome['stress'][name]['1']:.3f}" for outcome in found)) for name in names]


def simulation(bench: Bench, seeds: Seeds) -> list[str]:
    """The closed form against training where data is not short, with intervals."""
    keys = [(row, seed) for row in SIMULATED for seed in range(SIMULATION_SEEDS if row.encoder else 1)]
    found = bench.outcomes(row.cell(SIMULATION, seed, bootstrap=1000) for row, seed in keys)
    lines = header_of("method", f"R@1 of {SIMULATION_SEEDS} seeds", "R@5", "R@1 of each seed, 95 % interval")
    for row in SIMULATED:
        mine = [outcome for (other, _), outcome in zip(keys, found, strict=True) if other is row]
        each = ", ".join("{:.3f} ({:.3f} to {:.3f})".format(o["recall"]["1"], *o["recall_interval"]["1"]) for o in mine)
        lines.append(line(row.name, recalls(mine, count="recall"), each))
    return [*lines, "", training_time([[o for o in found if o["training_s"]]])]


TABLES: dict[str, Callable[[Bench, Seeds], list[str]]] = {
    "methods": methods,
    "summary": summary,
    "ablations": ablations,
    "dimensions": dimensions,
    "kernels": kernels,
    "images": images,
    "stress": stress,
    "simulation": simulation,
    "sta": sta,
    "tokens": tokens,
}


def by_row(
    bench: Bench, seeds: Seeds, rows: Sequence[Row], adaptations: tuple[str | None, ...]
) -> dict[tuple[str, str | None, str], list[Outcome]]:
    """Outcomes of each row, adaptation, and place ("split" or "folds"); where nothing is trained one seed is all."""
    cells: dict[tuple[str, str | None, str], list[Cell]] = {}
    for row in rows:
        for adapt in adaptations:
            if adapt is not None and adapt not in row.adaptations:
                continue
            for where in ("split", "folds"):
                cases = seeds.cases(where)
                if row.encoder is None:
                    cases = [(dataset, 0) for dataset in dict.fromkeys(dataset for dataset, _ in cases)]
                cells[row.name, adapt, where] = [row.cell(dataset, seed, adapt) for dataset, seed in cases]
            timed = cells[row.name, adapt, "split"]
            timed[0] = replace(timed[0], options=timed[0].options | {"latency_queries": LATENCY_QUERIES})
    outcomes = iter(bench.outcomes(cell for group in cells.values() for cell in group))
    return {key: [next(outcomes) for _ in group] for key, group in cells.items()}


def adapted(found: dict, row: Row, where: str) -> list[str]:
    """Recalls for each adaptation; empty where a row has none."""
    return [recalls(found[row.name, adapt, where]) if adapt in row.adaptations else " | " for adapt in ADAPTATIONS]


def cost(outcome: Outcome) -> list[str]:
    """Numbers kept for a place (of a frame, where frames are matched), and milliseconds of encoding a query and of all
    the rest."""
    latency = {step: times["median"] for step, times in outcome["timing"]["latency_ms"].items()}
    encode = latency.get("encode", 0.0)
    dims = str(outcome["method"]["out_dims"] or outcome["data"]["dims"])
    return [dims, f"{encode:.2f}" if encode else "", f"{latency['total'] - encode:.2f}"]


def training_time(outcomes: Iterable[list[Outcome]]) -> str:
    """How long one encoder took."""
    seconds = [second for group in outcomes for outcome in group for second in outcome["training_s"]]
    return f"Training one encoder took {statistics.median(seconds):.1f} s on one core (median)."
