"""A map at several paces: a drive at another speed is found at that pace, and places are as far as the nearest pace."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from opticornet.cli import main
from opticornet.datasets.altered import at_speed
from opticornet.evaluation.scene import encode_side
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.modes import TestOptions
from opticornet.steps.test import test as run_test
from opticornet.steps.test import test_splits as run_splits
from opticornet.steps.testing.answering import load_encoders
from opticornet.steps.testing.runs import find_runs, resolve
from opticornet.steps.testing.scenes import open_scenes
from opticornet.utils.registry import entry

FRAMES, DIMS = 80, 16
METHODS = {"delta": {"pooling": "delta"}, "smooth": {"pooling": "smooth"}, "dsdnet": {"resume": "dsdnet"}}


class World:
    """A map of two drives over places without noise, driven again at twice the speed, backwards, and with noise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(3)
        places = rng.standard_normal((FRAMES, DIMS))
        there = np.arange(FRAMES)
        drives = {
            "map": (places[:40], there[:40]),
            "map on": (places[40:], there[40:]),
            "noisy": (places + 0.5 * rng.standard_normal(places.shape), there),
            "fast": (places[40::2], there[40::2]),
            "fast back": (places[40::2][::-1], there[40::2][::-1]),
            "back": (places[::-1], there[::-1]),
        }
        toml = ['name = "world"', 'units = "metres"']
        for name, (frames, where) in drives.items():
            np.save(folder / f"{name}.npy", frames.astype(np.float32))
            (folder / f"{name}.csv").write_text("\n".join(["x,y", *(f"{place},0" for place in where)]))
            toml.append(f'[traverses."{name}"]\ndescriptors = "{name}.npy"\nframes = "{name}.csv"')
        for name, query in {"test": "noisy", "val": "fast", "test-fast": "fast", "test-fast-back": "fast back"}.items():
            sides = f'reference = ["map", "map on"]\nquery = "{query}"\npositive_radius = 0.5'
            toml.append(f"[splits.{name}]\n{sides}")
        toml.append('[splits.test-back]\nreference = "map"\nquery = "back"\npositive_radius = 0.5')
        (folder / "dataset.toml").write_text("\n".join(toml))
        torch.manual_seed(0)
        encoder = entry(SEQUENCE_ENCODERS, "dsdnet")(out_dims=12, w=3).build(DIMS, 5)
        for weight in encoder.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        checkpoints = folder / "runs" / "Jun03_15-22-44_l5_dsdnet" / "checkpoints"
        checkpoints.mkdir(parents=True)
        state = {"epoch": 1, "state_dict": encoder.state_dict(), "recalls": {1: 0.5}, "best_score": 0.5}
        torch.save(state, checkpoints / "model_best.pth.tar")
        flags = {"pooling": "dsdnet", "seqL": 5, "w": 3, "outDims": 12}
        (checkpoints / "flags.json").write_text(json.dumps(flags))

    def options(self, method: str, split: str | tuple[str, ...] = "test", **more) -> TestOptions:
        given = {
            "sequence_length": 5,
            "bootstrap": 0,
            "latency_queries": 0,
            "device": "cpu",
            "quiet": True,
            "adapt": "none",
        }
        given |= METHODS[method] | {"results_path": str(self.folder / "results")} | more
        if "resume" in given:
            given["resume"] = str(self.folder / "runs" / "Jun03_15-22-44_l5_dsdnet")
        splits = (split,) if isinstance(split, str) else split
        return TestOptions.of(dataset=str(self.folder), splits=splits, **given)

    def run(self, *arguments, **more):
        """The record and the arrays of a test."""
        record = run_test(self.options(*arguments, **more))
        with np.load(self.folder / "results" / record.predictions) as arrays:
            return record, dict(arrays)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("method", METHODS)
def test_a_drive_twice_as_fast_is_found_at_pace_2_and_only_there(world, method):
    record, arrays = world.run(method, "test-fast", map_paces=(0.5, 2, 0))
    assert record.recall["1"] == 1
    assert (arrays["mapPaces"][:, 0] == 2).all()
    assert np.abs(arrays["distances"][:, 0]).max() < 1e-3
    for others in ((1,), (0.5, 0, -1)):
        plain, arrays = world.run(method, "test-fast", map_paces=others)
        assert plain.recall["1"] < 0.8
        assert arrays["distances"][:, 0].min() > 0.1


@pytest.mark.parametrize("method", ["delta", "dsdnet"])
def test_a_drive_the_other_way_is_found_at_pace_minus_1(world, method):
    record, arrays = world.run(method, "test-back", map_paces=(2, -1), filter_length=5)
    assert record.recall["1"] == 1
    assert (arrays["mapPaces"][arrays["hasPositive"], 0] == -1).all()


def test_a_fast_drive_read_backwards_is_found_at_pace_2_too(world):
    forward, _ = world.run("dsdnet", "test-fast", map_paces=(2,))
    for direction in ("reverse", "both"):
        record, arrays = world.run("dsdnet", "test-fast-back", map_paces=(2,), direction=direction)
        assert record.recall["1"] == forward.recall["1"] == 1
        assert (arrays["mapPaces"][:, 0] == 2).all()
        assert arrays["backwards"].all()


@pytest.mark.parametrize("method", METHODS)
def test_one_pace_is_the_plain_result_to_the_bit(world, method):
    (plain, plain_arrays), (one, one_arrays) = world.run(method), world.run(method, map_paces=(1,))
    assert plain.recall == one.recall
    assert plain_arrays.keys() == one_arrays.keys()
    for name, values in plain_arrays.items():
        np.testing.assert_array_equal(values, one_arrays[name])


def by_hand(world, method, paces, cost, adapt) -> tuple[np.ndarray, np.ndarray]:
    """(M, N) float64 distance of every query to every place at the nearest pace, and (M, N) that pace."""
    options, run = resolve(world.options(method, adapt=adapt))
    options, runs = find_runs(options, run)
    scene = open_scenes(options, runs)["test"]
    encoder = load_encoders(options, scene, runs).searched.encoder
    query = encode_side(encoder, scene.query, scene.device, False).astype(np.float64)
    doubled = {1: 0, 2: 1, 0.5: 1, 0: 2, -1: 1}
    distances = []
    for pace in paces:
        reference = encode_side(encoder, at_speed(scene.reference, pace), scene.device, False)
        apart = np.linalg.norm(query[:, None] - reference[None], axis=2)
        distances.append(apart * (1 + cost * doubled[pace]))
    return np.min(distances, axis=0), np.array(paces)[np.argmin(distances, axis=0)]


@pytest.mark.parametrize("index", ["Flat", "IVF4,Flat"])
@pytest.mark.parametrize(("cost", "adapt"), [(0, "none"), (0.1, "none"), (0.1, "running")])
def test_a_place_is_as_far_as_its_nearest_pace_and_that_costs_its_share(world, cost, adapt, index):
    distances, nearest = by_hand(world, "dsdnet", paces := (1, 0.5, 2, 0, -1), cost, adapt)
    found = {"map_paces": paces, "pace_cost": cost, "index": index, "nprobe": 4} | {
        "equal_windows": "each",
        "adapt": adapt,
    }
    if index == "Flat":
        del found["nprobe"]
    record, arrays = world.run("dsdnet", recall_at=(1, 30), **found)
    np.testing.assert_allclose(arrays["distances"], np.sort(distances, axis=1)[:, :30], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(distances, arrays["preds"], 1), arrays["distances"], atol=1e-5)
    clear = np.diff(np.sort(distances, axis=1)[:, :2])[:, 0] > 1e-4
    assert np.array_equal(arrays["preds"][clear, 0], distances[clear].argmin(axis=1))
    assert np.array_equal(arrays["mapPaces"][clear, 0], nearest[clear, arrays["preds"][clear, 0]])
    assert len(np.unique(arrays["mapPaces"][:, 0])) > 1
    assert all(len(set(row)) == 30 for row in arrays["preds"].tolist())
    if index != "Flat":
        assert record.recall_exact_index == record.recall


def test_queries_in_blocks_have_the_same_answers(world, monkeypatch):
    _, arrays = world.run("dsdnet", map_paces=(0.5, 2))
    monkeypatch.setattr("opticornet.evaluation.answering.search._FOUND", 2000)
    _, again = world.run("dsdnet", map_paces=(0.5, 2))
    np.testing.assert_array_equal(again["preds"], arrays["preds"])
    np.testing.assert_array_equal(again["mapPaces"], arrays["mapPaces"])
    np.testing.assert_allclose(again["distances"], arrays["distances"], atol=1e-5)


def test_a_costly_pace_is_chosen_less_often(world):
    shares = [
        (world.run("dsdnet", map_paces=(0.5, 2), pace_cost=cost)[1]["mapPaces"][:, 0] != 1).mean()
        for cost in (0, 0.1, 9)
    ]
    assert shares[0] > shares[1] > shares[2] == 0


def test_re_ranked_places_keep_the_pace_that_they_were_found_at(world):
    again = {"rerank": "single+seqmatch", "matcher": "seqslam", "top_k": 10, "rerank_weight": "0.5"}
    record, arrays = world.run("dsdnet", "test-fast", map_paces=(2,), **again)
    assert record.recall["1"] > 0.7
    first = arrays["preds"][:, 0] == arrays["candidates"][:, 0]
    assert (arrays["mapPaces"][first, 0] == 2).mean() > 0.9
    assert arrays["mapPaces"].shape == arrays["preds"].shape


def test_the_threshold_of_no_answer_is_chosen_in_the_map_at_those_paces(world):
    record, _ = world.run("dsdnet", map_paces=(2,), no_answer="val")
    assert record.no_answer.chosen.recall == 1
    assert record.no_answer.threshold < 1e-3
    assert world.run("dsdnet", no_answer="val")[0].no_answer.threshold > 0.1


def test_splits_that_share_a_map_are_answered_as_each_alone(world):
    splits = ("test", "test-fast", "test-back")
    found = run_splits(world.options("dsdnet", splits, map_paces=(2, 0)))
    for split in splits:
        assert found[split].recall == world.run("dsdnet", split, map_paces=(2, 0))[0].recall


def test_altered_drives_are_searched_in_the_map_at_those_paces(world):
    plain, paced = (world.run("dsdnet", stress=True, map_paces=paces)[0] for paces in ((1,), (0.5, 2, 0, -1)))
    assert paced.stress["1x"] == paced.recall
    for condition in ("0.5x", "2x", "standing", "reversed"):
        assert paced.stress[condition]["1"] > plain.stress[condition]["1"] + 0.1
    assert paced.stress["single frame"] == plain.stress["single frame"]


def test_record_and_label_say_the_paces_and_their_cost(world):
    record, _ = world.run("delta", map_paces=(0.5, 1, 2), pace_cost=0.03)
    method = json.loads((world.folder / "results" / record.predictions).with_suffix(".json").read_text())["method"]
    assert (method["map_paces"], method["pace_cost"]) == ([1, 0.5, 2], 0.03)
    assert method["label"] == "delta S5 (map at paces 1 0.5 2)"
    plain, arrays = world.run("delta")
    assert (plain.method.map_paces, plain.method.pace_cost, plain.method.label) == ((1.0,), None, "delta S5")
    assert "mapPaces" not in arrays


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--pooling single --mapPaces 2", "--mapPaces changes nothing here: single frames are searched"),
        ("--pooling smooth --seqL 1 --mapPaces 2", "--mapPaces changes nothing here: single frames are searched"),
        ("--pooling single+seqmatch --mapPaces 2", "--mapPaces changes nothing here: frames are matched; a --matcher"),
        ("--pooling smooth --paceCost 0.1", "--paceCost changes nothing here: the map has no other pace than 1"),
        ("--pooling smooth --mapPaces 1 --paceCost 0.1", "--paceCost changes nothing here: the map has no other pace"),
        ("--pooling smooth --mapPaces 2 17", "--mapPaces 2 17: wanted paces from -16 to 16"),
        ("--pooling smooth --mapPaces 2 --paceCost -1", "--paceCost"),
        ("--pooling smooth --mapPaces nan", "--mapPaces"),
        ("--pooling smooth --mapPaces 2 --extractOnly --resultsPath x", "--mapPaces changes nothing here"),
    ],
)
def test_paces_that_make_no_sense_are_one_line(line, message, capsys):
    assert main(["--mode", "test", *line.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
