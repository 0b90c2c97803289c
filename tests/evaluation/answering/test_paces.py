"""What a pace costs, worked out by hand."""

import pytest

from opticornet.evaluation.answering.paces import AS_RECORDED, MapPaces, doublings


@pytest.mark.parametrize(
    ("pace", "away"),
    [
        (1, 0),
        (2, 1),
        (0.5, 1),
        (4, 2),
        (0.25, 2),
        (0.125, 2),
        (0, 2),
        (0.01, 2),
        (-1, 1),
        (-2, 2),
        (-0.5, 2),
        (-0.0, 2),
    ],
)
def test_paces_are_doublings_away_standing_two_and_backwards_one_more(pace, away):
    assert doublings(pace) == away


def test_a_distance_grows_by_its_share_per_doubling():
    assert MapPaces((1, 2, 0.25, 0), 0.1).factors == pytest.approx((1, 1.1, 1.2, 1.2))
    assert MapPaces((1, 2, 0), 0).factors == (1, 1, 1)
    assert AS_RECORDED.factors == (1,)
