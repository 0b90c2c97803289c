import pytest

from opticornet.steps.extraction.encode import decoding_workers


@pytest.mark.parametrize(("threads", "least", "most"), [(-1, 0, 0), (3, 3, 3), (0, 1, 8)])
def test_workers_as_asked_for(threads, least, most):
    assert least <= decoding_workers(threads) <= most
