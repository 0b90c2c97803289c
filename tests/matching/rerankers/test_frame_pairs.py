"""Pairs of frames within a bound on memory: what is held, and what is read how often."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.rerankers.frame_pairs import MemoryPlan, match_pairs
from opticornet.matching.rerankers.mutual_matches import mutual_matches
from opticornet.utils.errors import UserError

CPU = torch.device("cpu")


def units(seed: int, *shape: int, used: int | None = None) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    x[:, used:] = 0 if used is not None else x[:, used:]
    return x.astype(np.float16)


class Counted:
    """Local features that say which frames were read, and the most bytes that were read at once."""

    def __init__(self, local: np.ndarray) -> None:
        self.local, self.shape, self.dtype = local, local.shape, local.dtype
        self.read: list[int] = []
        self.most = 0

    def __len__(self) -> int:
        return len(self.local)

    def __getitem__(self, key):
        self.read += np.asarray(key).tolist()
        self.most = max(self.most, self.local[key].nbytes)
        return self.local[key]

    def __array__(self, dtype=None, /, *, copy=None):
        raise AssertionError("all of it was read at once")


class HeldBytes(TorchDispatchMode):
    """The most bytes that tensors made inside the block took at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, int] = {}
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                key = storage._cdata
                if key not in self.held:
                    self.held[key] = storage.nbytes()
                    weakref.finalize(storage, self.held.pop, key, None)
        self.most = max(self.most, sum(self.held.values()))
        return result


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def all_pairs(queries: int, references: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(queries), np.arange(references), indexing="ij"), -1).reshape(-1, 2)


def find(query, reference, pairs, memory_bytes=1 << 30, threshold=0.3):
    return match_pairs(query, reference, pairs, threshold=threshold, memory_bytes=memory_bytes, device=CPU)


@pytest.mark.parametrize("shape", [(40, 8), (300, 16), (700, 32)])
@pytest.mark.parametrize("times", [1.0, 1.5, 4.0, 40.0])
def test_never_more_is_held_than_may_be(one_thread, shape, times):
    query, reference = Counted(units(0, 5, *shape, used=shape[0] - 3)), Counted(units(1, 6, *shape))
    with pytest.raises(MemoryTooSmall, match="one pair of frames needs") as error:
        find(query, reference, all_pairs(5, 6), memory_bytes=100)
    memory = int(error.value.needed * times)
    with HeldBytes() as held:
        found = find(query, reference, all_pairs(5, 6), memory)
    assert 0 < held.most + max(query.most, reference.most) <= memory
    expected = [
        mutual_matches(torch.from_numpy(one).float(), torch.from_numpy(reference.local).float(), 0.3).tolist()
        for one in query.local
    ]
    assert found.tolist() == np.ravel(expected).tolist()


def test_a_reference_is_read_once_for_all_queries_that_are_held():
    query, reference = Counted(units(2, 20, 30, 8)), Counted(units(3, 15, 30, 8))
    pairs = all_pairs(20, 15)[np.random.default_rng(0).permutation(300)]
    find(query, reference, pairs)
    assert sorted(reference.read) == list(range(15))
    assert sorted(query.read) == list(range(20))


def test_a_smaller_bound_reads_references_once_per_block_of_queries():
    query, reference = Counted(units(2, 20, 30, 8)), Counted(units(3, 15, 30, 8))
    workers = torch.get_num_threads()
    memory = next(bound for bound in range(10_000, 10_000_000, 500) if _queries(bound, query, reference, workers) == 7)
    find(query, reference, all_pairs(20, 15), memory)
    assert sorted(reference.read) == sorted(3 * list(range(15)))  # blocks of 7, 7 and 6 queries
    assert sorted(query.read) == list(range(20))


def _queries(memory, query, reference, workers):
    try:
        return MemoryPlan.within(memory, query, reference, workers, CPU).queries
    except MemoryTooSmall:
        return 0


def test_workers_give_what_one_gives():
    query, reference = units(4, 9, 60, 8, used=50), units(5, 11, 70, 8)
    pairs = all_pairs(9, 11)[::2]
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(find(query, reference, pairs))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*found)
    assert found[0].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["queries", "references"])
def test_features_that_are_no_numbers_are_refused(value, side):
    local = {"queries": units(6, 4, 10, 8), "references": units(7, 5, 10, 8)}
    local[side][3, 2, 1] = value
    with pytest.raises(UserError, match=f"local features of the {side} have NaN or infinity in frame 3"):
        find(local["queries"], local["references"], all_pairs(4, 5))
