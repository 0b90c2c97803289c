"""Amounts in words."""

import pytest

from opticornet.learning.counting import memory_in_words, work_in_words


@pytest.mark.parametrize(("size", "words"), [(0, "0 MiB"), (35 * 2**20, "35 MiB"), (5 * 2**29, "2.5 GiB")])
def test_memory_is_said_in_the_unit_that_fits(size, words):
    assert memory_in_words(size) == words


@pytest.mark.parametrize(
    ("operations", "words"),
    [(10**6, "0.001 GFLOP"), (2_020_000_000, "2.02 GFLOP"), (10**12, "1 TFLOP"), (12 * 10**17, "1.2 EFLOP")],
)
def test_work_is_said_in_the_unit_that_fits(operations, words):
    assert work_in_words(operations) == words
