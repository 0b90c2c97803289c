"""Frames as they are served: the same from a file as from a device's memory."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from opticornet.datasets.descriptors.arrays import open_descriptors, take_rows
from opticornet.datasets.frames import DescriptorFrames

ROWS = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
STARTS = torch.tensor([30, 2, 2, 0, 35])  # any order, repeated, overlapping


@pytest.fixture(params=["npy", "npy with gaps", "float16", "npz", "chunked h5"])
def descriptors(request, tmp_path: Path):
    """(frames as a reader opens them, what they hold)."""
    if request.param == "npz":
        np.savez_compressed(tmp_path / "a.npz", rows=ROWS)
        return open_descriptors(f"{tmp_path / 'a.npz'}:rows"), ROWS
    if request.param == "chunked h5":
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("rows", data=ROWS, chunks=(8, 3))
        return open_descriptors(f"{tmp_path / 'a.h5'}:rows"), ROWS
    if request.param == "npy with gaps":
        gaps = np.repeat(ROWS, 2, axis=0)
        np.save(tmp_path / "a.npy", gaps)
        return take_rows(open_descriptors(tmp_path / "a.npy"), np.arange(0, 80, 2)), ROWS
    rows = ROWS.astype(np.float16) if request.param == "float16" else ROWS
    np.save(tmp_path / "a.npy", rows)
    return open_descriptors(tmp_path / "a.npy"), rows.astype(np.float32)


def assert_served(frames: DescriptorFrames, rows: np.ndarray) -> None:
    assert len(frames) == len(rows)
    np.testing.assert_array_equal(frames.rows(3, 9), rows[3:9])
    windows = frames.windows(STARTS, 5)
    assert windows.dtype == torch.float32
    np.testing.assert_array_equal(windows, rows[STARTS[:, None] + np.arange(5)])


def test_rows_and_windows_are_those_of_the_file(descriptors):
    opened, rows = descriptors
    assert_served(DescriptorFrames(opened, torch.device("cpu")), rows)


def test_frames_held_by_a_gpu_are_the_same_and_uploaded_without_a_warning(descriptors, monkeypatch):
    opened, rows = descriptors
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * ROWS.size, 0))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: self)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = DescriptorFrames(opened, torch.device("cuda"))
    assert frames.resident is not None
    assert_served(frames, rows)


def test_frames_beyond_half_of_a_gpus_free_memory_are_streamed(descriptors, monkeypatch):
    opened, rows = descriptors
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * ROWS.size - 1, 0))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: self)
    frames = DescriptorFrames(opened, torch.device("cuda"))
    assert frames.resident is None
    assert_served(frames, rows)


def test_few_windows_of_a_long_drive_are_read_without_the_frames_between(descriptors):
    matrix, rows = descriptors
    frames = DescriptorFrames(matrix, torch.device("cpu"))
    starts = np.array([0, 1, 36])
    held, begins = frames.around(starts, 3)
    assert len(held) == 7
    for start, begin in zip(starts.tolist(), begins.tolist(), strict=True):
        np.testing.assert_array_equal(held[begin : begin + 3], rows[start : start + 3])
