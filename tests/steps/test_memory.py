"""What a test step holds in memory grows with what is encoded, not with copies of what is read."""

import json
import subprocess
import sys

import numpy as np
import pytest

FEW, MANY, QUERIES, DIMS = 1000, 8000, 100, 2048
STEP = """
import json, sys
from opticornet.cli import main
from opticornet.utils.device import peak_memory_mib
print(json.dumps([main(sys.argv[1:]), peak_memory_mib()]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    places = np.random.default_rng(0).standard_normal((MANY, DIMS), dtype=np.float32)
    np.save(folder / "reference.npy", places)
    np.save(folder / "query.npy", places[:QUERIES] + 0.5 * places[QUERIES : 2 * QUERIES])
    lines = ['name = "random"', 'units = "frames"']
    lines += [f'[traverses.{name}]\ndescriptors = "{name}.npy"' for name in ("reference", "query")]
    for split, count in (("val", FEW), ("test", MANY)):
        lines.append(f'[splits.{split}]\nreference = "reference"\nquery = "query"\npositive_radius = 1')
        lines.append(f"reference_rows = [0, {count}]\nrows_are_places = true")
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["single", "smooth", "single+seqmatch"])
def test_peak_memory_of_a_test_grows_with_the_encodings_alone(folder, root, pooling):
    peaks = []
    for split in ("val", "test"):
        flags = ["--dataset", folder, "--split", split, "--pooling", pooling, "--quiet", "--nocuda"]
        done = subprocess.run(
            [sys.executable, "-c", STEP, "--mode", "test", *flags, "--latencyQueries", "2"],
            capture_output=True, text=True, cwd=root,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        status, peak = json.loads(done.stdout.splitlines()[-1])
        assert status == 0, done.stderr
        peaks.append(peak)
    encoded = (MANY - FEW) * DIMS * 4 / 2**20  # what the longer reference adds
    assert peaks[1] - peaks[0] < 1.5 * encoded, (peaks, encoded)
