"""What is kept of the statistics of frames."""

import numpy as np
import pytest
import torch

from opticornet.datasets.adapting.statistics import Statistics
from opticornet.utils.errors import UserError

MEAN = torch.arange(3, dtype=torch.float64)


@pytest.mark.parametrize("variance", [None, np.array([1.0, 2.0, 0.0])])
def test_what_is_saved_is_restored(variance):
    kept = Statistics.restored(Statistics(MEAN.numpy(), variance, np.array(7)).saved(), "a run")
    assert kept is not None
    assert kept.count == 7
    np.testing.assert_array_equal(kept.mean, MEAN)
    assert (kept.variance is None) == (variance is None)
    assert variance is None or (kept.variance == variance).all()
    assert Statistics.restored(None, "a run") is None


@pytest.mark.parametrize(
    "saved",
    [
        3,
        {"mean": MEAN},
        {"mean": [0.0], "variance": None, "count": 1},
        {"mean": MEAN.float(), "variance": None, "count": 1},
        {"mean": MEAN[None], "variance": None, "count": 1},
        {"mean": MEAN / 0, "variance": None, "count": 1},
        {"mean": MEAN, "variance": MEAN[:2], "count": 1},
        {"mean": MEAN, "variance": None, "count": MEAN},
    ],
)
def test_anything_else_is_one_line(saved):
    with pytest.raises(UserError, match="a run holds no mean of training queries where one should be"):
        Statistics.restored(saved, "a run")
