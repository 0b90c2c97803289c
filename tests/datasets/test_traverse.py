from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError


def test_cut_is_a_view_whose_bounds_are_clipped():
    whole = Traverse(
        name="drive",
        descriptors=np.arange(20, dtype=np.float32).reshape(10, 2),
        positions=np.arange(10.0)[:, None],
        units="frames",
        bounds=np.repeat([[0, 4], [4, 10]], [4, 6], axis=0),
        names=tuple("abcdefghij"),
        timestamps=np.arange(10.0),
    )
    cut = whole.cut(2, 7)
    assert np.shares_memory(cut.descriptors, whole.descriptors)
    assert (len(cut), cut.dims) == (5, 2)
    assert cut.bounds.tolist() == [[0, 2], [0, 2], [2, 5], [2, 5], [2, 5]]
    assert cut.names == tuple("cdefg")
    assert cut.positions.ravel().tolist() == cut.timestamps.tolist() == [2, 3, 4, 5, 6]


def images_only(count: int = 4) -> Traverse:
    images = tuple(f"{number}.png" for number in range(count))
    positions, bounds = np.arange(float(count))[:, None], np.tile([0, count], (count, 1))
    return Traverse("drive", None, positions, "frames", bounds, images=images, undescribed="extract a.npy first")


def test_a_traverse_of_images_has_frames_and_no_dimension():
    cut = images_only().cut(1, 3)
    assert (len(cut), cut.descriptors, cut.images) == (2, None, ("1.png", "2.png"))
    assert cut.need_images() == cut.images
    for ask in (cut.need_descriptors, lambda: cut.dims):
        with pytest.raises(UserError, match=r"drive has images only, and this needs frame descriptors: extract a\.npy"):
            ask()


def test_a_traverse_of_descriptors_has_no_images():
    values = np.zeros((4, 2), np.float32)
    traverse = replace(images_only(), descriptors=values, images=None, source="a.npy")
    assert traverse.need_descriptors() is values
    with pytest.raises(UserError, match=r"drive has descriptors only \(a\.npy\), and this needs images"):
        traverse.need_images()


def test_a_traverse_of_both_serves_both():
    both = replace(images_only(), descriptors=np.zeros((4, 2), np.float32))
    assert (both.dims, len(both.need_descriptors()), len(both.need_images())) == (2, 4, 4)
