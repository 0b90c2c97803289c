"""Choosing the device, threads and what the operating system says of memory."""

import os
import re
import resource
import sys
from pathlib import Path

import torch

from opticornet.utils.errors import UserError


def choose_device(name: str, nocuda: bool, threads: int) -> torch.device:
    """The device that ``--device`` and ``--nocuda`` mean; also sets the number of CPU threads (0: leave it).

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if threads > 1024:
        raise UserError(f"--threads {threads}: wanted at most 1024; 0 takes all cores")
    if threads:
        torch.set_num_threads(threads)
    if nocuda or name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False  # convolutions are as exact as products, and the same in any batch
        return torch.device("cuda")
    if name == "cuda":
        raise UserError("--device cuda: PyTorch sees no CUDA device; use --device cpu, or auto")
    return torch.device("cpu")


def peak_memory_mib() -> float:
    """The process's peak resident memory so far, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would also count the process that started this one
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def physical_memory() -> int:
    """Bytes of memory the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
