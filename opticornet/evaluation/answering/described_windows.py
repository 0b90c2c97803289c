"""Windows that a second encoder describes, to be compared whole when candidates are re-ranked."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from opticornet.datasets.windows import Windows
from opticornet.evaluation.answering.at_hand import adapting_newest, of_timed_queries
from opticornet.evaluation.answering.timing import timed
from opticornet.evaluation.scene import Scene
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.mapped import zeros_or_file

_BLOCK = 4096  # windows encoded at a time where they are too many to be held


@dataclass(frozen=True)
class DescribedWindows:
    """The windows of both sides, each a vector: what a re-ranker sees as windows of one frame.

    Attributes:
        reference, query: their vectors.
        starts: (N,) int64 first frame of each reference window.
        single: what described them.
        seconds: of the steps that this took.
    """

    reference: SequenceSet
    query: SequenceSet
    starts: np.ndarray
    single: LoadedEncoder
    seconds: dict[str, float]

    def windows_of(self, scene: Scene) -> tuple[SequenceSet, SequenceSet]:
        """Reference and query, of the scene that was described."""
        return self.reference, self.query

    def describing(self, scene: Scene, amp: bool, latency_queries: int) -> Callable[[int], Tensor]:
        """What describes the i-th query window as it comes."""
        encoder, query = self.single.encoder, scene.query
        frames = frames_of(of_timed_queries(query, latency_queries), encoder, scene.device)
        adapt_newest = adapting_newest(
            scene.adaptation, query.traverse.descriptors if encoder.takes == "descriptors" else None
        )

        def describe(i: int) -> Tensor:
            adapt_newest()
            start = query.starts[i : i + 1]
            return encode(encoder, frames, start, query.length, backwards=query.backwards, amp=amp).cpu()

        return describe


def described_windows(
    scene: Scene,
    single: LoadedEncoder,
    memory_bytes: int,
    *,
    amp: bool = False,
    known: DescribedWindows | None = None,
) -> DescribedWindows:
    """Encode every window of both sides; those of the map not again where they are ``known``.

    Args:
        scene: whose windows, of the length that is compared.
        single: the encoder.
        memory_bytes: most that the vectors of a side take in memory; more lie in a temporary file.
        amp: encode in bfloat16.
        known: of a scene whose references may be the same.

    Raises:
        UserError: the disk has no room.
    """
    seconds: dict[str, float] = {}

    def described(name: str, side: Windows) -> SequenceSet:
        with timed(seconds, f"encode_{name}"):
            vectors = _vectors(scene, single, side, memory_bytes, amp)
            return SequenceSet(vectors, np.arange(len(side)), 1).measured()

    single.encoder.to(scene.device)
    same = known is not None and np.array_equal(known.starts, scene.reference.starts)
    reference = known.reference if known and same else described("reference", scene.reference)
    return DescribedWindows(reference, described("query", scene.query), scene.reference.starts, single, seconds)


def _vectors(scene: Scene, single: LoadedEncoder, side: Windows, memory_bytes: int, amp: bool) -> np.ndarray:
    """(N, O) float32 of the windows of a side, in memory or, where they are too many, memory-mapped."""
    encoder, frames = single.encoder, frames_of(side.traverse, single.encoder, scene.device)
    shape = (len(side), encoder.encoding_dims(side.length))
    what, advice = f"`rerank_length` {side.length}: {len(side)} windows", "choose fewer frames, or `rerank_by` frames"
    vectors = zeros_or_file(shape, memory_bytes, what, advice)
    for first in range(0, len(side), _BLOCK):
        block = slice(first, first + _BLOCK)
        rows = encode(encoder, frames, side.starts[block], side.length, backwards=side.backwards, amp=amp)
        vectors[block] = rows.cpu().numpy()
    return vectors
