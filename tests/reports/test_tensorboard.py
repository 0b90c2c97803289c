"""The events of a training run, read back with TensorBoard's own reader."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from opticornet.learning.history import EpochReport, read_epochs
from opticornet.learning.task import Validation
from opticornet.options.modes import TrainOptions
from opticornet.reports.tensorboard import EncodedSide, TrainingLog, Validated, similarity_picture
from opticornet.steps.train import train


def _report(epoch: int) -> EpochReport:
    means = {"loss": 1.0 / (epoch + 1), "active": 0.5}
    metrics = {"recall@1": 0.25 * (epoch + 1), "recall@5": 0.5}
    return EpochReport(epoch, 3, means, samples=10, seconds=2.0, lr=0.1, metrics=metrics, is_best=True)


def _validated(images: tuple[str, ...] | None = None, n: int = 12) -> Validated:
    vectors = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0][:n].astype(np.float32)
    positions = np.stack([np.arange(n) * 2.0, np.zeros(n)], axis=1)
    names = tuple(f"frame\t{i}" for i in range(n))
    sides = [EncodedSide(name, vectors, positions, names, images) for name in ("summer", "winter")]
    correct = np.arange(n) != 3
    return Validated(*sides, np.linspace(0, 1, n), correct, nearest=np.arange(n))


def _validation(images: tuple[str, ...] | None = None, recall: float = 0.25) -> Validation:
    return Validation((0.5, recall), {"recall@1": recall, "recall@5": 0.5}, _validated(images))


def _step(positive: list[float], negative: list[float]) -> dict[str, torch.Tensor]:
    values = {"positive_distance": positive, "negative_distance": negative, "active": [0.5]}
    return {name: torch.tensor(value) for name, value in values.items()}


def _read(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"histograms": 0, "images": 0, "scalars": 0, "tensors": 0})
    return events.Reload()


@pytest.fixture
def pictured_route(tmp_path) -> Path:
    """A dataset folder of two drives of 90 frames with positions in metres and an image each."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "route"
    folder.mkdir()
    places = np.cumsum(rng.standard_normal((90, 12)), axis=0)
    lines = ['name = "route"', 'units = "metres"']
    for drive in ("day", "night"):
        np.save(folder / f"{drive}.npy", (places + rng.standard_normal(places.shape)).astype(np.float32))
        (folder / drive).mkdir()
        for i in range(90):
            Image.new("RGB", (16, 8), (2 * i, 0, 0)).save(folder / drive / f"{i}.png")
        rows = "".join(f"place {i},{2 * i},0,{drive}/{i}.png\n" for i in range(90))
        (folder / f"{drive}.csv").write_text(f"name,x,y,image\n{rows}")
        lines += [f'[traverses.{drive}]\ndescriptors = "{drive}.npy"\nframes = "{drive}.csv"']
    for split, rows in (("train", "[0, 60]"), ("val", "[65, 90]")):
        lines += [f'[splits.{split}]\nreference = "day"\nquery = "night"', f"reference_rows = {rows}"]
        lines += [f"query_rows = {rows}\npositive_radius = 2\nnegative_radius = 8"]
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


def test_a_real_run_leaves_all_that_the_documentation_lists(pictured_route, tmp_path):
    options = TrainOptions.of(
        dataset=str(pictured_route), runs_path=str(tmp_path / "runs"), n_epochs=6, patience=0, batch_size=16,
        out_dims=8, lr=1e-2,
        init="random", margin=2.0, margin2=1.0, device="cpu", quiet=True,
    )  # fmt: skip
    run = train(options)
    events = _read(run)
    tags = events.Tags()
    terms = ("loss", "active", "positive_distance", "negative_distance", "tuples", "lr")
    trained = {f"train/{name}" for name in (*terms, "gradient_norm", "gradient_norm_max")}
    recalls = {f"val/recall_at_{k}" for k in (1, 5, 10, 20)}
    told = {"speed/seconds_per_epoch", "speed/tuples_per_second", "memory/peak_mib"}
    assert set(tags["scalars"]) == trained | recalls | told | {"val/average-precision"}
    assert [event.step for event in events.Scalars("train/gradient_norm")] == [1, 2, 3, 4, 5, 6]
    assert all(event.value > 0 for event in events.Scalars("train/gradient_norm"))
    history = {epoch["epoch"] + 1: epoch["recalls"]["1"] for epoch in read_epochs(run)}
    written = {event.step: event.value for event in events.Scalars("val/recall_at_1")}
    assert set(written) == {0, *history}  # the start is validated too
    assert all(written[step] == pytest.approx(recall) for step, recall in history.items())

    assert set(tags["histograms"]) == {"train/distance_positive", "train/distance_negative"}
    first = events.Histograms("train/distance_positive")[0].histogram_value
    assert first.num == events.Scalars("train/tuples")[0].value
    mean = events.Scalars("train/positive_distance")[0].value
    assert first.sum / first.num == pytest.approx(mean, rel=1e-3)
    assert [event.step for event in events.Images("val/similarity")] == [0, 5]
    assert [event.step for event in events.Tensors("val/first_match")] == [0, 1, 2, 3, 4, 5, 6]

    (projected,) = (path.parent for path in run.rglob("metadata.tsv"))
    rows = [line.split("\t") for line in (projected / "metadata.tsv").read_text().splitlines()]
    assert rows[0] == ["place", "traverse", "position_0", "position_1"]
    assert rows[1] == ["place 65", "day", "130", "0"]
    assert [row[1] for row in rows[1:]] == ["day"] * 25 + ["night"] * 25
    with Image.open(projected / "sprite.png") as sprite:
        assert sprite.size == (8 * 32, 8 * 32)  # 50 places in a square
    hparams = _read(run / "hparams")
    assert hparams.Scalars("last/recall_at_1")[0].value == pytest.approx(history[6])
    both = [[event.value for event in events.Scalars(f"val/recall_at_{k}")] for k in (1, 5)]
    best = max(range(7), key=lambda step: (both[0][step] + both[1][step], both[0][step]))
    assert [hparams.Scalars(f"best/recall_at_{k}")[0].value for k in (1, 5)] == [values[best] for values in both]


def test_scalars_and_histograms(tmp_path):
    with TrainingLog(tmp_path, TrainOptions.of(), 0) as log:
        for epoch in range(2):
            log.step(_step([0.1, 0.3], [0.9, 1.1, 2.5]), 3.0)
            log.step(_step([0.2], []), 5.0)
            log.validation(epoch, _validation(recall=0.25 * (epoch + 1)))
            log.epoch(_report(epoch))
    events = _read(tmp_path)
    scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert scalars["train/loss"] == [(1, 1.0), (2, 0.5)]
    assert scalars["train/gradient_norm"] == [(1, 4.0), (2, 4.0)]
    assert scalars["train/gradient_norm_max"] == [(1, 5.0), (2, 5.0)]
    assert scalars["val/recall_at_1"] == [(1, 0.25), (2, 0.5)]
    assert scalars["speed/tuples_per_second"] == [(1, 5.0), (2, 5.0)]
    assert scalars["train/lr"][0][1] == pytest.approx(0.1)
    assert scalars["memory/peak_mib"][0][1] > 1
    first, second = (event.histogram_value for event in events.Histograms("train/distance_positive"))
    assert first.num == second.num == 3  # each epoch starts anew
    assert first.sum == pytest.approx(0.6)
    assert events.Histograms("train/distance_negative")[0].histogram_value.max == 2.0


def test_validation_leaves_a_curve_a_matrix_and_a_projector(tmp_path):
    paths = []
    for i in range(12):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.new("RGB", (64, 32), (20 * i, 0, 0)).save(paths[-1])
    run = tmp_path / "run"
    with TrainingLog(run, TrainOptions.of(), 0) as log:
        for epoch in range(6):
            log.validation(epoch, _validation(tuple(paths)))
        log.finish({})
    events = _read(run)
    assert [e.step for e in events.Images("val/similarity")] == [1, 6]  # every five validations
    assert "val/first_match" in events.Tags()["tensors"]
    (folder,) = (path.parent for path in run.rglob("metadata.tsv"))
    lines = (folder / "metadata.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["place", "traverse", "position_0", "position_1"]
    assert lines[2].split("\t") == ["frame 1", "summer", "2", "0"]
    assert len(lines) == 1 + 24
    assert len((folder / "tensors.tsv").read_text().splitlines()) == 24
    assert (folder / "sprite.png").is_file()


def test_projector_does_without_sprites_where_an_image_is_missing(tmp_path):
    with TrainingLog(tmp_path, TrainOptions.of(), 0) as log:
        log.validation(0, _validation(("gone.png",) * 12))
        log.finish({})
    assert list(tmp_path.rglob("metadata.tsv"))
    assert not list(tmp_path.rglob("sprite.png"))


def test_hparams_hold_options_and_final_recalls(tmp_path):
    with TrainingLog(tmp_path, TrainOptions.of(lr=0.5), 0) as log:
        log.validation(0, _validation(recall=0.125))
        log.finish({"recall@1": 0.25, "recall@5": 0.75, "average-precision": 0.5})
    events = _read(next((tmp_path / "hparams").glob("events*")).parent)
    assert events.Scalars("best/recall_at_5")[0].value == 0.75
    assert events.Scalars("best/average-precision")[0].value == 0.5
    assert events.Scalars("last/recall_at_1")[0].value == 0.125
    plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"lrSchedule" in plugin
    assert b"runsPath" not in plugin


def test_a_resumed_run_replaces_what_it_does_again(tmp_path):
    with TrainingLog(tmp_path, TrainOptions.of(), 0) as log:
        for epoch in range(3):
            log.epoch(_report(epoch))
    with TrainingLog(tmp_path, TrainOptions.of(), 1) as log:
        log.epoch(_report(1))
    assert [epoch["epoch"] for epoch in read_epochs(tmp_path)] == [0, 1]
    assert [event.step for event in _read(tmp_path).Scalars("train/loss")] == [1, 2]


def test_another_tasks_numbers_are_written_too(tmp_path):
    with TrainingLog(tmp_path, TrainOptions.of(), 0) as log:
        log.step({"error": torch.tensor([4.0])}, 1.0)
        log.validation(0, Validation((-2.0,), {"error": 2.0}))
        log.epoch(_report(0))
    events = _read(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("val/error")] == [(1, 2.0)]
    assert not events.Tags()["histograms"]
    assert not events.Tags()["images"]


def test_similarity_picture_marks_true_places():
    picture = similarity_picture(_validated())
    assert picture.shape == (12, 12, 3)
    green = (picture == (0, 224, 163)).all(axis=-1)
    np.testing.assert_array_equal(green, np.eye(12, dtype=bool))
    assert similarity_picture(_validated(n=12)).dtype == np.uint8
