"""The windows that training draws."""

import numpy as np
import pytest
import torch

from opticornet.datasets.traverse import Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.learning.augmentation.augmenter import Augmenter, counterparts
from opticornet.learning.augmentation.base import AugmentationOptions
from opticornet.learning.augmentation.kinds import DescriptorAugmentation, TimeAugmentation
from opticornet.learning.sequences.sides import sides
from opticornet.models.sequences.seqnet import SeqNet

N, D = 60, 3


def scene(offset: float = 0.0, shift: int = 0) -> Scene:
    """Frames that say their row: three equal numbers, 100 more on the reference drive and 1100 on the query drive.

    Two sequences of 30; place i of the query is place i + ``shift`` of the reference, ``offset`` m away.
    """
    rows, bounds = np.arange(N), np.repeat([[0, 30], [30, 60]], 30, axis=0)
    drives = [
        Traverse(name, np.repeat(rows[:, None] + more, D, 1).astype(np.float32), at[:, None], "metres", bounds)
        for name, more, at in (("day", 100, rows * 1.0), ("night", 1100, rows + shift + offset))
    ]
    return Scene.of("line", Split("train", *drives, 0.4, 5.0), 5, 0, torch.device("cpu"))


def augmenter(options: AugmentationOptions, seed: int = 0, **of_scene: float) -> Augmenter:
    one = scene(**of_scene)
    return Augmenter(options, one, *sides(one, SeqNet(D, 2, 3)), torch.Generator().manual_seed(seed))


def frames(windows: torch.Tensor) -> np.ndarray:
    """(B, L) the rows that windows hold."""
    assert (windows == windows[:, :, :1]).all()
    return windows[:, :, 0].numpy().astype(int)


def test_at_the_recorded_pace_windows_are_the_recorded_ones():
    rows = torch.arange(N)
    made = augmenter(TimeAugmentation(pace_share=0.0))
    assert torch.equal(made.windows(rows), made.query.gather(rows))


def test_windows_at_other_paces_hold_their_own_frame_and_stay_in_their_sequence():
    made = augmenter(TimeAugmentation(pace_share=1.0, slowest=0.3, fastest=6.0, reversed_share=0.3))
    rows = torch.arange(N).repeat(5)
    held = frames(made.windows(rows)) - 1100
    assert (held == rows.numpy()[:, None]).any(1).all()
    assert (held // 30 == rows.numpy()[:, None] // 30).all()
    assert len({tuple(window) for window in held[rows.numpy() == 10]}) > 1


def test_every_drawing_is_another_and_the_same_seed_draws_the_same():
    one, same, other = (augmenter(TimeAugmentation(pace_share=1.0), seed) for seed in (1, 1, 2))
    rows = torch.arange(20)
    first, second = one.windows(rows), one.windows(rows)
    assert not torch.equal(first, second)
    assert torch.equal(first, same.windows(rows))
    assert not torch.equal(first, other.windows(rows))


def test_it_goes_on_from_the_generators_state():
    one, rows = augmenter(TimeAugmentation(pace_share=1.0)), torch.arange(20)
    state = one.generator.get_state()
    first = one.windows(rows)
    one.generator.set_state(state)
    assert torch.equal(first, one.windows(rows))


def test_a_share_of_frames_is_the_other_drives_of_the_same_place():
    made = augmenter(DescriptorAugmentation(noise=0.0, season_share=0.4), shift=7)
    rows = torch.arange(40)
    recorded, mixed = frames(made.query.gather(rows)), frames(made.windows(rows))
    other = mixed != recorded
    assert (mixed[other] == recorded[other] - 1000 + 7).all()
    assert other.mean() == pytest.approx(0.4, abs=0.1)


def test_frames_that_the_other_drive_does_not_show_stay():
    made = augmenter(DescriptorAugmentation(noise=0.0, season_share=1.0), shift=7)
    assert counterparts(scene(shift=7))[53:].tolist() == [-1] * 7
    assert (frames(made.windows(torch.tensor([57]))) > 1000).all()


def test_noise_has_the_covariance_of_what_differs_between_the_drives():
    rng = np.random.default_rng(0)
    one = scene()
    night = one.query.traverse.descriptors
    night[:] = one.reference.traverse.descriptors + rng.standard_normal((N, D)).astype(np.float32) * [1.0, 2.0, 0.0]
    made = Augmenter(
        DescriptorAugmentation(noise=2.0), one, *sides(one, SeqNet(D, 2, 3)), torch.Generator().manual_seed(0)
    )
    rows = torch.arange(N).repeat(300)
    noise = (made.windows(rows) - made.query.gather(rows)).flatten(1).numpy()  # (B, L D)
    windows = made.differing[:, None] + np.arange(5)
    differences = (night[windows] - one.reference.traverse.descriptors[windows]).reshape(len(windows), -1)
    expected = 4 * differences.T @ differences / len(differences)
    np.testing.assert_allclose(noise.T @ noise / len(noise), expected, atol=0.05 * expected.max())


def test_noise_needs_places():
    with pytest.raises(ValueError, match="no window has only frames whose places"):
        augmenter(DescriptorAugmentation(), offset=0.45)
