"""Answers by matching the frames of windows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.answering.at_hand import adapting_newest, of_timed_queries, windows_at_hand
from opticornet.evaluation.answering.timing import one_at_a_time, timed
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.metrics import KS
from opticornet.evaluation.scene import Scene
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder
from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.ranking import Ranking
from opticornet.matching.sequences.base import SequenceMatcher
from opticornet.matching.sequences.match import MEMORY_BYTES, match, rerank
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.array_files import read_npz
from opticornet.utils.errors import UserError, as_user_error
from opticornet.utils.mapped import RowMatrix


@dataclass(frozen=True)
class MatchSettings:
    """How frames are matched.

    Attributes:
        matcher: scores two windows.
        memory_bytes: bound on what is held at a time.
        depth: references per query where all are matched, at least.
    """

    matcher: SequenceMatcher
    memory_bytes: int = MEMORY_BYTES
    depth: int = max(KS)


@dataclass(frozen=True)
class MatchedFrames:
    """The frames of both sides, as they are matched.

    Attributes:
        reference, query: windows of them.
        traverses: that they are of.
        single: what describes single frames; None: they are matched raw.
        seconds: of the steps that this took.
    """

    reference: SequenceSet
    query: SequenceSet
    traverses: tuple[Traverse, Traverse]
    single: LoadedEncoder | None
    seconds: dict[str, float]

    def windows_of(self, scene: Scene) -> tuple[SequenceSet, SequenceSet]:
        """The windows of a scene over the same frames: reference, query."""
        reference, query = (
            replace(frames, **windows_over_frames(side))
            for frames, side in ((self.reference, scene.reference), (self.query, scene.query))
        )
        return reference, query

    def describing(self, scene: Scene, amp: bool, latency_queries: int) -> Callable[[int], Tensor] | None:
        """What describes the i-th query as it comes; None where it is not described."""
        return None if self.single is None else single_frames_of_window(scene, self.single, amp, latency_queries)


def matched_frames(
    scene: Scene, single: LoadedEncoder | None, *, amp: bool = False, known: MatchedFrames | None = None
) -> MatchedFrames:
    """The frames of both sides as they are matched: raw, or as ``single`` describes them. A side whose traverse is one
    of those that are ``known`` is taken from there, and took no time."""
    seconds: dict[str, float] = {}
    encoder = None if single is None else single.encoder.to(scene.device)

    def matched(name: str, side: Windows) -> SequenceSet:
        if encoder is None:
            return sequence_set(side, side.traverse.need_descriptors(), normalise=True)
        with timed(seconds, f"encode_{name}"):
            source = frames_of(side.traverse, encoder, scene.device)
            return sequence_set(side, encode(encoder, source, np.arange(len(source)), 1, amp=amp))

    traverses = scene.reference.traverse, scene.query.traverse
    reference = (
        known.reference if known and known.traverses[0] is traverses[0] else matched("reference", scene.reference)
    )
    query = known.query if known and known.traverses[1] is traverses[1] else matched("query", scene.query)
    return MatchedFrames(reference, query, traverses, single, seconds)


def match_frames(
    scene: Scene,
    frames: MatchedFrames,
    settings: MatchSettings,
    equal: EqualWindows,
    candidates: np.ndarray | None = None,
    *,
    amp: bool = False,
    latency_queries: int = 0,
) -> Answer:
    """Answer by matching the frames of windows: against all references, or only ``candidates`` (M, K).

    Args:
        scene: what is matched with what.
        frames: of both sides.
        settings: of the matching.
        equal: references that are one answer.
        candidates: window numbers of the reference, -1 for none.
        amp: describe frames in bfloat16.
        latency_queries: queries to time one at a time.

    Raises:
        UserError: the memory is too small.
    """
    seconds = dict(frames.seconds)
    reference, query = frames.windows_of(scene)
    k = equal.depth(settings.depth)
    step = "search" if candidates is None else "rerank"

    find_all, find_some = (
        partial(function, memory_bytes=settings.memory_bytes, device=scene.device) for function in (match, rerank)
    )

    def find(windows: tuple[SequenceSet, SequenceSet], queries: slice) -> Ranking:
        known, some = windows[0], windows[1].some(queries)
        if candidates is None:
            return find_all(settings.matcher, known, some, k)
        return find_some(settings.matcher, known, some, candidates[queries])

    with timed(seconds, step), as_user_error("`match_memory_mib`", MemoryTooSmall):
        ranking = find((reference, query), slice(None))
    at_hand = windows_at_hand(reference, query, latency_queries, settings.memory_bytes)
    adapt_newest = adapting_newest(scene.adaptation, query.frames)

    def find_one(i: int) -> Ranking:
        adapt_newest()
        return find(at_hand, slice(i, i + 1))

    steps: dict[str, Callable[[int], object]] = {step: find_one}
    if (describe := frames.describing(scene, amp, latency_queries)) is not None:
        steps = {"encode": describe} | steps
    return Answer(
        ranking=equal.distinct(ranking, settings.depth if candidates is None else None),
        each=ranking.first(settings.depth) if candidates is None else ranking,
        equal=equal,
        searched_equal=equal,
        out_dims=0,
        seconds=seconds,
        alone_ms=one_at_a_time(len(scene.query), steps, latency_queries),
        backwards=np.full(len(scene.query), scene.query.backwards),
        weights=None if frames.single is None else frames.single.weights,
        candidates=None if candidates is None else Ranking(candidates, np.zeros(candidates.shape, np.float32)),
    )


def single_frames_of_window(
    scene: Scene, single: LoadedEncoder, amp: bool, latency_queries: int
) -> Callable[[int], Tensor]:
    """Describes all frames of the i-th query window, (L, O), which is what a robot has to compute per query."""
    encoder = single.encoder.to(scene.device)
    frames = frames_of(of_timed_queries(scene.query, latency_queries), encoder, scene.device)
    described_frames = scene.query.traverse.descriptors if encoder.takes == "descriptors" else None
    adapt_newest = adapting_newest(scene.adaptation, described_frames)

    def describe_frames(i: int) -> Tensor:
        adapt_newest()
        rows = scene.query.starts[i] + np.arange(scene.query.length)
        return encode(encoder, frames, rows, 1, amp=amp).cpu()

    return describe_frames


def sequence_set(side: Windows, frames: RowMatrix | Tensor, normalise: bool = False) -> SequenceSet:
    """The windows of one side over ``frames``."""
    return SequenceSet(frames, **windows_over_frames(side), normalise=normalise).measured()


def windows_over_frames(side: Windows) -> dict[str, Any]:
    """What a ``SequenceSet`` says of the windows of one side, whatever their frames."""
    return {
        "starts": side.starts,
        "length": side.length,
        "bounds": side.surroundings,
        "backwards": side.backwards,
        "anchor": side.anchor,
    }


def read_predictions(path: str | Path, scene: Scene, top_k: int) -> np.ndarray:
    """The first ``top_k`` predictions of a results file: (M, K) int64.

    Raises:
        UserError: not a results file, or one of other data.
    """
    if not Path(path).is_file():
        raise UserError(f"`predictions_file` {path}: no such file; a test writes it, a .npz, to `results_path`")
    try:
        predictions = read_npz(Path(path), ("preds",))["preds"]
    except UserError as error:
        raise UserError(f"`predictions_file` {path}: not a results file with preds ({error})") from error
    integers = predictions.ndim == 2 and predictions.shape[1] and np.issubdtype(predictions.dtype, np.integer)
    if not integers or len(predictions) != len(scene.query):
        raise UserError(
            f"`predictions_file` {path} holds preds of shape {predictions.shape} {predictions.dtype}, wanted integers "
            f"for {len(scene.query)} queries; it was made on another split, or with another `filter_length`"
        )
    if predictions.max() >= len(scene.reference) or predictions.min() < -1:
        raise UserError(
            f"`predictions_file` {path} names references {predictions.min()} to {predictions.max()}, but there are "
            f"{len(scene.reference)}; it was made on other data"
        )
    return predictions[:, :top_k].astype(np.int64)
