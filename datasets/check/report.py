"""What is in the splits of a dataset."""

from dataclasses import dataclass

import numpy as np

from opticornet.datasets.check.images import ImagesReport, images_report
from opticornet.datasets.descriptors.arrays import iterate_blocks
from opticornet.datasets.spacing import Steps
from opticornet.datasets.traverse import Split, Traverse
from opticornet.datasets.windows import inside
from opticornet.utils.mapped import RowMatrix


@dataclass(frozen=True)
class TraverseReport:
    """One drive of a split.

    Attributes:
        role: "reference" or "query"; name, source, frames: of the traverse.
        dims, dtype: of the descriptors; None where there are none.
        undescribed: why there are no descriptors and what to do; empty where there are.
        images: of its images; None where it names none.
        norms: least, median and greatest length of the finite descriptors; None without.
        non_finite_rows, zero_rows: how many descriptors hold NaN or infinity; how many are all zero.
        first_bad_row: the first of either kind, None where all are sound.
        duplicate_positions: frames whose position an earlier frame has, exactly.
        spacing: 5th percentile, median and 95th percentile of the distance between neighbours in a sequence; None
            where no sequence has two frames.
        jumps, largest_jump: neighbours in a sequence that are far apart
            (:meth:`opticornet.datasets.spacing.Steps.jumps`), and the largest such step in words.
        scored, without_position, unusable: frames that are to be queries or places, that are nowhere, and that no
            window may hold. Numbers of descriptors above are of the others.
        sequences, shortest, longest: how many sequences, and frames in the shortest and the longest.
        window: frames of a window, L, that is asked for.
        without_window: names of the frames that lack a neighbour for a centred one, at the ends of their sequences.
    """

    role: str
    name: str
    source: str
    frames: int
    dims: int | None
    dtype: str | None
    undescribed: str
    images: ImagesReport | None
    norms: tuple[float, float, float] | None
    non_finite_rows: int
    zero_rows: int
    first_bad_row: int | None
    duplicate_positions: int
    spacing: tuple[float, float, float] | None
    jumps: int
    largest_jump: str
    scored: int
    without_position: int
    unusable: int
    sequences: int
    shortest: int
    longest: int
    window: int
    without_window: tuple[str, ...]


@dataclass(frozen=True)
class SplitReport:
    """One split. ``drives``: of the reference, then of the query. ``queries``: frames that are. ``without_positive``:
    those that have no correct reference; None where the split has no ground truth. ``same_data``: reference and query
    drives whose descriptors (without any: their images) are equal, every one."""

    name: str
    units: str
    positive_radius: float | None
    negative_radius: float | None
    drives: tuple[TraverseReport, ...]
    queries: int
    without_positive: int | None
    same_data: tuple[tuple[str, str], ...]
    unequal_rows: tuple[tuple[str, int], tuple[str, int]] | None


def split_report(split: Split, window: int) -> SplitReport:
    """What is in a split, whose windows are to hold ``window`` frames."""
    return SplitReport(
        name=split.name,
        units=split.units,
        positive_radius=split.positive_radius,
        negative_radius=split.negative_radius,
        drives=tuple(
            _traverse_report(role, drive, split, window)
            for role, side in (("reference", split.reference), ("query", split.query))
            for drive in side.parts
        ),
        queries=int(takes_part(split.query, split).sum()),
        without_positive=_queries_without_positive(split),
        same_data=tuple(
            (reference.name, query.name)
            for reference in split.reference.parts
            for query in split.query.parts
            if _same_data(reference, query)
        ),
        unequal_rows=split.unequal_rows,
    )


def _traverse_report(role: str, traverse: Traverse, split: Split, window: int) -> TraverseReport:
    descriptors = traverse.descriptors
    norms, usable = _norms(descriptors), traverse.is_usable
    norms = norms[usable[: len(norms)]]
    finite = np.isfinite(norms)
    bad = np.flatnonzero(usable)[: len(norms)][~finite | (norms == 0)]
    sound = norms[finite] if finite.any() else np.full(1, np.nan)
    bounds = traverse.bounds
    steps = Steps.of(traverse)
    jumps = steps.jumps(split.positive_radius or 0)
    spacing: tuple[float, float, float] | None = None
    if len(steps):
        low, middle, high = np.percentile(steps.per_frame, (5, 50, 95)).tolist()
        spacing = (low, middle, high)
    known = traverse.positions[traverse.placed]
    lengths = np.diff(np.unique(bounds, axis=0), axis=1)
    return TraverseReport(
        role=role,
        name=traverse.name,
        source=traverse.source,
        frames=len(traverse),
        dims=None if descriptors is None else traverse.dims,
        dtype=None if descriptors is None else str(descriptors.dtype),
        undescribed=traverse.undescribed,
        images=_images_report(traverse),
        norms=None if descriptors is None else (float(sound.min()), float(np.median(sound)), float(sound.max())),
        non_finite_rows=int((~finite).sum()),
        zero_rows=int((norms == 0).sum()),
        first_bad_row=int(bad[0]) if len(bad) else None,
        duplicate_positions=len(known) - len(np.unique(known, axis=0)),
        spacing=spacing,
        jumps=len(jumps),
        largest_jump=jumps.largest() if len(jumps) else "",
        scored=int(traverse.is_scored.sum()),
        without_position=len(traverse) - len(known),
        unusable=int((~usable).sum()),
        sequences=len(lengths),
        shortest=int(lengths.min()),
        longest=int(lengths.max()),
        window=window,
        without_window=tuple(
            traverse.names[row] if traverse.names else f"row {row}"
            for row in np.flatnonzero(~inside(traverse.bounds, window)).tolist()
        ),
    )


def _norms(descriptors: RowMatrix | None) -> np.ndarray:
    """(N,) lengths; (0,) without descriptors."""
    if descriptors is None:
        return np.empty(0)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate([np.linalg.norm(block, axis=1) for _, block in iterate_blocks(descriptors)])


def _images_report(traverse: Traverse) -> ImagesReport | None:
    """Of the images of usable frames."""
    if traverse.images is None:
        return None
    images = [path for path, usable in zip(traverse.images, traverse.is_usable.tolist(), strict=True) if usable]
    return images_report(traverse.images_source, images)


def _queries_without_positive(split: Split) -> int | None:
    if not split.has_truth:
        return None
    if split.positives is not None:
        return int((split.positives.counts[split.query.is_scored] == 0).sum())
    return int((nearest(split, split) > split.positive_radius).sum())


def takes_part(traverse: Traverse, split: Split) -> np.ndarray:
    """(N,) bool: frames that are queries or places."""
    return traverse.is_scored & (True if split.positive_radius is None else traverse.placed)


def nearest(places: Split, queries: Split) -> np.ndarray:
    """(Q,) distance of each query to the nearest place, of another split perhaps."""
    from scipy.spatial import cKDTree

    reference, query = (side.positions[side.placed & side.is_scored] for side in (places.reference, queries.query))
    return cKDTree(reference).query(query)[0]


def _same_data(reference: Traverse, query: Traverse) -> bool:
    if reference.descriptors is None or query.descriptors is None:
        return reference.images is not None and reference.images == query.images
    if (len(reference), reference.dims) != (len(query), query.dims):
        return False
    pairs = zip(iterate_blocks(reference.descriptors), iterate_blocks(query.descriptors), strict=True)
    return all(np.array_equal(one, other, equal_nan=True) for (_, one), (_, other) in pairs)
