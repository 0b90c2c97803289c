"""Sequence matchers against plain loops over queries, references and positions."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from opticornet.datasets.pace import frames_at_pace
from opticornet.datasets.windows import window_starts
from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.sequences.diagonal import Diagonal
from opticornet.matching.sequences.match import match, rerank
from opticornet.matching.sequences.seqslam import SPEED_COST, SeqSlam, enhance_contrast
from opticornet.matching.sequences.warping import Warping
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.errors import UserError

LENGTH, DIMS = 6, 8
ATOL = 1e-5  # contrast divides the 1e-6 of a distance by a small deviation
REFERENCE_BOUNDS = [(0, 9), (9, 40), (40, 70)]
QUERY_BOUNDS = [(0, 25), (25, 32)]


def drive(seed: int, ranges: list[tuple[int, int]], length: int = LENGTH) -> SequenceSet:
    """Random unit frames in sequences; every frame's window."""
    frames = np.random.default_rng(seed).standard_normal((ranges[-1][1], DIMS)).astype(np.float32)
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    bounds = np.repeat(np.array(ranges), [stop - start for start, stop in ranges], axis=0)
    return SequenceSet(frames, window_starts(np.arange(len(frames)), bounds, length), length, bounds)


@pytest.fixture
def reference():
    return drive(0, REFERENCE_BOUNDS)


@pytest.fixture
def query():
    return drive(1, QUERY_BOUNDS)


def distance(query: SequenceSet, reference: SequenceSet) -> np.ndarray:
    return np.linalg.norm(query.frames[:, None].astype(np.float64) - reference.frames[None], axis=2)


def loop(score, query: SequenceSet, reference: SequenceSet, reverse: bool = False) -> np.ndarray:
    """(M, N) scores of ``score(distances, query frames, first reference frame, its bounds)``, pair by pair."""
    distances = distance(query, reference)
    if score is contrast_seqslam_score:
        distances = contrast(distances, 2)
    scores = np.empty((len(query), len(reference)))
    for i, query_start in enumerate(query.starts):
        frames = range(query_start, query_start + query.length)
        frames = list(reversed(frames)) if reverse else list(frames)
        for j, (reference_start, bounds) in enumerate(zip(reference.starts, reference.bounds, strict=True)):
            scores[i, j] = score(distances, frames, reference_start, bounds)
    return scores


def diagonal_score(distances, frames, start, bounds):
    return np.mean([distances[frame, start + position] for position, frame in enumerate(frames)])


def seqslam_score(distances, frames, start, bounds):
    length = len(frames)
    best = np.inf
    for velocity in (0.6, 0.8, 1.0, 1.2, 1.4):
        line = [start + int(np.floor(velocity * (t - length // 2) + 0.5)) + length // 2 for t in range(length)]
        if line[0] >= bounds[0] and line[-1] < bounds[1]:
            best = min(best, np.mean([distances[frame, place] for frame, place in zip(frames, line, strict=True)]))
    return best


def contrast(distances: np.ndarray, half: int) -> np.ndarray:
    enhanced = np.empty_like(distances)
    for j in range(distances.shape[1]):
        near = distances[:, max(0, j - half) : j + half + 1]
        enhanced[:, j] = (distances[:, j] - near.mean(axis=1)) / near.std(axis=1, ddof=1)
    return enhanced


def costly_seqslam_score(distances, frames, start, bounds):
    length = len(frames)
    scores = []
    for velocity in 0.25 * np.arange(1, 11):
        line = [start + int(np.floor(velocity * (t - length // 2) + 0.5)) + length // 2 for t in range(length)]
        if line[0] >= bounds[0] and line[-1] < bounds[1]:
            mean = np.mean([distances[frame, place] for frame, place in zip(frames, line, strict=True)])
            scores.append(mean * (1 + 0.05 * abs(np.log2(velocity))))
    return min(scores)


def contrast_seqslam_score(distances, frames, start, bounds):
    return seqslam_score(distances, frames, start, bounds)


def paths(length: int, band: int) -> np.ndarray:
    """(P, L) every path through the centre, step by step: by 0, 1 or 2 frames, never by 0 twice in a row."""
    steps = np.array([s for s in product((0, 1, 2), repeat=length - 1) if (0, 0) not in pairwise(s)], np.int64)
    frames = np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)
    frames += length // 2 - frames[:, length // 2, None]
    return frames[(np.abs(frames - np.arange(length)) <= band).all(axis=1)]


PATHS = {band: paths(LENGTH, band) for band in (1, LENGTH)}


def warping_score(distances, frames, start, bounds, band=LENGTH):
    places = start + PATHS[band]
    places = places[(places[:, 0] >= bounds[0]) & (places[:, -1] < bounds[1])]
    return distances[frames, places].mean(axis=1).min()


def banded_score(distances, frames, start, bounds):
    return warping_score(distances, frames, start, bounds, band=1)


WIDE = {"velocities": (0.6, 1.4, 0.2)}
CASES = {
    "diagonal": (Diagonal(), diagonal_score),
    "seqslam": (SeqSlam(**WIDE), seqslam_score),
    "seqslam defaults": (SeqSlam(), costly_seqslam_score),
    "seqslam contrast": (SeqSlam(**WIDE, contrast_window=4), contrast_seqslam_score),
    "dtw": (Warping(), warping_score),
    "dtw band": (Warping(band=1), banded_score),
}


def assert_ranked(ranking, scores):
    """Scores are the plain loop's, smallest first; no reference twice."""
    k = ranking.indices.shape[1]
    np.testing.assert_allclose(ranking.distances, np.sort(scores, axis=1)[:, :k], atol=ATOL)
    np.testing.assert_allclose(np.take_along_axis(scores, ranking.indices, axis=1), ranking.distances, atol=ATOL)
    assert all(len(set(row)) == k for row in ranking.indices)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_match_is_the_plain_loop(reference, query, case, reverse):
    matcher, score = CASES[case]
    scores = loop(score, query, reference, reverse)
    assert np.isfinite(scores).all()
    assert_ranked(match(matcher, reference, replace(query, backwards=reverse), len(reference)), scores)
    assert_ranked(match(matcher, reference, replace(query, backwards=reverse), 7), scores)


@pytest.mark.parametrize("memory_bytes", [35_000, 200_000])
@pytest.mark.parametrize("case", CASES)
def test_tiles_change_nothing(reference, query, case, memory_bytes):
    matcher, _ = CASES[case]
    whole, tiled = (
        match(matcher, reference, query, 20),
        match(matcher, reference, query, 20, memory_bytes=memory_bytes),
    )
    np.testing.assert_allclose(tiled.distances, whole.distances, atol=ATOL)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("memory_bytes", [60_000, 1 << 30])
@pytest.mark.parametrize("case", CASES)
def test_candidates_get_the_scores_of_the_full_match(reference, query, case, memory_bytes, reverse):
    matcher, score = CASES[case]
    generator = np.random.default_rng(2)
    candidates = np.array([generator.permutation(len(reference))[:5] for _ in range(len(query))])
    candidates[3, 2:] = -1
    ranking = rerank(matcher, reference, replace(query, backwards=reverse), candidates, memory_bytes=memory_bytes)
    assert np.array_equal(np.sort(ranking.indices, axis=1), np.sort(candidates, axis=1))
    scores = np.take_along_axis(loop(score, query, reference, reverse), ranking.indices, axis=1)
    np.testing.assert_allclose(ranking.distances, np.where(ranking.indices < 0, np.inf, scores), atol=ATOL)
    assert (ranking.distances[:, 1:] >= ranking.distances[:, :-1]).all()


@pytest.mark.parametrize("case", ["seqslam", "seqslam contrast"])
def test_two_windows_any_gap_apart_at_the_ends_of_the_traverse(reference, query, case):
    """The frames that stand in beyond an end must not be taken for those of a gap."""
    matcher, score = CASES[case]
    scores = loop(score, query, reference)
    for end in (0, len(reference) - 1):
        for other in range(len(reference)):
            pair = np.unique([end, other])
            ranking = rerank(matcher, reference, query, np.tile(pair, (len(query), 1)))
            np.testing.assert_allclose(ranking.distances, np.sort(scores[:, pair], axis=1), atol=ATOL)


def test_filtered_and_unordered_windows(reference, query):
    kept = np.random.default_rng(3).permutation(len(reference))[:30]
    some = SequenceSet(reference.frames, reference.starts[kept], LENGTH, reference.bounds[kept])
    few = SequenceSet(query.frames, query.starts[::-3], LENGTH, query.bounds[::-3])
    for matcher, score in CASES.values():
        assert_ranked(match(matcher, some, few, 30), loop(score, few, some))


def test_hand_worked_diagonal():
    reference = SequenceSet(np.array([[0.0], [1], [2], [3]], dtype=np.float32), np.array([0, 1, 2]), 2)
    query = SequenceSet(np.array([[1.0], [3]], dtype=np.float32), np.array([0]), 2)
    ranking = match(Diagonal(), reference, query, 3)  # |1-0|+|3-1|, |1-1|+|3-2|, |1-2|+|3-3|, halved
    assert ranking.indices.tolist() == [[1, 2, 0]]
    assert ranking.distances.tolist() == [[0.5, 0.5, 1.5]]


def test_hand_worked_warping():
    frames = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8], dtype=np.float32)[:, None]
    reference = SequenceSet(frames, np.array([2]), 5)  # frames 2 to 6, the centre is 4

    def score(matcher, *query):
        rows = np.array(query, dtype=np.float32)[:, None]
        return match(matcher, reference, SequenceSet(rows, np.array([0]), 5), 1).distances[0, 0]

    assert score(Warping(), 3, 3, 4, 4, 5) == 0  # half speed: 3 3 4 4 5
    assert score(Warping(), 0, 2, 4, 6, 8) == 0  # double speed, beyond the window's ends
    assert score(Warping(), 2, 4, 4, 5, 7) == 0  # changing speed
    assert score(Warping(band=0), 0, 2, 4, 6, 8) == pytest.approx((2 + 1 + 0 + 1 + 2) / 5)
    assert score(Warping(), 4, 4, 4, 4, 4) == pytest.approx((1 + 0 + 0 + 1 + 1) / 5)  # no two rests in a row: 3 4 4 5 5


def test_warping_stays_inside_its_own_sequence():
    frames = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8], dtype=np.float32)[:, None]
    query = SequenceSet(frames[::2].copy(), np.array([0]), 5)
    free, bound = (SequenceSet(frames, np.array([2]), 5, np.array([bounds])) for bounds in ([0, 9], [1, 9]))
    assert match(Warping(), free, query, 1).distances[0, 0] == 0
    assert match(Warping(), bound, query, 1).distances[0, 0] == pytest.approx(1 / 5)  # 1 instead of 0


@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_windows_warp_too(length):
    reference, query = drive(0, REFERENCE_BOUNDS, length), drive(1, QUERY_BOUNDS, length)
    steps = paths(length, length)
    scores = loop(lambda d, f, start, bounds: np.min([
        d[f, start + path].mean() for path in steps if start + path[0] >= bounds[0] and start + path[-1] < bounds[1]
    ]), query, reference)  # fmt: skip
    assert_ranked(match(Warping(), reference, query, 20), scores)


def test_hand_worked_lines():
    assert SeqSlam(velocities=(0.5, 1.5, 0.5)).lines(5, 2).tolist() == [
        [-1, 1, 2, 4, 5],  # 1.5: -3 -1.5 0 1.5 3, halves up
        [0, 1, 2, 3, 4],
        [1, 2, 2, 3, 3],
    ]
    assert SeqSlam(velocities=(0.8, 1.2, 0.1)).speeds() == pytest.approx([0.8, 0.9, 1.0, 1.1, 1.2])


def test_hand_worked_costs():
    matcher = SeqSlam(velocities=(0.5, 2, 0.5), speed_cost=0.1)
    lines, costs = matcher.costly_lines(3, 1)
    assert lines.tolist() == [[-1, 1, 3], [0, 1, 2], [0, 1, 3], [1, 1, 2]]  # at 2, 1, 1.5 and 0.5
    assert costs == pytest.approx([0.1, 0, 0.1 * np.log2(1.5), 0.1])
    fine = SeqSlam(velocities=(0.8, 1.2, 0.1), speed_cost=0.1)
    assert fine.costly_lines(5, 2)[1].tolist() == [0]  # all of these round to the diagonal, which costs nothing


def test_a_line_costs_a_share_of_its_distance():
    frames = np.array([0.0, 1, 2, 3, 4, 5, 6], np.float32)[:, None]
    query = SequenceSet(np.array([[1.0], [3.5], [5.0]], np.float32), np.array([0]), 3)
    reference = SequenceSet(frames, np.array([2]), 3)
    straight = (1 + 0.5 + 1) / 3  # 2, 3 and 4; at double speed 1, 3 and 5
    for cost, expected in ((0.0, 0.5 / 3), (1.0, 2 * 0.5 / 3), (5.0, straight)):
        matcher = SeqSlam(velocities=(1, 2, 1), speed_cost=cost)
        assert match(matcher, reference, query, 1).distances[0, 0] == pytest.approx(expected)


def test_only_the_default_velocities_cost_something_by_default():
    assert SeqSlam().speed_cost == SPEED_COST
    assert SeqSlam(velocities=(0.8, 1.2, 0.1)).speed_cost == 0
    assert SeqSlam(velocities=(0.8, 1.2, 0.1), speed_cost=0.2).speed_cost == 0.2


@pytest.mark.parametrize("length", [5, 10])
def test_defaults_lose_little_at_equal_speed_and_gain_at_others(shared, length):
    """Real Nordland descriptors of the validation rows, by which the defaults were chosen; within one frame."""
    summer, winter = (
        np.load(shared / "data" / "nordland-1k" / f"{name}.npy")[600:800] for name in ("summer", "winter")
    )
    bounds = np.tile([0, len(summer)], (len(summer), 1))
    places = np.arange(len(summer))
    sides = {}
    for speed in (1, 2):
        held = frames_at_pace(places, bounds, np.full(length - 1, float(speed)), length // 2)
        sides[speed] = SequenceSet(winter[held.ravel()], length * places, length, normalise=True)
    reference = SequenceSet(summer, window_starts(places, bounds, length), length, bounds, normalise=True)

    def recall(matcher, speed):
        found = match(matcher, reference, sides[speed], 1).indices[:, 0]
        return float((np.abs(found - places) <= 1).mean())

    assert recall(SeqSlam(), 1) >= recall(Diagonal(), 1) - 0.02
    assert recall(SeqSlam(), 2) > 1.5 * recall(Diagonal(), 2)


def test_hand_worked_contrast():
    distances = torch.tensor([[1.0, 3, 2, 9]])
    enhanced = enhance_contrast(distances, torch.tensor([True, True, True, False]), 1)
    # means 2, 2, 2.5; sample deviations sqrt(2), 1, sqrt(0.5)
    assert enhanced[0, :3].tolist() == pytest.approx([-1 / 2**0.5, 1, -0.5 / 0.5**0.5])


def test_equal_distances_have_no_contrast():
    assert enhance_contrast(torch.full((2, 5), 0.7), torch.ones(5, dtype=torch.bool), 2).abs().max() < 0.2


def test_seqslam_at_velocity_one_is_the_diagonal(reference, query):
    one = match(SeqSlam(velocities=(1, 1, 0.1)), reference, query, 30)
    diagonal = match(Diagonal(), reference, query, 30)
    assert np.array_equal(one.indices, diagonal.indices)
    assert np.array_equal(one.distances, diagonal.distances)


def test_reverse_finds_a_route_driven_the_other_way(reference):
    backwards = SequenceSet(reference.frames[::-1].copy(), np.arange(70 - LENGTH + 1), LENGTH, backwards=True)
    forwards = SequenceSet(reference.frames, np.arange(70 - LENGTH + 1), LENGTH)
    ranking = match(Diagonal(), forwards, backwards, 1)
    assert np.array_equal(ranking.indices[:, 0], np.arange(70 - LENGTH, -1, -1))
    assert not ranking.distances.any()


def test_slower_drive_is_found_by_velocity_and_by_warping(reference):
    slow = SequenceSet(np.repeat(reference.frames[9:40], 2, axis=0), np.array([20]), LENGTH)
    straight = match(Diagonal(), reference, slow, 1).distances[0, 0]
    for matcher in (SeqSlam(velocities=(0.5, 1.2, 0.1)), Warping()):
        assert match(matcher, reference, slow, 1).distances[0, 0] < straight / 2


@pytest.mark.parametrize("speed", [0.5, 2])
def test_warping_wins_at_half_and_double_speed(shared, speed):
    """Real Nordland descriptors: winter frames doubled, or every second one, searched in summer; within one frame."""
    summer, winter = (np.load(shared / "data" / "nordland-1k" / f"{name}.npy")[:400] for name in ("summer", "winter"))
    places = np.repeat(np.arange(400), 2) if speed == 0.5 else np.arange(0, 400, 2)
    recall = {}
    for name, matcher, length in (("single", Diagonal(), 1), ("diagonal", Diagonal(), 10), ("dtw", Warping(), 10)):
        sides = []
        for frames in (summer, winter[places]):
            bounds = np.tile([0, len(frames)], (len(frames), 1))
            starts = window_starts(np.arange(len(frames)), bounds, length)
            sides.append(SequenceSet(frames, starts, length, bounds, normalise=True))
        found = match(matcher, *sides, 1).indices[:, 0]
        recall[name] = float((np.abs(found - places) <= 1).mean())
    assert recall["dtw"] > 1.5 * max(recall["single"], recall["diagonal"])


def test_shared_windows_rank_by_index(reference, query):
    ranking = match(Diagonal(), reference, query, len(reference))
    place = np.argsort(ranking.indices, axis=1)
    first, last = (
        place[:, :4],
        place[:, 6:9],
    )  # frames 0-3 and 6-8 share the first and last window of a sequence of 9
    assert (np.diff(first, axis=1) == 1).all()
    assert (np.diff(last, axis=1) == 1).all()


def test_memory_mapped_halves_and_tensors_and_normalisation(reference, query, tmp_path):
    np.save(tmp_path / "frames.npy", (3 * reference.frames).astype(np.float16))
    halves = np.load(tmp_path / "frames.npy", mmap_mode="r")
    mapped = SequenceSet(halves, reference.starts, LENGTH, normalise=True)
    tensor = SequenceSet(torch.from_numpy(np.array(halves)), reference.starts, LENGTH, normalise=True)
    whole = halves.astype(np.float32)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    expected = match(Diagonal(), SequenceSet(whole, reference.starts, LENGTH), query, 20)
    for sequences in (mapped, tensor):
        np.testing.assert_allclose(match(Diagonal(), sequences, query, 20).distances, expected.distances, atol=ATOL)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r, q: match(Diagonal(), r, q, len(r) + 1), "k is 71, but there are 70 reference windows"),
        (
            lambda r, q: match(Diagonal(), r, drive(1, QUERY_BOUNDS, 5), 1),
            "windows of 6 frames .* windows of 5",
        ),
        (
            lambda r, q: rerank(Diagonal(), r, q, np.zeros((1, 5), dtype=np.int64)),
            r"candidates must be \(32, K\)",
        ),
        (lambda r, q: SequenceSet(r.frames, np.array([65]), LENGTH), "frames 65 to 71 of 70"),
        (lambda r, q: SequenceSet(r.frames, np.array([], dtype=np.int64), LENGTH), "no window"),
        (lambda r, q: SeqSlam(velocities=(1.1, 1.2, 0.1)), "beginning at 1 or below"),
        (lambda r, q: Warping(band=-1), "band must not be negative"),
    ],
)
def test_what_does_not_fit_is_refused(reference, query, make, message):
    with pytest.raises((ValueError, UserError), match=message):
        make(reference, query)


def test_too_little_memory_has_an_error_of_its_own(reference, query):
    candidates = np.zeros((len(query), 5), dtype=np.int64)
    with pytest.raises(MemoryTooSmall, match="one pair of windows needs"):
        match(Diagonal(), reference, query, 1, memory_bytes=100)
    with pytest.raises(MemoryTooSmall, match="5 candidates need"):
        rerank(Diagonal(), reference, query, candidates, memory_bytes=100)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("case", CASES)
def test_match_and_rerank_on_cuda(reference, query, case):
    matcher, score = CASES[case]
    scores = loop(score, query, reference)
    ranking = match(matcher, reference, query, 20, device="cuda")
    assert_ranked(ranking, scores)
    again = rerank(matcher, reference, query, ranking.indices, device="cuda")
    np.testing.assert_allclose(again.distances, ranking.distances, atol=ATOL)


@pytest.mark.parametrize("matcher", [SeqSlam(velocities=(0.5, 1.5, 0.5)), Warping()])
def test_drives_of_different_speed_meet_where_the_windows_anchor(matcher):
    frames = np.arange(30.0, dtype=np.float32)[:, None]
    slow = SequenceSet(np.array([[10.0], [10.5], [11.0], [11.5], [12.0]], np.float32), np.array([0]), 5, anchor=4)
    trailing = SequenceSet(frames, np.arange(26), 5, anchor=4)
    assert match(matcher, trailing, slow, 1).indices[0, 0] + 4 == 12  # ends at the query's last frame
    first, leading = replace(slow, anchor=0), replace(trailing, anchor=0)
    assert match(matcher, leading, first, 1).indices[0, 0] == 10
    with pytest.raises(ValueError, match="of their frame 4, query windows of 0"):
        match(matcher, trailing, first, 1)
