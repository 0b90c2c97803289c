import numpy as np
import pytest
import torch

from opticornet.datasets.images.batches import image_batches
from opticornet.datasets.images.decoding import BadImageError


class Numbers:
    """A source whose image i is filled with i; some are damaged, some larger."""

    max_workers = 8
    digest = ""

    def __init__(self, count, damaged=(), larger=()):
        self.names = tuple(f"{i}.png" for i in range(count))
        self.damaged, self.larger = damaged, larger

    def read(self, index, grey):
        assert not grey
        if index in self.damaged:
            raise BadImageError("damaged")
        side = 3 if index in self.larger else 2
        return np.full((side, side, 3), index, np.uint8)


def prepare(image):
    return image.astype(np.float32).transpose(2, 0, 1)


prepare.grey = False


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_the_start_asked_for(workers):
    batches = list(image_batches(Numbers(11), prepare, size=3, start=3, workers=workers))
    assert [(batch.start, batch.stop) for batch in batches] == [(3, 6), (6, 9), (9, 11)]
    values = torch.cat([batch.images for batch in batches])
    assert values.shape == (8, 3, 2, 2)
    assert values[:, 0, 0, 0].tolist() == list(range(3, 11))
    assert [name for batch in batches for name in batch.names] == [f"{i}.png" for i in range(3, 11)]


def test_damaged_images_are_reported_and_left_out():
    first, second = image_batches(Numbers(4, damaged={1, 2, 3}), prepare, size=2)
    assert first.names == ["0.png"]
    assert [(bad.name, bad.reason) for bad in first.bad] == [("1.png", "damaged")]
    assert second.names == []
    assert len(second.images) == 0
    assert len(second.bad) == 2


def test_an_image_of_another_size_is_named():
    (batch,) = image_batches(Numbers(4, larger={2}), prepare, size=4)
    assert batch.odd == "2.png"
    assert batch.names == ["0.png", "1.png"]
