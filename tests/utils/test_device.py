"""Settings of the device that last for a block."""

import mmap
from pathlib import Path

import pytest
import torch

from opticornet.utils.device import (
    baseline_memory_mib,
    choose_device,
    cpu_threads,
    peak_memory_mib,
    processor_name,
    seeded,
)
from opticornet.utils.errors import UserError


def test_threads_are_as_before_after_the_block(two_threads):
    with cpu_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError, match="failed"), cpu_threads(1):
        raise RuntimeError("failed")
    assert torch.get_num_threads() == 2


def test_zero_takes_what_the_process_has(two_threads):
    with cpu_threads(0):
        assert torch.get_num_threads() == 2


def test_too_many_threads_are_refused():
    with pytest.raises(UserError, match="at most 1024"), cpu_threads(1025):
        pass


def test_a_seed_lasts_for_the_block():
    before = torch.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        with seeded(seed, torch.device("cpu")):
            drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_convolutions_on_a_gpu_keep_all_digits(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert choose_device("auto", nocuda=True) == torch.device("cpu")
    assert torch.backends.cudnn.allow_tf32
    assert choose_device("auto", nocuda=False) == torch.device("cuda")
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system cannot forget a peak")
def test_a_peak_is_counted_from_the_baseline():
    def held() -> mmap.mmap:  # not from the allocator, which may still have what an earlier test gave back
        memory = mmap.mmap(-1, 64 << 20)
        for _ in range(64):
            memory.write(bytes(1 << 20))
        return memory

    held().close()
    before = baseline_memory_mib()
    assert peak_memory_mib() - before < 16
    again = held()
    assert 48 < peak_memory_mib() - before < 80
    again.close()


def test_a_processor_has_a_name():
    assert len(processor_name(torch.device("cpu"))) > 2
