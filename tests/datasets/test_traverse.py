import numpy as np

from opticornet.datasets.traverse import Traverse


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
