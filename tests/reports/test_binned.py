import numpy as np
import pytest

from opticornet.reports.binned import Squares, shares_along, stacked_picture


def test_shares_along_the_drive_are_those_of_its_parts():
    outcome = np.array([0, 0, 2, 2, 2, 3, 1, 0, 0])
    np.testing.assert_allclose(
        shares_along(outcome, 3), [[2 / 3, 0, 1 / 3, 0], [0, 0, 2 / 3, 1 / 3], [2 / 3, 1 / 3, 0, 0]]
    )


def test_every_query_counts_however_few_bins_there_are():
    outcome = np.where(np.random.default_rng(0).random(20_000) < 0.41, 0, 2)
    shares = shares_along(outcome, 700)
    assert shares.mean(axis=0)[0] == pytest.approx((outcome == 0).mean(), abs=1e-3)
    picture = stacked_picture(shares, 100)
    assert (picture == 0).mean() == pytest.approx(0.41, abs=0.01)


def test_stacks_have_right_ones_at_the_bottom():
    assert stacked_picture(np.array([[0.5, 0, 0.25, 0.25], [0, 0, 1, 0]]), 4).T.tolist() == [[3, 2, 0, 0], [2, 2, 2, 2]]


def test_squares_of_a_map_are_divided_by_outcome():
    points = np.array([[0.5, 0.5], [0.6, 0.1], [0.1, 0.2], [0.3, 0.9], [-0.5, 0.5], [np.nan, 1.0]])
    squares = Squares.of(points, np.array([0, 2, 2, 2, 1, 0]), (1.0, 1.0))
    np.testing.assert_array_equal(squares.corners, [[-1, 0], [0, 0]])
    np.testing.assert_allclose(squares.shares, [[0, 1, 0, 0], [0.25, 0, 0.75, 0]])
    assert squares.strength[1] == 1.0 > squares.strength[0] == pytest.approx(0.5)
    np.testing.assert_allclose(squares.rectangles(2), [[[0, 0.25], [1, 0.25], [1, 1], [0, 1]]])
    np.testing.assert_allclose(squares.rectangles(0), [[[0, 0], [1, 0], [1, 0.25], [0, 0.25]]])
