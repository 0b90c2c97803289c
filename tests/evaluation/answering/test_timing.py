"""How queries are timed."""

import faiss
import torch

from opticornet.evaluation.answering.timing import one_at_a_time


def test_single_queries_are_timed_with_one_thread(two_threads):
    seen = []

    def step(i: int) -> None:
        seen.append((i, torch.get_num_threads(), faiss.omp_get_max_threads()))

    before = faiss.omp_get_max_threads()
    times = one_at_a_time(10, {"search": step}, 4)
    assert seen == [(i, 1, 1) for i in (0, 3, 6, 0, 3, 6, 9)]  # three of them not measured
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == (2, before)
    assert times["search"].shape == (4,)
