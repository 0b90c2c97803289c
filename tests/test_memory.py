"""What a test step holds in memory grows with what is encoded, not with copies of what is read."""

import json
import subprocess
import sys

import numpy as np
import pytest

FRAMES, DIMS = 6000, 2048
SLACK_MIB = 120  # imports, blocks, rankings: independent of the number of frames
STEP = """
import json, sys
import torch
from main import main
from utils.device import peak_memory_mb
before = peak_memory_mb()
status = main(sys.argv[1:])
print(json.dumps([status, peak_memory_mb() - before]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    rng = np.random.default_rng(0)
    places = rng.standard_normal((FRAMES, DIMS), dtype=np.float32)
    lines = ['name = "random"', 'units = "frames"']
    for name in ("reference", "query"):
        np.save(folder / f"{name}.npy", places + rng.standard_normal((FRAMES, DIMS), dtype=np.float32))
        lines.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"')
    lines.append('[splits.test]\nreference = "reference"\nquery = "query"\nquery_rows = [0, 300]\npositive_radius = 1')
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("flags", [["single"], ["single+seqmatch"]], ids=lambda flags: flags[0])
def test_peak_memory_of_a_test_grows_with_the_encodings_alone(folder, root, flags):
    done = subprocess.run(
        [sys.executable, "-c", STEP, "--mode", "test", "--dataset", folder, "--pooling", *flags]
        + ["--quiet", "--nocuda", "--latencyQueries", "2"],
        capture_output=True, text=True, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    status, above = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, done.stderr
    encodings = (FRAMES + 300) * DIMS * 4 / 2**20
    assert above < 1.5 * encodings + SLACK_MIB
