"""How many candidates are re-ranked where the map is smaller than the default."""

import json

import numpy as np
import pytest

from opticornet.cli import main

PLACES = 12


@pytest.fixture
def folder(tmp_path):
    rows = np.random.default_rng(0).standard_normal((PLACES, 8)).astype(np.float32)
    for name in ("day", "night"):
        np.save(tmp_path / f"{name}.npy", rows)
    (tmp_path / "dataset.toml").write_text(
        'name = "small"\nunits = "frames"\ntraverses.day.descriptors = "day.npy"\n'
        'traverses.night.descriptors = "night.npy"\n'
        'splits.test = { reference = "day", query = "night", positive_radius = 0.5 }'
    )
    return tmp_path


def test(folder, *more):
    line = ["--mode", "test", "--dataset", folder, "--seqL", 1, "--bootstrap", 0, "--latencyQueries", 0]
    return main([str(part) for part in (*line, "--resultsPath", folder / "results", *more)])


test.__test__ = False


def test_by_default_all_places_of_a_small_map_are_candidates(folder):
    assert test(folder, "--pooling", "single", "--rerank", "single+seqmatch") == 0
    (path,) = (folder / "results").glob("*.json")
    record = json.loads(path.read_text())
    assert record["method"]["top_k"] == record["options"]["topK"] == PLACES
    assert record["recall"]["1"] == 1.0
    predictions = path.with_suffix(".npz")
    assert test(folder, "--pooling", "single+seqmatch", "--predictionsFile", predictions) == 0


def test_more_candidates_than_places_are_refused_where_asked_for(folder, capsys):
    asked = ("--pooling", "single", "--rerank", "single+seqmatch", "--topK", PLACES + 1)
    assert test(folder, *asked) == 2
    assert f"--topK {PLACES + 1} is above the {PLACES} references; choose fewer" in capsys.readouterr().err
