"""SeqNet's published evaluation, number by number: search, sequence matching, re-ranking, recall."""

from dataclasses import dataclass

import numpy as np
import pytest

from opticornet.datasets.windows import inside, window_starts
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.evaluation.metrics import recall_at, recall_at_radii
from opticornet.matching.ranking import Ranking
from opticornet.matching.search import search
from opticornet.matching.sequences.diagonal import Diagonal
from opticornet.matching.sequences.match import match, rerank
from opticornet.matching.sequences.windows import SequenceSet

KS = (1, 5, 10, 20, 100)
RADII = (1, 5, 10, 20, 40, 100, 200)
FIXTURES = ("plain", "bounded", "bounded_filter10")


@dataclass(frozen=True)
class Side:
    """One traverse of a fixture and the frames of it that are kept."""

    frames: np.ndarray
    positions: np.ndarray
    bounds: np.ndarray
    kept: np.ndarray

    def starts(self, length: int) -> np.ndarray:
        rows = np.flatnonzero(self.kept)
        return window_starts(rows, self.bounds[rows], length, within=np.array([[0, len(self.frames)]]))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Fixture:
    def __init__(self, folder, name):
        name, _, self.suffix = name.partition("_")
        self.suffix = self.suffix and "_" + self.suffix
        self.values = np.load(folder / "golden" / "seqnet" / f"{name}.npz", allow_pickle=False)
        self.reference = self._side("dbDesc", "utmDb", "seqBounds_db")
        self.query = self._side("qDesc", "utmQ", "seqBounds_q")
        self.truth = GroundTruth(self.reference.positions[self.reference.kept], self.query.positions[self.query.kept])

    def _side(self, frames, positions, bounds):
        frames = self.values[frames]
        whole = np.tile([0, len(frames)], (len(frames), 1))
        bounds = self.values.get(bounds, whole)
        kept = inside(bounds, 10) if self.suffix else np.full(len(frames), True)
        return Side(frames, self.values[positions], bounds, kept)

    def __call__(self, case, what):
        return self.values[f"{case}{self.suffix}/{what}"]


@pytest.fixture(params=FIXTURES)
def fixture(request, shared):
    return Fixture(shared, request.param)


def assert_same_predictions(ranking: Ranking, golden: np.ndarray) -> None:
    """Identical but for runs of scores that differ by at most 1e-6 from one to the next, which the original leaves in
    arbitrary order (frames at a sequence's end share one window); the last run may go on beyond K."""
    assert ranking.indices.shape == golden.shape
    run = np.cumsum(np.diff(ranking.distances, axis=1, prepend=ranking.distances[:, :1]) > 1e-6, axis=1)
    for ours, theirs, runs in zip(ranking.indices, golden, run, strict=True):
        whole = runs < runs[-1]
        assert np.array_equal(
            ours[whole][np.lexsort((ours[whole], runs[whole]))],
            theirs[whole][np.lexsort((theirs[whole], runs[whole]))],
        )


def assert_recalls(fixture: Fixture, case: str, indices: np.ndarray) -> None:
    ks = [k for k in KS if k <= indices.shape[1]]
    recalls = recall_at(fixture.truth.correct(indices, 5), fixture.truth.has_positive(5), ks)
    assert list(recalls.values()) == list(fixture(case, "recall")[: len(ks)])
    counted = np.array([fixture.truth.has_positive(radius) for radius in RADII])
    by_radius = recall_at_radii(fixture.truth.errors(indices), counted, RADII, ks)
    assert np.array_equal(by_radius, fixture(case, "rAtL")[:, : len(ks)])


def assert_golden(fixture: Fixture, case: str, ranking: Ranking) -> None:
    golden = fixture(case, "preds").astype(np.int64)
    assert_same_predictions(ranking, golden)
    assert_recalls(fixture, case, golden)
    if np.array_equal(ranking.indices, golden) or not has_ties(ranking):
        assert_recalls(fixture, case, ranking.indices)


def has_ties(ranking: Ranking) -> bool:
    return bool((np.diff(ranking.distances, axis=1) <= 1e-6).any())


def windows(side: Side, length: int) -> np.ndarray:
    return side.frames[side.starts(length)[:, None] + np.arange(length)]  # (M, L, D)


def delta_weights(length: int) -> np.ndarray:
    return np.where(np.arange(length) < length // 2, -1, 1)[:, None] / (length / 2)


def convolve(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(M, L, D) to (M, O): mean over time of a convolution with ``weight`` (O, D, w), scaled to unit length."""
    kernel = weight.shape[2]
    steps = [
        sum(rows[:, first + tap] @ weight[:, :, tap].T for tap in range(kernel)) + bias
        for first in range(rows.shape[1] - kernel + 1)
    ]
    return unit(np.mean(steps, axis=0))


def encoder(fixture: Fixture, name: str):
    weight, bias = (fixture.values[f"weights_{name}/pool.0.conv.{part}"] for part in ("weight", "bias"))
    return lambda rows: convolve(rows, weight, bias)


DESCRIPTORS = {
    "single": (1, lambda fixture: lambda rows: unit(rows[:, 0])),
    "smooth5": (5, lambda fixture: lambda rows: unit(rows.mean(axis=1))),
    "smooth4": (4, lambda fixture: lambda rows: unit(rows.mean(axis=1))),
    "delta5": (5, lambda fixture: lambda rows: unit((rows * delta_weights(5)).sum(axis=1))),
    "delta6": (6, lambda fixture: lambda rows: unit((rows * delta_weights(6)).sum(axis=1))),
    "seqnet_s5": (5, lambda fixture: encoder(fixture, "seqnet_s5")),
    "seqnet_s1": (1, lambda fixture: encoder(fixture, "seqnet_s1")),
}


@pytest.mark.parametrize("case", DESCRIPTORS)
def test_search_of_descriptors(fixture, case):
    length, describe = DESCRIPTORS[case]
    encode = describe(fixture)
    reference, query = encode(windows(fixture.reference, length)), encode(windows(fixture.query, length))
    np.testing.assert_allclose(np.concatenate([reference, query]), fixture(case, "desc"), atol=1e-5)
    assert_golden(fixture, case, search(reference, query, 100))


@pytest.mark.parametrize("length", [5, 10])
def test_sequence_matching_of_frames(fixture, length):
    reference, query = (
        SequenceSet(side.frames, side.starts(length), length, side.bounds[side.kept], normalise=True)
        for side in (fixture.reference, fixture.query)
    )
    assert_golden(fixture, f"seqmatch{length}", match(Diagonal(), reference, query, 100))


def encoded_sequences(fixture: Fixture):
    encode = encoder(fixture, "seqnet_s1")
    return [
        SequenceSet(encode(side.frames[:, None]), side.starts(5), 5, side.bounds[side.kept])
        for side in (fixture.reference, fixture.query)
    ]


def test_sequence_matching_of_encoded_frames(fixture):
    assert_golden(fixture, "s1seqmatch5", match(Diagonal(), *encoded_sequences(fixture), 100))


def test_candidates_of_the_sequence_descriptor_are_re_ranked(fixture):
    candidates = fixture("seqnet_s5", "preds")[:, :20].astype(np.int64)
    ranking = rerank(Diagonal(), *encoded_sequences(fixture), candidates)
    assert_golden(fixture, "hvpr_s5_to_s1", ranking)
    assert np.array_equal(np.sort(ranking.indices, axis=1), np.sort(candidates, axis=1))
