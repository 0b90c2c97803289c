"""The device, its threads, and what the operating system reports of memory."""

import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from opticornet.utils.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


def choose_device(name: str, nocuda: bool) -> torch.device:
    """The device that ``device`` and ``nocuda`` mean.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if nocuda or name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False  # convolutions are as exact as products, and the same in any batch
        return torch.device("cuda")
    if name == "cuda":
        raise UserError("`device` cuda: PyTorch sees no CUDA device; use `device` cpu, or auto")
    return torch.device("cpu")


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Compute with so many CPU threads inside the block, and with as many as before after it.

    Args:
        threads: how many; 0: as many as the process has, which is all cores unless it was started with fewer.

    Raises:
        UserError: more than 1024.
    """
    if threads > 1024:
        raise UserError(f"`threads` {threads}: wanted at most 1024; 0 takes all cores")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def single_threaded_workers(count: int) -> Iterator[Callable[[Callable[[T], R], Sequence[T]], list[R]]]:
    """Gives ``work(function, items)``, the results of a function of each item: on ``count`` threads at a time, each of
    which computes alone. Threads that share every product instead wait for one another at its end, and on a machine
    that also does something else for long.

    With one, the calling thread does all, with as many CPU threads as it has.
    """
    if count == 1:
        yield lambda function, items: [function(item) for item in items]
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield lambda function, items: list(pool.map(function, items))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # also of threads that are yet to be started


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators, of the CPU and of ``device``, inside the block; they are as before after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def peak_memory_mib() -> float:
    """The process's peak resident memory since :func:`baseline_memory_mib` (else so far), in MiB."""
    peak = _status_mib("VmHWM")
    if peak is not None:  # getrusage would also count the process that started this one
        return peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def baseline_memory_mib() -> float:
    """The process's resident memory, in MiB, from which its peak is counted anew; where the system cannot forget a
    peak, that peak."""
    resident = _status_mib("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    except OSError:
        resident = None
    return peak_memory_mib() if resident is None else resident


def _status_mib(field: str) -> float | None:
    """A field of Linux's report on this process, in MiB; None elsewhere."""
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s*(\d+) kB", status.read_text()) if status.is_file() else None
    return int(found[1]) / 2**10 if found else None


def processor_name(device: torch.device) -> str:
    """What a device is sold as: the GPU's name, or the CPU's where the system reports it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    description = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", description.read_text(), re.M) if description.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def physical_memory() -> int:
    """Bytes of memory the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a device computes in."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return physical_memory()
