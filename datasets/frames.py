"""Frame descriptors as float32 tensors on a device, read from the memory map only as they are needed."""

import numpy as np
import torch
from torch import Tensor

from opticornet.utils.mapped import as_tensor, release


class Frames:
    """The (N, D) descriptors of a traverse, served in rows and windows.

    On the CPU every request reads the memory map. On a GPU the descriptors are uploaded once if they take at most
    half of its free memory, so that gathering windows costs memory bandwidth there and no transfer.
    """

    def __init__(self, descriptors: np.ndarray, device: torch.device) -> None:
        self.descriptors = descriptors
        self.device = device
        self.resident: Tensor | None = None
        if device.type == "cuda" and 4 * np.prod(descriptors.shape) <= torch.cuda.mem_get_info(device)[0] / 2:
            self.resident = as_tensor(np.asarray(descriptors[:], np.float32)).to(device)
            release(descriptors)

    def __len__(self) -> int:
        return len(self.descriptors)

    def rows(self, start: int, stop: int) -> Tensor:
        """Frames ``[start, stop)``: (stop - start, D) float32."""
        if self.resident is not None:
            return self.resident[start:stop]
        rows = self.descriptors[start:stop]
        block = np.array(rows, np.float32)  # a copy of these rows only, and writable
        release(rows)
        return torch.from_numpy(block).to(self.device)

    def windows(self, starts: Tensor, length: int) -> Tensor:
        """The windows ``[starts, starts + length)``: (B,) int64 to (B, length, D) float32."""
        index = starts[:, None] + torch.arange(length, device=starts.device)  # (B, L)
        if self.resident is not None:
            return self.resident[index.to(self.device)]
        block = np.asarray(self.descriptors[index.numpy()], np.float32)  # (B, L, D)
        release(self.descriptors)
        return torch.from_numpy(block).to(self.device)
