"""Other images of the same place."""

import torch

from opticornet.learning.images.terms.partners import next_of_place, random_of_place

PLACES = torch.tensor([7, 7, 7, 2, 5, 5, 7, 7])  # the last two are another place's, as only neighbours are one place


def test_the_next_one_goes_round():
    assert next_of_place(PLACES).tolist() == [1, 2, 0, 3, 5, 4, 7, 6]


def test_random_ones_are_never_the_image_itself_and_all_come_up():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([random_of_place(PLACES, generator) for _ in range(100)])
    others = [set(column.tolist()) for column in drawn.T]
    assert others == [{1, 2}, {0, 2}, {0, 1}, {3}, {5}, {4}, {7}, {6}]


def test_the_generator_alone_decides():
    first, second = (random_of_place(PLACES, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
