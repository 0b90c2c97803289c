"""A route driven the other way is found as one driven the same way: every answer is the same one, mirrored."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from opticornet.cli import main
from opticornet.evaluation.answering.answer import ROUNDING
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.modes import TestOptions
from opticornet.steps.test import test as run_test
from opticornet.utils.registry import entry

FRAMES, DIMS = 120, 16
METHODS = {  # label -> options; a trained one is resumed
    "diagonal": {"pooling": "single+seqmatch"},
    "seqslam": {"pooling": "single+seqmatch", "matcher": "seqslam", "velocities": (0.5, 1.5, 0.25)},
    "dtw": {"pooling": "single+seqmatch", "matcher": "dtw"},
    "smooth": {"pooling": "smooth"},
    "delta": {"pooling": "delta"},
    "seqnet": {"resume": "seqnet"},
    "dsdnet": {"resume": "dsdnet"},
    "s1": {"pooling": "s1+seqmatch", "resume": "s1"},
    "hvpr raw": {"pooling": "smooth", "rerank": "single+seqmatch", "top_k": 10},
    "hvpr": {"resume": "dsdnet", "rerank": "s1+seqmatch", "top_k": 10},
    "single, re-ranked": {"pooling": "single", "rerank": "single+seqmatch", "rerank_length": 6, "top_k": 10},
}


class Drives:
    """The places of a map, driven again: the same way, the other way, that without noise, and half of them each way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(3)
        places = rng.standard_normal((FRAMES, DIMS)).astype(np.float32)
        noisy = places + 0.8 * rng.standard_normal(places.shape).astype(np.float32)
        there, back = np.arange(FRAMES), np.arange(FRAMES)[::-1]
        mixed = np.concatenate([there[:60], back[:60]])  # two sequences, the second driven the other way
        drives = {
            "map": (places, there),
            "same": (noisy, there),
            "turned": (noisy, back),
            "clean": (places, back),
            "mixed": (noisy, mixed),
        }
        toml = ['name = "turned"', 'units = "metres"']
        for name, (frames, order) in drives.items():
            np.save(folder / f"{name}.npy", frames[order])
            rows = [f"{place},0,{'ab'[name == 'mixed' and row >= 60]}" for row, place in enumerate(order)]
            (folder / f"{name}.csv").write_text("\n".join(["x,y,sequence", *rows]))
            toml.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"\nframes = "{name}.csv"')
        self.toml = "\n".join(toml)
        for name, length, w in (("seqnet", 9, 3), ("dsdnet", 9, 3), ("s1", 1, 1)):
            self._run(name, "seqnet" if name == "seqnet" else "dsdnet", length, w)

    def _run(self, name: str, pooling: str, length: int, w: int) -> None:
        torch.manual_seed(0)
        encoder = entry(SEQUENCE_ENCODERS, pooling)(out_dims=12, w=w).build(DIMS, length)
        for weight in encoder.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        checkpoints = self.folder / "runs" / f"Jun03_15-22-44_l{length}_{name}" / "checkpoints"
        checkpoints.mkdir(parents=True)
        state = {"epoch": 1, "state_dict": encoder.state_dict(), "recalls": {1: 0.5}, "best_score": 0.5}
        torch.save(state, checkpoints / "model_best.pth.tar")
        flags = {"pooling": pooling, "seqL": length, "w": w, "outDims": 12}
        (checkpoints / "flags.json").write_text(json.dumps(flags))

    def run(self, method: str, query: str, length: int, direction: str = "forward", **more):
        """The record and the arrays of a test."""
        split = f'[splits.test]\nreference = "map"\nquery = "{query}"\npositive_radius = 0.5'
        (self.folder / "dataset.toml").write_text(f"{self.toml}\n{split}")
        given = METHODS[method] | {"sequence_length": length, "direction": direction} | more
        for option in ("resume", "rerank_resume"):
            if option in given:
                given[option] = str(next((self.folder / "runs").glob(f"*_{given[option]}")))
        if given.get("rerank") == "s1+seqmatch":
            given["rerank_resume"] = str(next((self.folder / "runs").glob("*_s1")))
        where = {"dataset": str(self.folder), "results_path": str(self.folder / "results"), "device": "cpu"}
        record = run_test(TestOptions.of(**{"bootstrap": 0, "latency_queries": 0, "adapt": "none"} | where | given))
        with np.load(self.folder / "results" / record.predictions) as arrays:
            return record, dict(arrays)


@pytest.fixture(scope="module")
def drives(tmp_path_factory) -> Drives:
    return Drives(tmp_path_factory.mktemp("drives"))


@pytest.mark.parametrize("length", [9, 10])
@pytest.mark.parametrize("method", METHODS)
def test_the_other_way_has_the_answers_of_the_same_way_mirrored(drives, method, length):
    forward, forward_arrays = drives.run(method, "same", length)
    reverse, reverse_arrays = drives.run(method, "turned", length, "reverse")
    assert 0.2 < forward.recall["1"] <= 1
    assert reverse.recall == forward.recall
    assert reverse.recall_before_rerank == forward.recall_before_rerank
    assert np.array_equal(reverse_arrays["preds"][::-1, 0], forward_arrays["preds"][:, 0])
    np.testing.assert_allclose(reverse_arrays["distances"][::-1], forward_arrays["distances"], atol=1e-5)
    assert reverse_arrays["backwards"].all()
    assert (reverse.method.direction, reverse.method.backwards) == ("reverse", 1)


@pytest.mark.parametrize("length", [9, 10])
@pytest.mark.parametrize("method", METHODS)
def test_a_drive_without_noise_is_found_whole_and_at_no_distance(drives, method, length):
    own_windows = {"filter_length": 10}  # frames at the ends of a sequence share one
    record, arrays = drives.run(method, "clean", length, "reverse", **own_windows)
    assert record.recall["1"] == 1
    assert np.abs(arrays["distances"][arrays["hasPositive"], 0]).max() < 1e-3
    forward, _ = drives.run(method, "clean", length, **own_windows)
    assert method == "smooth" or forward.recall["1"] < 0.7  # the mean of a window has no order


@pytest.mark.parametrize("length", [9, 10])
@pytest.mark.parametrize("method", [name for name, given in METHODS.items() if given.get("pooling") != "single"])
def test_windows_that_end_at_their_frame_are_searched_in_windows_that_begin_there(drives, method, length):
    record, arrays = drives.run(method, "clean", length, "reverse", windows="trailing", filter_length=10)
    assert record.recall["1"] == 1
    assert np.abs(arrays["distances"][arrays["hasPositive"], 0]).max() < 1e-3
    assert np.array_equal(arrays["queryStarts"], arrays["queryRows"] - length + 1)  # nothing later than the frame
    assert np.array_equal(arrays["referenceStarts"], np.minimum(arrays["referenceRows"], FRAMES - length))


def test_windows_beside_unusable_frames_are_left_out_of_both_directions(drives):
    usable = np.arange(FRAMES) != 60
    path = drives.folder / "turned.usable.npy"
    np.save(path, usable)
    try:
        counts = [
            drives.run("diagonal", "turned", 10, way)[0].protocol.queries for way in ("forward", "reverse", "both")
        ]
        assert counts == [FRAMES - 10, FRAMES - 11, FRAMES - 11]
    finally:
        path.unlink()


@pytest.mark.parametrize("method", ["diagonal", "seqslam", "dtw", "seqnet", "dsdnet", "s1", "hvpr", "hvpr raw"])
def test_of_both_directions_each_query_has_the_better_answer(drives, method):
    answers = {direction: drives.run(method, "mixed", 10, direction) for direction in ("forward", "reverse", "both")}
    (_, forward), (_, reverse), (record, both) = answers.values()
    backwards = reverse["distances"][:, 0] < forward["distances"][:, 0] * (1 - ROUNDING)
    assert np.array_equal(both.get("backwards"), backwards)
    assert record.method.backwards == pytest.approx(backwards.mean())
    assert 0.3 < record.method.backwards < 0.7
    assert record.recall["5"] > max(answers[way][0].recall["5"] for way in ("forward", "reverse"))
    for key in {"preds", "distances"} | (set(both) & {"candidates"}):
        assert np.array_equal(both[key], np.where(backwards[:, None], reverse[key], forward[key]))
    assert "either direction" in record.method.label


def test_what_reads_the_same_either_way_is_read_forwards(drives):
    record, _ = drives.run("smooth", "mixed", 9, "both")
    assert record.method.backwards == 0  # the mean of a window has no direction, but for rounding


def test_references_whose_windows_stay_are_encoded_once(drives, monkeypatch):
    encoded = []
    from opticornet.evaluation.answering import search

    encode_side = search.encode_side
    monkeypatch.setattr(
        "opticornet.evaluation.answering.search.encode_side",
        lambda encoder, side, *more: (encoded.append(side.traverse.name), encode_side(encoder, side, *more))[1],
    )
    record, _ = drives.run("dsdnet", "turned", 10, "both", latency_queries=3)
    assert encoded == ["map", "turned", "turned"]
    assert record.timing.encode_reference_s > 0
    assert set(record.timing.latency_ms) == {"encode", "search", "total"}


def test_an_approximate_index_is_compared_with_exact_search_of_both_directions(drives):
    record, _ = drives.run("dsdnet", "turned", 9, "both", index="IVF4,Flat", nprobe=4)
    exact, _ = drives.run("dsdnet", "turned", 9, "both")
    assert record.recall_exact_index == exact.recall == record.recall


def test_predictions_of_a_file_are_re_ranked_in_both_directions(drives):
    _, arrays = drives.run("smooth", "turned", 9, "reverse")
    path = drives.folder / "candidates.npz"
    np.savez(path, preds=arrays["preds"])
    record, again = drives.run("diagonal", "turned", 9, "both", predictions_file=str(path), top_k=10)
    assert record.recall["1"] > 0.5
    assert np.array_equal(again["candidates"], arrays["preds"][:, :10])


def test_the_summary_says_how_many_queries_matched_better_the_other_way(drives, capsys):
    drives.run("diagonal", "clean", 9, "both")
    assert "100.0% of the queries matched better the other way" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reverse", "--direction", "both"], "--reverse contradicts --direction both; leave one out"),
        (["--reverse", "--direction", "forward"], "--reverse contradicts --direction forward"),
        (["--direction", "backwards"], "--direction"),
        (
            ["--direction", "both", "--extractOnly", "--resultsPath", "x"],
            "--extractOnly takes one descriptor per query",
        ),
        (["--direction", "reverse", "--seqL", "1"], "--direction changes nothing here: single frames are compared"),
    ],
)
def test_directions_that_make_no_sense_are_one_line(drives, capsys, monkeypatch, arguments, message):
    drives.run("smooth", "clean", 9)
    monkeypatch.chdir(drives.folder)
    capsys.readouterr()
    assert main(["--mode", "test", "--dataset", str(drives.folder), "--pooling", "smooth", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
