"""What is said of the memory that matching may fill, and what is not."""

import re

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.matching.sequences.diagonal import Diagonal

METHODS = {
    "matched": ["--pooling", "single+seqmatch"],
    "re-ranked": ["--pooling", "smooth", "--rerank", "single+seqmatch", "--rerankWeight", "0"],
}


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "day.npy", np.random.default_rng(0).standard_normal((12, 40_000)).astype(np.float32))
    (tmp_path / "dataset.toml").write_text(
        'name = "small"\nunits = "frames"\ntraverses.day.descriptors = "day.npy"\n'
        'splits.test = { reference = "day", query = "day", positive_radius = 0.5 }'
    )
    return tmp_path


def test(folder, method: str, memory: str) -> int:
    line = ["--mode", "test", "--dataset", str(folder), "--seqL", "3", "--bootstrap", "0", "--latencyQueries", "0"]
    return main([*line, "--device", "cpu", *METHODS[method], "--matchMemory", memory])


test.__test__ = False


@pytest.mark.parametrize("method", METHODS)
def test_too_little_memory_is_said_of_the_option(folder, capsys, method):
    assert test(folder, method, "1") == 2
    error = capsys.readouterr().err
    assert "--matchMemory: " in error
    told = re.search(r" needs? (\d+) MiB; give at least as many\n", error)
    assert told is not None
    assert test(folder, method, told[1]) == 0


@pytest.mark.parametrize("method", METHODS)
def test_what_else_goes_wrong_is_not(folder, monkeypatch, method):
    np.save(folder / "day.npy", np.load(folder / "day.npy")[:, :8])

    def score(*_):
        raise ValueError("operands do not fit")

    monkeypatch.setattr(Diagonal, "score", score)
    with pytest.raises(ValueError, match=r"^operands do not fit$"):
        test(folder, method, "1")


@pytest.mark.parametrize("method", METHODS)
def test_drives_of_different_dimensions_are_one_line(folder, capsys, method):
    np.save(folder / "night.npy", np.zeros((12, 9), np.float32) + 1)
    toml = (folder / "dataset.toml").read_text().replace('query = "day"', 'query = "night"')
    (folder / "dataset.toml").write_text(f'traverses.night.descriptors = "night.npy"\n{toml}')
    assert test(folder, method, "1") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "matchMemory" not in error
