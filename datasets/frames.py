"""How a traverse serves its frames: as float32 tensors on a device, read only as they are needed.

Here are the contract of every source and the source of descriptors; that of images is ``images/frames.py``.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from opticornet.utils.mapped import RowMatrix, as_tensor, release


class FrameSource(Protocol):
    """The N frames of a traverse, each of one shape F: (D,) descriptors, (3, H, W) prepared images.

    Attributes:
        frame_shape: F.
        block: how many windows to ask for at a time, which bounds the memory they take.
    """

    @property
    def frame_shape(self) -> tuple[int, ...]: ...

    @property
    def block(self) -> int: ...

    def __len__(self) -> int: ...

    def rows(self, start: int, stop: int) -> Tensor:
        """Frames ``[start, stop)``: (stop - start, *F) float32."""
        ...

    def windows(self, starts: Tensor, length: int) -> Tensor:
        """The windows ``[starts, starts + length)``: (B,) int64 on the CPU to (B, length, *F) float32."""
        ...

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """Frames that hold the windows ``[starts, starts + length)``, and where among them each begins.

        Args:
            starts: (B,) int64, non-decreasing.

        Returns:
            (M, *F) float32 and (B,) int64, both on the device.
        """
        ...


class DescriptorFrames:
    """The (N, D) descriptors of a traverse, served in rows and windows: a :class:`FrameSource`.

    On the CPU every request reads the memory map. On a GPU the descriptors are uploaded once if they take at most
    half of its free memory, so that gathering windows costs memory bandwidth there and no transfer.
    """

    block = 128

    def __init__(self, descriptors: RowMatrix, device: torch.device) -> None:
        self.descriptors = descriptors
        self.device = device
        self.resident: Tensor | None = None
        if device.type == "cuda" and 4 * np.prod(descriptors.shape) <= torch.cuda.mem_get_info(device)[0] / 2:
            self.resident = as_tensor(np.asarray(descriptors[:], np.float32)).to(device)
            release(descriptors)

    def __len__(self) -> int:
        return len(self.descriptors)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return self.descriptors.shape[1:]

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

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """The frames of the windows: (M, D), and (B,) starts among them. Few others between them are read too."""
        low, stop = int(starts[0]), int(starts[-1]) + length
        if stop - low <= 2 * (len(starts) + length):
            rows = self.rows(low, stop)
            return rows, torch.from_numpy(starts - low).to(rows.device)
        distinct = np.unique(starts[:, None] + np.arange(length))  # rising, so a window's frames stay neighbours
        rows = self.windows(torch.from_numpy(distinct), 1)[:, 0]
        return rows, torch.from_numpy(np.searchsorted(distinct, starts)).to(rows.device)
