"""Validation by exact search."""

import numpy as np
import torch

from opticornet.datasets.traverse import Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.learning.judging import judge


def test_validation_counts_equal_windows_as_one_answer():
    frames = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    positions = np.arange(12.0)[:, None]
    drive = Traverse("drive", frames, positions, "frames", np.tile([0, 12], (12, 1)))
    split = Split("val", drive, drive, positive_radius=0.5, negative_radius=2)
    scene = Scene.of("ends", split, 5, 0, torch.device("cpu"))
    vectors = np.stack([frames[start : start + 5].ravel() for start in scene.reference.starts])
    found = judge(scene, vectors, vectors)
    assert found.correct.all()  # frames 0 to 2 share a window, as do the last three: alone, two of each would be wrong
    assert found.metrics["recall@1"] == found.metrics["average-precision"] == 1
    np.testing.assert_allclose(found.distances, 0, atol=1e-2)
