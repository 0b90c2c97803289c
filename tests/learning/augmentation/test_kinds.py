"""What each augmentation asks for."""

import numpy as np
import pytest

from opticornet.learning.augmentation import AUGMENTATIONS
from opticornet.learning.augmentation.kinds import (
    DescriptorAugmentation,
    TimeAndDescriptorAugmentation,
    TimeAugmentation,
)
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry


def steps(count: int = 2000, length: int = 5, **options) -> np.ndarray:
    quiet = {"pace_share": 1.0, "stop_share": 0.0, "lost_share": 0.0, "repeated_share": 0.0}
    return TimeAugmentation(**quiet | options).pace()(count, length, np.random.default_rng(0))


def test_speeds_lie_between_slowest_and_fastest_evenly_in_ratio():
    speeds = steps(slowest=0.4, fastest=2.5)
    assert (speeds == speeds[:, :1]).all()
    assert (speeds >= 0.4).all()
    assert (speeds <= 2.5).all()
    assert np.log(speeds).mean() == pytest.approx(0, abs=0.05)


def test_a_share_of_windows_stays_as_recorded():
    assert (steps(pace_share=0.3) == 1).all(1).mean() == pytest.approx(0.7, abs=0.05)
    assert (steps(pace_share=0) == 1).all()


@pytest.mark.parametrize(
    ("share", "happened"),
    [
        ("stop_share", lambda made: (made == 0).sum(1) == 2),
        ("repeated_share", lambda made: (made == 0).any(1)),
        ("lost_share", lambda made: (made > 1).any(1)),
        ("reversed_share", lambda made: (made == -1).all(1)),
    ],
)
def test_of_the_others_a_share_stops_repeats_loses_or_goes_back(share, happened):
    one_speed = {"slowest": 1.0, "fastest": 1.0}
    assert not happened(steps(**one_speed)).any()
    at_most = {"lost_share": 1 - (2 / 3) ** 4, "repeated_share": 1 - (2 / 3) ** 4}.get(share, 1)
    found = happened(steps(**one_speed, **{share: 0.4})).mean()
    assert found == pytest.approx(0.4 * at_most, abs=0.05)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_windows_have_paces_too(length):
    assert steps(length=length, stop_share=1.0, reversed_share=0.5).shape == (2000, length - 1)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TimeAugmentation, {"pace_share": 1.5}, "`pace_share` 1.5: wanted a share"),
        (TimeAugmentation, {"slowest": 0.0}, "`slowest` 0 and `fastest` 2.5"),
        (TimeAugmentation, {"slowest": 3.0}, "the first not above the second"),
        (DescriptorAugmentation, {"season_share": 2.0}, "`season_share` 2"),
        (TimeAndDescriptorAugmentation, {"season_share": 2.0}, "`season_share` 2"),
        (TimeAndDescriptorAugmentation, {"lost_share": 2.0}, "`lost_share` 2"),
    ],
)
def test_what_is_no_share_or_speed_is_refused(kind, options, message):
    with pytest.raises(UserError, match=message):
        kind(**options)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_what_an_entry_says_it_changes_is_what_it_asks_for(name):
    options = entry(AUGMENTATIONS, name)()
    assert options.changes_pace == (options.pace() is not None)
    assert options.changes_descriptors == bool(options.noise_strength or options.mixed_share)


@pytest.mark.parametrize(
    ("kind", "given", "unused"),
    [
        (TimeAugmentation, {"pace_share": 0.0}, {"pace_share"}),
        (DescriptorAugmentation, {"noise": 0.0}, {"noise"}),
        (DescriptorAugmentation, {"noise": 0.0, "season_share": 0.5}, set()),
        (TimeAndDescriptorAugmentation, {"pace_share": 0.0, "noise": 0.0}, {"pace_share", "noise"}),
        (TimeAndDescriptorAugmentation, {}, set()),
    ],
)
def test_what_leaves_everything_as_it_is_is_unused(kind, given, unused):
    assert kind(**given).unused().keys() == unused
