import numpy as np
import pytest

from opticornet.reports import curves
from opticornet.reports.results import read_result


def test_recall_at_every_k(record):
    curve = curves.recall_at_k(read_result(record(wrong=(3, 4))))
    assert curve.x.tolist() == list(range(1, 11))
    np.testing.assert_allclose(curve.y, [0.9, 0.9] + [1.0] * 8)


def test_recall_at_the_recorded_k_without_arrays(record):
    path = record(wrong=(3, 4))
    path.with_suffix(".npz").unlink()
    curve = curves.recall_at_k(read_result(path))
    assert curve.x.tolist() == [1, 5, 10]
    assert curve.y.tolist() == [0.9, 1.0, 1.0]


def test_recall_grows_with_the_radius(record):
    curve = curves.recall_at_radius(read_result(record(wrong=(3, 4))))
    assert (np.diff(curve.y) >= 0).all()
    assert curve.y[np.searchsorted(curve.x, 5.0)] == pytest.approx(0.9)
    assert 5.0 in curve.x  # the split's own radius


def test_precision_recall_is_thinned_but_keeps_its_ends(record):
    path = record()
    arrays = dict(np.load(path.with_suffix(".npz")))
    line = np.linspace(0, 1, 5000)
    np.savez(path.with_suffix(".npz"), **arrays | {"precision": 1 - line, "recall": line, "thresholds": line})
    curve = curves.precision_recall(read_result(path))
    assert len(curve.x) == 300
    assert (curve.x[0], curve.x[-1]) == (0, 1)


def test_pareto_front():
    points = [(5.0, 0.9), (1.0, 0.5), (2.0, 0.4), (2.0, 0.7), (9.0, 0.9)]
    assert curves.pareto(points) == [1, 3, 0]
