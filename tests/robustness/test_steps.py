"""``check``, ``test`` and ``compare`` as a user calls them, on damaged files: right, or one line and exit status 2."""

import json

import numpy as np
import pytest
from hypothesis import given, settings

from opticornet.cli import main

FILES = (
    "dataset.toml",
    "map.npy",
    "drive.npy",
    "drive.usable.npy",
    "drive.json",
    "map.csv",
    "drive.csv",
    "positives.csv",
)


@pytest.fixture
def dataset(tmp_path):
    """A small dataset with everything that a folder may hold."""
    rng = np.random.default_rng(0)
    for name, count in (("map", 12), ("drive", 10)):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((count, 4)).astype(np.float32))
        rows = [f'"{name}{i}.png",{i}.5,{2 * i},{i},s' for i in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["name,x,y,time,sequence", *rows]))
    np.save(tmp_path / "drive.usable.npy", np.arange(10) != 9)
    record = {"encoder": "hog", "weights": {"kind": "none"}, "rows": 10, "dims": 4, "images": {"count": 10}}
    (tmp_path / "drive.json").write_text(json.dumps(record))
    (tmp_path / "positives.csv").write_text(
        "query,first,last\n" + "".join(f"drive{i}.png,map{i}.png,map{i + 1}.png\n" for i in range(10))
    )
    sides = "".join(f'[traverses.{n}]\ndescriptors = "{n}.npy"\nframes = "{n}.csv"\n' for n in ("map", "drive"))
    splits = '[splits.val]\nreference = "map"\nquery = "drive"\npositive_radius = 3\n'
    splits += '[splits.test]\nreference = "map"\nquery = "drive"\npositives = "positives.csv"\n'
    (tmp_path / "dataset.toml").write_text(f'name = "d"\nunits = "metres"\n{sides}{splits}')
    return tmp_path


QUICK = ("--pooling", "smooth", "--seqL", "3", "--bootstrap", "0", "--latencyQueries", "0", "--device", "cpu")


def ends_in_one_line_or_right(command: list[str], capsys) -> None:
    capsys.readouterr()
    status = main(command)
    error = capsys.readouterr().err
    assert status in (0, 2)
    assert status != 2 or error.count("error:") == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "line", [("--mode", "check"), ("--mode", "test", "--split", "val", *QUICK), ("--mode", "test", *QUICK)]
)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_dataset_is_one_line_or_right(dataset, damaged, capsys, line, name):
    path, command = dataset / name, [*line, "--dataset", str(dataset)]
    assert main(command) == 0
    content = path.read_bytes()

    @settings(max_examples=max(1, settings.default.max_examples // 5))
    @given(damaged(content))
    def check(bytes_):
        path.unlink()
        path.write_bytes(bytes_)
        ends_in_one_line_or_right(command, capsys)

    check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_a_damaged_result_is_one_line_or_right(dataset, damaged, capsys, suffix):
    results = dataset / "results"
    assert (
        main(["--mode", "test", "--dataset", str(dataset), "--split", "val", *QUICK, "--resultsPath", str(results)])
        == 0
    )
    first, second = results / "a.json", results / "b.json"
    (path,) = results.glob("*.json")
    (arrays,) = results.glob("*.npz")
    for copy in (first, second):
        copy.write_text(path.read_text().replace(arrays.name, f"{copy.stem}.npz"))
        copy.with_suffix(".npz").write_bytes(arrays.read_bytes())
    command = ["--mode", "compare", "--diff", str(first), str(second)]
    assert main(command) == 0
    changed = first.with_suffix(f".{suffix}")
    content = changed.read_bytes()

    @settings(max_examples=max(1, settings.default.max_examples // 5))
    @given(damaged(content))
    def check(bytes_):
        changed.write_bytes(bytes_)
        ends_in_one_line_or_right(command, capsys)

    check()
