"""``--stress``: recall where the queries' drive goes at another pace than it was recorded at."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from opticornet.cli import main
from opticornet.evaluation.stress import AS_RECORDED, PACES, SINGLE_FRAME, altered
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.modes import TestOptions
from opticornet.steps.test import test as run_test
from opticornet.steps.testing.answering import answer_scenes, load_encoders, with_candidates
from opticornet.steps.testing.rerank_weight import rerank_weight, weighted
from opticornet.steps.testing.runs import find_runs, resolve
from opticornet.steps.testing.scenes import open_scenes
from opticornet.utils.registry import entry

FRAMES, DIMS = 90, 16
METHODS = {  # label -> options; a trained one is resumed
    "diagonal": {"pooling": "single+seqmatch"},
    "smooth": {"pooling": "smooth"},
    "dsdnet": {"resume": "dsdnet"},
    "s1": {"pooling": "s1+seqmatch", "resume": "s1"},
    "hvpr raw": {
        "pooling": "smooth",
        "rerank": "single+seqmatch",
        "rerank_length": 8,
        "rerank_weight": "0",
        "top_k": 10,
    },
    "hvpr": {"resume": "dsdnet", "rerank": "s1+seqmatch", "rerank_resume": "s1", "rerank_weight": "0.3", "top_k": 10},
    "trailing": {"pooling": "delta", "windows": "trailing"},
}


class World:
    """Drives over the same places, and untrained runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(3)
        places = rng.standard_normal((FRAMES, DIMS))
        drives = {
            "map": places,
            "noisy": places + 0.8 * rng.standard_normal(places.shape),
            "clean": places,
            "parked": np.repeat(places[::9], 9, axis=0),  # ten sequences of nine equal frames
            "parked again": np.repeat(places[::9] + 0.9 * rng.standard_normal((10, DIMS)), 9, axis=0),
        }
        self.toml = ['name = "world"', 'units = "metres"']
        for name, frames in drives.items():
            np.save(folder / f"{name}.npy", frames.astype(np.float32))
            sequences = [row // (9 if "parked" in name else 45) for row in range(FRAMES)]
            rows = [f"{row},0,{sequence}" for row, sequence in enumerate(sequences)]
            (folder / f"{name}.csv").write_text("\n".join(["x,y,sequence", *rows]))
            self.toml.append(f'[traverses."{name}"]\ndescriptors = "{name}.npy"\nframes = "{name}.csv"')
        for name, length, w in (("dsdnet", 6, 3), ("s1", 1, 1)):
            torch.manual_seed(0)
            encoder = entry(SEQUENCE_ENCODERS, "dsdnet")(out_dims=12, w=w).build(DIMS, length)
            for weight in encoder.parameters():
                torch.nn.init.normal_(weight, std=0.3)
            checkpoints = folder / "runs" / f"Jun03_15-22-44_l{length}_{name}" / "checkpoints"
            checkpoints.mkdir(parents=True)
            state = {"epoch": 1, "state_dict": encoder.state_dict(), "recalls": {1: 0.5}, "best_score": 0.5}
            torch.save(state, checkpoints / "model_best.pth.tar")
            flags = {"pooling": "dsdnet", "seqL": length, "w": w, "outDims": 12}
            (checkpoints / "flags.json").write_text(json.dumps(flags))

    def options(self, method: str, reference: str = "map", query: str = "noisy", **more) -> TestOptions:
        split = f'[splits.test]\nreference = "{reference}"\nquery = "{query}"\npositive_radius = 0.5'
        (self.folder / "dataset.toml").write_text("\n".join([*self.toml, split]))
        given = {"sequence_length": 6, "bootstrap": 0, "latency_queries": 0, "device": "cpu", "quiet": True}
        given |= METHODS[method] | more
        for option in ("resume", "rerank_resume"):
            if option in given:
                given[option] = str(next((self.folder / "runs").glob(f"*_{given[option]}")))
        return TestOptions.of(dataset=str(self.folder), **given)

    def stress(self, method: str, *sides: str, **more) -> dict[str, dict[str, float]]:
        return run_test(self.options(method, *sides, stress=True, **more)).stress

    def recall_at_1(self, method: str, *sides: str, **more) -> dict[str, float]:
        return {name: recall["1"] for name, recall in self.stress(method, *sides, **more).items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("method", METHODS)
def test_the_row_of_the_recorded_pace_is_the_plain_result_and_its_drive_the_recorded_one(world, method):
    options, run = resolve(world.options(method, results_path=str(world.folder / "results"), stress=True))
    record = run_test(world.options(method, results_path=str(world.folder / "results"), stress=True))
    assert list(record.stress) == [SINGLE_FRAME, *PACES]
    assert record.stress[AS_RECORDED] == record.recall
    assert record.recall == run_test(world.options(method)).recall
    options, runs = find_runs(options, run)
    scene = open_scenes(options, runs)["test"]
    options = with_candidates(options, len(scene.reference))
    encoders, options = load_encoders(options, scene, runs), weighted(options, rerank_weight(options, runs))
    same = altered(scene, PACES[AS_RECORDED], options.longest_window, seed=0)
    (answer,) = answer_scenes(options, [same], encoders)
    with np.load(world.folder / "results" / record.predictions) as arrays:
        np.testing.assert_array_equal(answer.ranking.indices[:, 0], arrays["preds"][:, 0])
        np.testing.assert_allclose(answer.ranking.distances[:, :5], arrays["distances"][:, :5], atol=1e-5)


@pytest.mark.parametrize("method", ["diagonal", "dsdnet", "hvpr raw"])
def test_conditions_are_answered_as_when_each_is_asked_for_alone(world, method):
    options, run = resolve(world.options(method, stress=True, equal_windows="each"))
    table = run_test(options).stress
    options, runs = find_runs(options, run)
    scene = open_scenes(options, runs)["test"]
    encoders, options = load_encoders(options, scene, runs), weighted(options, rerank_weight(options, runs))
    alone = altered(scene, PACES["lost frames"], options.longest_window, options.seed)
    (answer,) = answer_scenes(options, [alone], encoders)
    errors = answer.equal.errors(scene.truth, answer.ranking.indices[:, :1])
    assert table["lost frames"]["1"] == (errors <= scene.radius).mean()


@pytest.mark.parametrize("method", ["diagonal", "smooth", "dsdnet", "hvpr"])
def test_in_a_world_that_stands_still_every_pace_is_the_recorded_one(world, method):
    table = world.recall_at_1(method, "parked", "parked again")
    assert 0.2 / 9 <= table[AS_RECORDED] < 1
    assert len({table[name] for name in PACES}) == 1


def test_single_frames_are_found_by_their_own_descriptors(world):
    plain = world.options("smooth", pooling="single", sequence_length=1)
    assert world.stress("diagonal")[SINGLE_FRAME] == run_test(plain).recall


def test_a_matcher_of_two_speeds_finds_both_where_the_diagonal_finds_one(world):
    inside = {"filter_length": 14}  # whose windows at double speed stay inside their sequence
    wide = inside | {"matcher": "seqslam", "velocities": (0.5, 2.0, 0.5)}
    line, diagonal = (world.recall_at_1("diagonal", "map", "clean", **more) for more in (wide, inside))
    assert diagonal[AS_RECORDED] > 0.9
    assert diagonal["2x"] < 0.7
    assert line["2x"] > 0.9


@pytest.mark.parametrize("length", [5, 6])
@pytest.mark.parametrize("method", ["diagonal", "dsdnet"])
def test_a_reversed_drive_that_is_read_backwards_is_the_recorded_one(world, method, length):
    forward = world.recall_at_1(method, sequence_length=length)
    reverse = world.recall_at_1(method, sequence_length=length, direction="reverse")
    assert reverse["reversed"] == forward[AS_RECORDED]
    assert forward["reversed"] == reverse[AS_RECORDED] < 0.6 * forward[AS_RECORDED]
    both = world.recall_at_1(method, sequence_length=length, direction="both")
    assert both["reversed"] == both[AS_RECORDED] > 0.8 * forward[AS_RECORDED]


def test_random_conditions_are_those_of_the_seed(world):
    first, again, other = (world.stress("diagonal", seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["lost frames"] != other["lost frames"]
    assert first["2x"] == other["2x"]


def test_every_condition_counts_the_same_queries_of_a_table_of_positives(world):
    options = world.options("diagonal", stress=True)
    toml = (world.folder / "dataset.toml").read_text().replace("positive_radius = 0.5", 'positives = "pairs.csv"')
    (world.folder / "dataset.toml").write_text(toml)
    pairs = [f"{row},{row}" for row in range(FRAMES)]
    (world.folder / "pairs.csv").write_text("\n".join(["query,reference", *pairs]))
    assert run_test(options).stress == world.stress("diagonal")


def test_the_table_stands_in_the_record_and_on_the_terminal(world, capsys, tmp_path):
    record = run_test(world.options("smooth", stress=True, recall_at=(1, 5), results_path=str(tmp_path)))
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["stress"] == record.stress
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["queries", "driven", "R@1", "R@5"] in lines
    for name, recall in record.stress.items():
        assert [*name.split(), *(f"{recall[k]:.3f}" for k in ("1", "5"))] in lines
    assert run_test(world.options("smooth")).stress == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--pooling smooth --seqL 1", "single frames are compared, which are the same at any speed"),
        ("--pooling single", "single frames are compared, which are the same at any speed"),
        ("--pooling smooth --extractOnly --resultsPath x", "descriptors are written, nothing is scored"),
        ("--pooling single+seqmatch --predictionsFile x", "the candidates of --predictionsFile are those of the drive"),
    ],
)
def test_what_has_no_pace_is_refused(line, message, capsys):
    assert main(["--mode", "test", *line.split(), "--stress"]) == 2
    error = capsys.readouterr().err
    assert "--stress changes nothing here" in error
    assert message in error


def test_a_split_without_ground_truth_is_refused(world, capsys):
    world.options("smooth")
    toml = (world.folder / "dataset.toml").read_text().replace("positive_radius = 0.5", "")
    (world.folder / "dataset.toml").write_text(toml)
    line = ["--mode", "test", "--dataset", str(world.folder), "--pooling", "smooth", "--stress", "--device", "cpu"]
    assert main(line) == 2
    assert "has no ground truth, which this needs" in capsys.readouterr().err
