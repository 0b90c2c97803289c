"""What a scene looks for and checks before anything is computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from opticornet.datasets.traverse import Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.utils.errors import UserError

COUNT = 6


@pytest.fixture
def split(tmp_path) -> Split:
    """Two traverses of descriptors and images."""
    images = tuple(str(tmp_path / f"{number}.png") for number in range(COUNT))
    for path in images:
        Image.new("RGB", (4, 4)).save(path)

    def drive(name: str) -> Traverse:
        descriptors = np.random.default_rng(len(name)).standard_normal((COUNT, 5)).astype(np.float32)
        positions, bounds = np.arange(float(COUNT))[:, None], np.tile([0, COUNT], (COUNT, 1))
        return Traverse(name, descriptors, positions, "frames", bounds, images=images)

    return Split("test", drive("day"), drive("night"), 1.0)


def scene(split: Split, *needs) -> Scene:
    return Scene.of("made", split, 3, 0, torch.device("cpu"), frozenset(needs))


def test_only_the_frames_that_are_needed_are_checked(split, tmp_path):
    bad = split.query.descriptors.copy()
    bad[2] = np.nan
    split = replace(split, query=replace(split.query, descriptors=bad))
    assert len(scene(split, "images").query) == COUNT
    with pytest.raises(UserError, match="NaN or infinity in 1 of 6 descriptors"):
        scene(split, "descriptors", "images")
    (tmp_path / "3.png").unlink()
    with pytest.raises(UserError, match="1 of its 6 images do not exist"):
        scene(split, "images")


def test_what_a_traverse_lacks_is_said_at_once(split):
    with pytest.raises(UserError, match="traverse night has images only"):
        scene(replace(split, query=replace(split.query, descriptors=None)), "descriptors")
    with pytest.raises(UserError, match="traverse day has descriptors only"):
        scene(replace(split, reference=replace(split.reference, images=None)), "images")


def test_what_an_encoder_is_built_for(split):
    assert scene(split, "images").in_dims("descriptors") == 5
    assert scene(split, "images").in_dims("images") == 0
    lacking = scene(replace(split, query=replace(split.query, descriptors=None)), "images")
    with pytest.raises(UserError, match="traverse night has images only"):
        lacking.in_dims("descriptors")
