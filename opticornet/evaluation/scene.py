"""A scene: one split, cut into windows, with its ground truth."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from opticornet.datasets.adapting.adaptation import AS_THEY_ARE, Adaptation, AdaptedMaps
from opticornet.datasets.descriptors.arrays import check_finite
from opticornet.datasets.filling import Filling, fill_frames
from opticornet.datasets.frames import FrameSource
from opticornet.datasets.images.frames import check_image_files
from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import FrameKind, Split, Traverse
from opticornet.datasets.windows import ShortSequences, WindowRule, Windows
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.evaluation.protocols.base import OURS, Protocol
from opticornet.evaluation.validated import EncodedSide
from opticornet.inference.encode import encode, frames_of
from opticornet.models.sequences.base import SequenceEncoder
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class WindowSettings:
    """Which frames a window may hold, and what becomes of those that it may not.

    Attributes:
        rule, short: as :meth:`opticornet.datasets.windows.Windows.of` takes them.
        filling: of unusable frames; "" drops the windows that hold one.
        longest: frames of a longer window of the same frames that will be asked for; 0: none.
        either_way: :meth:`Scene.reversed` will be asked for.
        protocol: by whose rules windows are cut and judged.
    """

    rule: WindowRule = "centred"
    short: ShortSequences = "refuse"
    filling: Filling = "none"
    longest: int = 0
    either_way: bool = False
    protocol: Protocol = OURS

    def of(
        self,
        traverse: Traverse,
        length: int,
        filter_length: int,
        role: Literal["reference", "query"],
        need_positions: bool = True,
    ) -> Windows:
        """The windows of one side; arguments as for :meth:`Windows.of`."""
        if self.protocol.has_windows:
            return self.protocol.windows(traverse, length, role)
        return Windows.of(
            traverse,
            length,
            filter_length,
            rule=self.rule,
            short=self.short,
            longest=self.longest,
            need_positions=need_positions,
            either_way=self.either_way,
        )


@dataclass(frozen=True)
class Scene:
    """The windows of a split: queries, and the references that are searched.

    Attributes:
        dataset: its name.
        split: the data.
        reference, query: the windows that take part.
        truth: which references are correct.
        device: where vectors are computed.
        adaptation: what was taken off the frame descriptors of ``split``.
        protocol: by whose rules its windows were cut and are judged.
    """

    dataset: str
    split: Split
    reference: Windows
    query: Windows
    truth: GroundTruth
    device: torch.device
    adaptation: Adaptation = AS_THEY_ARE
    protocol: Protocol = OURS

    @classmethod
    def of(
        cls,
        dataset: str,
        split: Split,
        length: int,
        filter_length: int,
        device: torch.device,
        needs: frozenset[FrameKind] = frozenset({"descriptors"}),
        settings: WindowSettings = WindowSettings(),
        adaptation: Adaptation = AS_THEY_ARE,
        maps: AdaptedMaps | None = None,
    ) -> "Scene":
        """A split's windows of ``length`` frames.

        Args:
            needs: the kinds of frames that will be read; they are checked, others are not touched.
            settings: of the windows.
            adaptation: of frame descriptors, where they will be read.
            maps: that the scenes of other splits may share, adapted; None: there is no other.

        Raises:
            UserError: a traverse lacks such frames; NaN or infinity in descriptors; image files that do not exist; a
                sequence too short; rows that cannot be places.
        """
        split.require_places(f"split {split.name} of {dataset}")
        reference, query = (fill_frames(side, settings.filling, needs) for side in (split.reference, split.query))
        split = settings.protocol.placed(replace(split, reference=reference, query=query))
        for traverse in (split.reference, split.query):
            if "descriptors" in needs:
                check_finite(traverse)
            if "images" in needs:
                check_image_files(traverse)
        adaptation = adaptation.fitting(split) if "descriptors" in needs else AS_THEY_ARE
        split = adaptation.of(split, maps)
        need_positions = split.positive_radius is not None
        references = settings.of(split.reference, length, filter_length, "reference", need_positions)
        queries = settings.of(split.query, length, filter_length, "query", need_positions)
        listed = None if split.positives is None else split.positives.of(queries.rows).among(references.rows)
        truth = GroundTruth(references.positions, queries.positions, listed, references.by_drive)
        return cls(dataset, split, references, queries, truth, device, adaptation, settings.protocol)

    @property
    def radius(self) -> float:
        """The split's positive radius; 0, and meaning nothing, where a table decides; below 0, within which nothing
        lies, where there is no ground truth."""
        if not self.split.has_truth:
            return -1.0
        return self.split.positive_radius or 0.0

    def in_dims(self, takes: FrameKind) -> int:
        """What an encoder of such frames is built for: D of descriptors; 0 of images, whose size is its own choice.

        Raises:
            UserError: a traverse has no descriptors, and they are wanted.
        """
        if takes == "images":
            return 0
        self.split.query.need_descriptors()
        return self.split.reference.dims

    def frames(self, encoder: SequenceEncoder) -> tuple[FrameSource, FrameSource]:
        """Reference and query frames as the encoder takes them, of one shape, so that both fit into one batch; to be
        learned from, so that images are kept to be asked for again.

        Raises:
            UserError: a traverse has no such frames, or images of the two become frames of different sizes.
        """
        sides = (self.split.reference, self.split.query)
        reference, query = (frames_of(side, encoder, self.device, keep_all=True) for side in sides)
        if reference.frame_shape != query.frame_shape:
            sizes = (" x ".join(map(str, frames.frame_shape)) for frames in (reference, query))
            raise UserError(
                f"frames of {self.split.reference.name} are {next(sizes)}, those of {self.split.query.name} "
                f"{next(sizes)}: give images of one size, or choose a method that resizes them"
            )
        return reference, query

    def has_positive(self) -> np.ndarray:
        """(M,) bool: queries with a correct reference; none has one where there is no ground truth."""
        if not self.split.has_truth:
            return np.zeros(len(self.query), bool)
        return self.truth.has_positive(self.radius)

    def need_positives(self) -> "Scene":
        """The scene itself, which is to be learned or chosen from.

        Raises:
            UserError: no query has a correct reference, or none is known.
        """
        name, split = self.dataset, self.split
        if not split.has_truth:
            raise UserError(
                f"split {split.name} of {name} has no ground truth, which this needs; give it positive_radius or "
                "positives (docs/datasets.md)"
            )
        if not self.has_positive().any():
            within = "in its table" if split.positive_radius is None else f"within {self.radius:g} {split.units}"
            raise UserError(f"no query of split {split.name} of {name} has a reference {within}; check the dataset")
        return self

    def positives(self) -> Positives:
        """The correct references of each query."""
        if not self.split.has_truth:
            return Positives.of_lists([[]] * len(self.query))
        if self.truth.listed is not None:
            return self.truth.listed
        return Positives.within(self.query.positions, self.reference.positions, self.radius)

    def reversed(self) -> "Scene":
        """The same scene for queries that were driven the other way: their windows are read backwards.

        Then centred windows are mirrored, too, to hold the places that they would hold had these been driven as the
        references. A trailing one cannot be, as nothing is known yet beyond it: the references' are instead.
        """
        reference, query = self.reference, replace(self.query, backwards=not self.query.backwards)
        if query.rule == "centred":
            return replace(self, query=query.mirrored())
        return replace(self, reference=reference.mirrored(), query=query)

    def with_length(self, length: int, argument: str = "length") -> "Scene":
        """The same frames with windows of another length, which ``argument`` asked for.

        Raises:
            UserError: a sequence is shorter.
        """
        reference, query = (side.with_length(length, argument) for side in (self.reference, self.query))
        return replace(self, reference=reference, query=query)


def encode_side(encoder: SequenceEncoder, side: Windows, device: torch.device, amp: bool) -> np.ndarray:
    """The windows of one side as sequence descriptors, (M, O) float32 unit rows on the CPU."""
    frames = frames_of(side.traverse, encoder, device)
    return encode(encoder, frames, side.starts, side.length, backwards=side.backwards, amp=amp).cpu().numpy()


def side_of(side: Windows, vectors: np.ndarray) -> EncodedSide:
    """Encoded windows (M, O) with what is known of them."""
    names, images = (
        values and tuple(values[row] for row in side.rows) for values in (side.traverse.names, side.traverse.images)
    )
    drives = tuple(part.traverse.name for part in side.parts for _ in range(len(part)))
    return EncodedSide(
        side.traverse.name, vectors, side.positions, names, images, drives if side.traverse.joined else None
    )
