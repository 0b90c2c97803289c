"""The augmentations: in time, of descriptors, and both."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from opticornet.datasets.altered import Pace
from opticornet.datasets.pace import steady, with_lost_frames, with_repeated_frames, with_stop
from opticornet.learning.augmentation.base import AugmentationOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

OF_FRAMES = 1 / 3  # that are lost, or repeated, where some are


@dataclass(frozen=True, kw_only=True)
class TimeAugmentation(AugmentationOptions):
    """``time``: windows of a drive at other speeds, with stops, with frames lost or repeated, or backwards."""

    changes_pace: ClassVar[bool] = True
    pace_share: float = option("--paceShare", 0.5, "share of windows at another pace, 0 to 1")
    slowest: float = option("--slowest", 0.4, "slowest of their speeds, where 1 is as recorded; above 0")
    fastest: float = option("--fastest", 2.5, "fastest of their speeds")
    stop_share: float = option("--stopShare", 0.2, "share of them that stand for half of a window")
    lost_share: float = option("--lostShare", 0.2, "share of them that lose a third of their frames")
    repeated_share: float = option("--repeatedShare", 0.2, "share of them that repeat a third of their frames")
    reversed_share: float = option("--reversedShare", 0.0, "share of them that go backwards")

    def __post_init__(self) -> None:
        check_shares(self, "pace_share", "stop_share", "lost_share", "repeated_share", "reversed_share")
        if not 0 < self.slowest <= self.fastest:
            raise UserError(
                f"`slowest` {self.slowest:g} and `fastest` {self.fastest:g}: wanted numbers above 0, the first not "
                "above the second"
            )

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if not self.pace_share:
            reasons["pace_share"] = "no window is at another pace; choose an `augment` without time"
        return reasons

    def pace(self) -> Pace:
        return self.steps

    def steps(self, count: int, length: int, generator: np.random.Generator) -> np.ndarray:
        """(count, length - 1) steps; speeds are drawn evenly on a logarithmic scale."""

        def some(share: float) -> np.ndarray:
            return generator.random((count, 1)) < share

        speeds = np.exp(generator.uniform(np.log(self.slowest), np.log(self.fastest), count))
        steps = steady(speeds, length)
        standing = min(max(1, length // 2), length - 1)
        steps = np.where(some(self.stop_share), with_stop(steps, standing, generator), steps)
        steps = np.where(some(self.lost_share), with_lost_frames(steps, OF_FRAMES, generator), steps)
        steps = np.where(some(self.repeated_share), with_repeated_frames(steps, OF_FRAMES, generator), steps)
        steps = np.where(some(self.reversed_share), -steps, steps)
        return np.where(some(self.pace_share), steps, 1.0)


@dataclass(frozen=True, kw_only=True)
class DescriptorAugmentation(AugmentationOptions):
    """``descriptors``: noise as between two drives, and frames of the other drive."""

    changes_descriptors: ClassVar[bool] = True
    noise: float = option("--noise", 1.0, "strength of noise; 1: as what differs between the drives of a place")
    season_share: float = option("--seasonShare", 0.0, "share of frames taken from the reference drive, 0 to 1")

    def __post_init__(self) -> None:
        check_shares(self, "season_share")

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if not self.noise and not self.season_share:
            reasons["noise"] = "frame descriptors stay as they are; choose an `augment` without them, or `season_share`"
        return reasons

    @property
    def noise_strength(self) -> float:
        return self.noise

    @property
    def mixed_share(self) -> float:
        return self.season_share


@dataclass(frozen=True, kw_only=True)
class TimeAndDescriptorAugmentation(TimeAugmentation, DescriptorAugmentation):
    """``time+descriptors``."""

    def __post_init__(self) -> None:
        TimeAugmentation.__post_init__(self)
        DescriptorAugmentation.__post_init__(self)


def check_shares(options: AugmentationOptions, *names: str) -> None:
    """Raise :class:`UserError` where one of the named options is above 1."""
    for name in names:
        if getattr(options, name) > 1:
            raise UserError(f"`{name}` {getattr(options, name):g}: wanted a share, 0 to 1")
