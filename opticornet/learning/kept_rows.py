"""Rows that training asks for again and again and that do not change, each worked out once."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from opticornet.utils.device import physical_memory
from opticornet.utils.mapped import release, zeros_or_file

SHARE_OF_MEMORY = 1 / 8  # that the rows of one source may take; more of them are kept on the disk
TOGETHER = 8  # rows worked out in a batch, always the same ones: a resumed run gets the same numbers to the bit


class KeptRows:
    """N rows (*G) float32, worked out when they are first asked for and kept: in memory, or where that is too little in
    a file that has no name and goes with the process.

    Args:
        count: N.
        work_out: of rows ``[start, stop)``, (stop - start, *G) float32 on any device.
        what: the rows in words, and what else to do where the disk cannot hold them: ``advice``.
        memory: the most bytes to keep in memory.
    """

    def __init__(
        self, count: int, work_out: Callable[[int, int], Tensor], what: str, advice: str, memory: int | None = None
    ) -> None:
        self.count, self.work_out, self.what, self.advice = count, work_out, what, advice
        self.memory = int(physical_memory() * SHARE_OF_MEMORY) if memory is None else memory
        self._is_known = np.zeros(-(-count // TOGETHER), bool)  # of each batch
        self._kept: np.ndarray | None = None  # (N, *G); where a row is not known yet it means nothing

    def __getitem__(self, rows: Sequence[int]) -> Tensor:
        """Some rows (U,), at least one, to (U, *G), on the CPU.

        Raises:
            UserError: a row cannot be worked out, or the disk has no room.
        """
        wanted = np.asarray(rows, np.int64)
        batches = np.unique(wanted // TOGETHER)
        for batch in batches[~self._is_known[batches]].tolist():
            start, stop = batch * TOGETHER, min((batch + 1) * TOGETHER, self.count)
            part = self.work_out(start, stop).cpu().numpy()
            if self._kept is None:
                self._kept = zeros_or_file((self.count, *part.shape[1:]), self.memory, self.what, self.advice)
            self._kept[start:stop] = part
            self._is_known[batch] = True
        assert self._kept is not None
        found = torch.from_numpy(np.asarray(self._kept[wanted]))
        release(self._kept)
        return found
