"""The windows of training queries, made otherwise."""

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.pace import frames_at_pace
from opticornet.evaluation.scene import Scene
from opticornet.learning.augmentation.base import AugmentationOptions
from opticornet.learning.sequences.sides import Side

DIFFERENCES = 64  # windows of what differs between the drives, of which the noise of a batch is made


class Augmenter:
    """Draws the windows of queries anew each time they are learned from.

    Noise is made of what really differs between the drives: with d_k, (L, D) each, the frames of some recorded query
    windows minus those of the same places on the reference drive, it is the sum of g_k d_k / sqrt(K), g_k normal, drawn
    for each window. Its covariance over all of a window's numbers is that of the d_k, which no matrix has to hold.

    Args:
        options: what to do.
        scene: of the training split.
        query, reference: its windows, with their frames.
        generator: draws everything.

    Raises:
        ValueError: frames of the other drive are wanted, and no query has a place; images are to be altered, and frames
            are none.
    """

    def __init__(
        self, options: AugmentationOptions, scene: Scene, query: Side, reference: Side, generator: torch.Generator
    ) -> None:
        self.options, self.query, self.reference, self.generator = options, query, reference, generator
        self.alter = options.alteration()
        if self.alter and not query.has_pixels:
            raise ValueError("the method's frames are no pixels, neither before they are normalised")
        windows = query.windows
        self.surroundings = windows.surroundings
        self.counterparts = counterparts(scene)
        steps = np.arange(windows.length)
        known = (self.counterparts[windows.starts[:, None] + steps] >= 0).all(1)
        self.differing = windows.starts[known]  # (K,) first frames of windows whose places are all known
        if options.noise_strength and not len(self.differing):
            raise ValueError("no window has only frames whose places the reference drive shows")

    def windows(self, rows: Tensor) -> Tensor:
        """The windows of some queries (B,) int64: (B, L, *F) float32."""
        generator = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        frames = self.frames(rows.numpy(), generator)  # (B, L)
        if self.alter is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(generator.integers(2**62)))
                return self.query.altered_frames(frames, self.alter)
        made = self.query.gather_frames(torch.from_numpy(frames))
        if self.options.mixed_share:
            made = self.mixed(made, frames, generator)
        if self.options.noise_strength:
            made = made + self.options.noise_strength * self.noise(len(rows), generator)
        return made

    def frames(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(B, L) int64 rows of the query drive that the windows of queries (B,) hold."""
        windows, pace = self.query.windows, self.options.pace()
        if pace is None:
            return windows.starts[rows, None] + np.arange(windows.length)
        steps = pace(len(rows), windows.length, generator)
        return frames_at_pace(windows.rows[rows], self.surroundings[rows], steps, windows.anchor)

    def mixed(self, made: Tensor, frames: np.ndarray, generator: np.random.Generator) -> Tensor:
        """Windows (B, L, D) with some frames of the reference drive, where it shows the frame's place."""
        others = self.counterparts[frames]  # (B, L)
        chosen = torch.from_numpy((others >= 0) & (generator.random(frames.shape) < self.options.mixed_share))
        if chosen.any():
            made[chosen] = self.reference.gather_frames(torch.from_numpy(others)[chosen][:, None])[:, 0]
        return made

    def noise(self, count: int, generator: np.random.Generator) -> Tensor:
        """(count, L, D) noise as what differs between the drives."""
        starts = generator.choice(self.differing, min(DIFFERENCES, len(self.differing)), replace=False)
        frames = starts[:, None] + np.arange(self.query.windows.length)  # (K, L)
        one, other = torch.from_numpy(frames), torch.from_numpy(self.counterparts[frames])
        differences = self.query.gather_frames(one) - self.reference.gather_frames(other)  # (K, L, D)
        weights = torch.from_numpy(generator.standard_normal((count, len(starts))).astype(np.float32))
        weights = weights.to(differences.device) / len(starts) ** 0.5
        return (weights @ differences.flatten(1)).reshape(count, *differences.shape[1:])


def counterparts(scene: Scene) -> np.ndarray:
    """(N,) int64 reference row nearest to each row of the query drive; -1 where none shows its place."""
    rows = np.full(len(scene.query.traverse), -1)
    found = scene.has_positive()
    rows[scene.query.rows[found]] = scene.reference.rows[scene.truth.nearest_reference[found]]
    return rows
