"""Cells to tables: lines of markdown."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from cells import Bench, Cell, Frames, Training
from encoders import ABLATIONS, FOL_SMALL, HEADS, STUDENT, TEACHER, TESTS, Encoder, frames, tested
from image_sources import CORRIDOR, THUMBNAILS, THUMBNAILS_TEST
from lines import Outcome, header_of, line
from rows import IMAGES, Row

SEED = 0
ORDERED = (CORRIDOR, THUMBNAILS_TEST)  # whose queries are drives
COLUMNS = tuple((test, adapt) for test in TESTS for adapt in ("none", "running") if adapt == "none" or test in ORDERED)
CONTEXT = 64  # images of a training batch
BATCHES = {"batch_size": CONTEXT}  # extraction describes as many together


def heads(bench: Bench) -> list[str]:
    """Every head before and after training."""
    trainings = {
        (encoder.name, when): training
        for encoder in HEADS
        for when, training in (("start", encoder.start(SEED)), ("trained", encoder.training(SEED)))
    }
    lines = header_of("encoder", "", "dimensions", "val: R@1 | R@5", *titles(COLUMNS), "minutes of training")
    for (name, when), outcomes in by_training(bench, trainings, COLUMNS).items():
        cells = [name, when, str(outcomes[0]["data"]["dims"]), *recalls_of(outcomes)]
        lines.append(line(*cells, minutes(outcomes[0]) if when == "trained" else ""))
    return lines


def ablations(bench: Bench) -> list[str]:
    """FoL with terms of its loss left out."""
    trainings = {encoder.name: encoder.training(SEED) for encoder in ABLATIONS}
    trainings = {"before training": FOL_SMALL.start(SEED)} | trainings
    columns = [column for column in COLUMNS if column[1] == "none"]
    lines = header_of("loss", "val: R@1 | R@5", *titles(columns))
    for name, outcomes in by_training(bench, trainings, columns).items():
        lines.append(line(name, *recalls_of(outcomes)))
    return lines


def contexts(bench: Bench) -> list[str]:
    """Teacher and student by how many images see one another."""
    teacher, student = TEACHER.training(SEED), STUDENT.training(SEED)
    rows: dict[str, tuple[Training, dict[str, Any]]] = {
        f"{TEACHER.name}, {CONTEXT} images together": (teacher, BATCHES | {"context": CONTEXT}),
        f"{TEACHER.name}, each image alone": (teacher, {"context": 1}),
        f"{STUDENT.name}, each image alone": (student, {}),
    }
    found = iter(bench.outcomes(tested(test, run, "none", **more) for run, more in rows.values() for test in TESTS))
    lines = header_of("encoder", *titles([(test, "none") for test in TESTS]))
    return lines + [line(name, *(recalls(next(found)) for _ in TESTS)) for name in rows]


DESCRIBED: dict[str, Encoder | dict[str, Any]] = {
    "hog": {"desc_type": "hog"},
    "efficientnet-lite0, grid, not trained on places": {"desc_type": "efficientnet-lite0"},
    **{f"{encoder.name}, trained": encoder for encoder in (FOL_SMALL, STUDENT)},
}
SEQUENCES = [
    IMAGES[1][0],
    *(row for row in IMAGES[5] if row.name in ("single+seqmatch L5", "dsdnet S5", "dsdnet HVPR S5 to S1 (5)")),
]


def sequences(bench: Bench) -> list[str]:
    """From image encoder to what sequences of its descriptors find, with the adaptation that is the default."""
    places = (THUMBNAILS, CORRIDOR)
    keys = [(name, row, place) for name in DESCRIBED for row in SEQUENCES for place in places]
    found = iter(bench.outcomes(on_frames(DESCRIBED[name], row, place) for name, row, place in keys))
    lines = header_of("image encoder", "method", *(f"{place}: R@1 | R@5" for place in places))
    for name in DESCRIBED:
        lines += [line(name, row.name, *(recalls(next(found)) for _ in places)) for row in SEQUENCES]
    return lines


def on_frames(encoder: Encoder | dict[str, Any], row: Row, place: str) -> Cell:
    """A row's test on a dataset as an image encoder describes it; what it trains is trained on the thumbnails."""

    def described(dataset: str) -> Frames:
        if isinstance(encoder, Encoder):
            return frames(dataset, encoder.training(SEED))
        return Frames(dataset, encoder)

    cell = row.cell(place, SEED, trained_on=THUMBNAILS)
    runs = {option: replace(run, described=described(THUMBNAILS)) for option, run in cell.runs.items()}
    return replace(cell, described=described(place), runs=runs)


LOCAL = {"local": True, "local_dtype": "float16"}
FEATURES = (50, 100, 200, 0)  # of a frame; 0: all, 400
LOCAL_PLACES = (CORRIDOR, THUMBNAILS_TEST)


def local(bench: Bench) -> list[str]:
    """Candidates of FoL's descriptors re-ordered by its local features: recall against bytes and time."""
    training = FOL_SMALL.training(SEED)
    stages = [None, *FEATURES]
    keys = [(stage, length, place) for length in (1, 5) for stage in stages for place in LOCAL_PLACES]
    found = dict(zip(keys, bench.outcomes(locally(training, *one) for one in keys), strict=True))
    titles_of = [f"{place}: R@1 | R@5 | ms per query" for place in LOCAL_PLACES]
    lines = header_of("frames", "local features of a frame", "bytes", *titles_of)
    for length in (1, 5):
        for stage in stages:
            outcomes = [found[stage, length, place] for place in LOCAL_PLACES]
            read = outcomes[0]["method"]["local_features"]
            what = [str(read["features"]), f"{read['bytes_per_frame']:,}"] if read else ["not re-ranked", ""]
            lines.append(line(str(length), *what, *(f"{recalls(one)} | {milliseconds(one)}" for one in outcomes)))
    return lines


def locally(training: Training, features: int | None, length: int, place: str) -> Cell:
    """The test of a smoothed sequence, or a single image, re-ranked by so many local features; None: not at all."""
    options = {"pooling": "smooth" if length > 1 else "single", "sequence_length": length, "adapt": "none"}
    if features is not None:
        options |= {"rerank": "local", "local_features": features}
    return Cell(place, options, described=frames(place, training, **LOCAL))


def milliseconds(outcome: Outcome) -> str:
    """Of re-ranking a query; empty where nothing was."""
    if outcome["method"]["local_features"] is None:
        return ""
    return f"{1000 * outcome['timing']['rerank_s'] / outcome['data']['query']['kept']:.0f}"


TABLES: dict[str, Callable[[Bench], list[str]]] = {
    "heads": heads,
    "contexts": contexts,
    "local": local,
    "sequences": sequences,
    "terms": ablations,
}


def by_training(
    bench: Bench, trainings: dict[Any, Training], columns: Iterable[tuple[str, str]]
) -> dict[Any, list[Outcome]]:
    """The tests of each training, by dataset and adaptation."""
    columns = list(columns)
    cells = [tested(test, training, adapt) for training in trainings.values() for test, adapt in columns]
    found = iter(bench.outcomes(cells))
    return {name: [next(found) for _ in columns] for name in trainings}


def recalls_of(outcomes: list[Outcome]) -> list[str]:
    """Of the validation and of each test."""
    return [recalls({"recall": trained_of(outcomes[0])["best"]}), *map(recalls, outcomes)]


def recalls(outcome: Outcome) -> str:
    """R@1 and R@5."""
    return " | ".join(f"{outcome['recall'][k]:.3f}" for k in ("1", "5"))


def trained_of(outcome: Outcome) -> dict[str, Any]:
    """What was said of the training whose encoder described the images."""
    return outcome["described"]


def minutes(outcome: Outcome) -> str:
    return f"{trained_of(outcome)['cpu_s'] / 60:.1f}"


def titles(columns: Iterable[tuple[str, str]]) -> list[str]:
    """R@1 and R@5 of validation or tests."""
    names = (f"{test}, {adapt}" if test in ORDERED else test for test, adapt in columns)
    return [f"{name}: R@1 | R@5" for name in names]
