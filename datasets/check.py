"""What is in a dataset, and what is wrong with it: what the check step prints."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from opticornet.datasets.arrays import iterate_blocks
from opticornet.datasets.catalogue import Source, SourceValue, load_dataset, split_names, struct_files
from opticornet.datasets.seqnet.structs import read_struct
from opticornet.datasets.spacing import Steps
from opticornet.datasets.traverse import Split, Traverse
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix

_RADII_IN_NAME = re.compile(r"_d-(?P<radius>[\d.]+)_d2-(?P<positive>\d+(?:\.\d+)?)")
_SPLIT_IN_NAME = re.compile(r"_(train|val|test)_")


SAMPLED_IMAGES = 16  # of each traverse that are decoded


@dataclass(frozen=True)
class ImagesReport:
    """The images of a traverse.

    Attributes:
        source: the folder or table that names them.
        missing: paths that are no files.
        sizes: "width x height" of those decoded, :data:`SAMPLED_IMAGES` spread over the traverse, to how many have it.
        bad: path and fault of those that cannot be decoded.
    """

    source: str
    missing: tuple[str, ...]
    sizes: dict[str, int]
    bad: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TraverseReport:
    """One side of a split.

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


@dataclass(frozen=True)
class SplitReport:
    """One split. ``queries``: frames that are. ``without_positive``: those that have no correct reference; None where
    the split has no ground truth. ``same_data``: the reference and the query descriptors (without any: their images)
    are equal, every one."""

    name: str
    units: str
    positive_radius: float | None
    negative_radius: float | None
    reference: TraverseReport
    query: TraverseReport
    queries: int
    without_positive: int | None
    same_data: bool
    unequal_rows: tuple[int, int] | None


@dataclass(frozen=True)
class CheckReport:
    """``errors`` make the dataset unusable or its numbers meaningless; ``warnings`` are worth knowing."""

    name: str
    splits: tuple[SplitReport, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class _Findings:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_dataset(name: str, **source: SourceValue) -> CheckReport:
    """Open every file of a dataset and read every descriptor, in blocks; decode some of the images.

    A split that cannot be opened is an error in the report; the others are still looked at.

    Args:
        name, source: as :func:`opticornet.datasets.catalogue.load_dataset` takes them.

    Raises:
        UserError: the name is unknown, or the folder's ``dataset.toml`` is broken.
    """
    findings = _Findings()
    splits = _open_splits(name, source, findings)
    reports = []
    for split in splits.values():
        reports.append(_split_report(split))
        _judge(reports[-1], findings)
    if "train" in splits:
        for split in splits.values():
            _judge_overlap(splits["train"], split, findings)
    for path in struct_files(name, tuple(splits), Source.of(**source)):
        findings.warnings += _contradictions(path)
    return CheckReport(name, tuple(reports), tuple(findings.errors), tuple(dict.fromkeys(findings.warnings)))


def _open_splits(name: str, source: dict[str, SourceValue], findings: _Findings) -> dict[str, Split]:
    """The splits that open; those that do not are errors."""
    names = split_names(name, **source)
    with suppress(UserError):
        return load_dataset(name, **source, splits=names).splits
    splits: dict[str, Split] = {}
    for split_name in names:
        try:
            splits |= load_dataset(name, **source, splits=(split_name,)).splits
        except UserError as error:
            if str(error) not in findings.errors:
                findings.errors.append(str(error))
    return splits


def render(report: CheckReport) -> list[str]:
    """The report as lines of text."""
    lines = [f"dataset {report.name}"]
    for split in report.splits:
        radii = [
            f"{what} radius {radius:g} {split.units}"
            for what, radius in (("positive", split.positive_radius), ("negative", split.negative_radius))
            if radius is not None
        ]
        truth = "positives from a table" if split.without_positive is not None else "no ground truth"
        lines.append(f"  {split.name}: {', '.join(radii) or truth}")
        for side in (split.reference, split.query):
            lines += _side_lines(side, split.units)
        if split.without_positive is not None:
            lines.append(f"    queries without a positive: {split.without_positive} of {split.queries}")
        lines.append(f"    reference and query are the same data: {'yes' if split.same_data else 'no'}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    lines += [f"error: {error}" for error in report.errors]
    lines.append(f"errors: {len(report.errors)}, warnings: {len(report.warnings)}")
    return lines


def _side_lines(side: TraverseReport, units: str) -> list[str]:
    spacing = "none"
    if side.spacing:
        spacing = "median {1:.4g} (p5 {0:.4g}, p95 {2:.4g}) {units}".format(*side.spacing, units=units)
    lengths = _count(side.longest, "frame")
    if side.shortest < side.longest:
        lengths = f"{side.shortest} to {lengths}"
    what = "images only" if side.norms is None else f"{side.dims}-D {side.dtype}"
    lines = [f"    {side.role} {side.name}: {_count(side.frames, 'frame')}, {what}, {side.source}"]
    if side.norms is None:
        lines.append(f"      no descriptors: methods that take images work; for all others, {side.undescribed}")
    else:
        low, median, high = side.norms
        lines.append(
            f"      norms {low:.4g} to {high:.4g}, median {median:.4g}; "
            f"rows with NaN or infinity: {side.non_finite_rows}; all-zero rows: {side.zero_rows}"
        )
    if side.images is not None:
        images = side.images
        sizes = ", ".join(f"{size} ({count})" for size, count in images.sizes.items()) or "unknown"
        sampled = sum(images.sizes.values()) + len(images.bad)
        lines.append(
            f"      images: {len(images.missing)} missing; of {sampled} sampled {len(images.bad)} cannot be decoded, "
            f"sizes {sizes}"
        )
    lines += [
        f"      spacing {spacing}; duplicate positions: {side.duplicate_positions}",
        f"      sequences: {side.sequences}, of {lengths}",
        f"      scored: {side.scored} of {side.frames} frames; without a position: {side.without_position}; unusable: "
        f"{side.unusable}",
    ]
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _split_report(split: Split) -> SplitReport:
    return SplitReport(
        name=split.name,
        units=split.units,
        positive_radius=split.positive_radius,
        negative_radius=split.negative_radius,
        reference=_traverse_report("reference", split.reference, split),
        query=_traverse_report("query", split.query, split),
        queries=int(_takes_part(split.query, split).sum()),
        without_positive=_queries_without_positive(split),
        same_data=_same_data(split.reference, split.query),
        unequal_rows=split.unequal_rows,
    )


def _norms(descriptors: RowMatrix | None) -> np.ndarray:
    """(N,) lengths; (0,) without descriptors."""
    if descriptors is None:
        return np.empty(0)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate([np.linalg.norm(block, axis=1) for _, block in iterate_blocks(descriptors)])


def _images_report(traverse: Traverse) -> ImagesReport | None:
    """Which images of usable frames are there, and what some of them are."""
    if traverse.images is None:
        return None
    from opticornet.datasets.images.decoding import BadImageError, without_warnings
    from opticornet.datasets.images.frames import missing_images
    from opticornet.datasets.images.recordings import read_image

    images = [path for path, usable in zip(traverse.images, traverse.is_usable.tolist(), strict=True) if usable]
    missing = missing_images(images)
    gone = set(missing)
    there = [path for path in images if path not in gone]
    sizes: dict[str, int] = {}
    bad = []
    chosen = np.unique(np.linspace(0, len(there) - 1, min(len(there), SAMPLED_IMAGES)).astype(int)).tolist()
    with without_warnings():
        for path in (there[number] for number in chosen):
            try:
                height, width = read_image(Path(path)).shape[:2]
            except BadImageError as error:
                bad.append((path, str(error)))
                continue
            size = f"{width} x {height}"
            sizes[size] = sizes.get(size, 0) + 1
    return ImagesReport(traverse.images_source, tuple(missing), sizes, tuple(bad))


def _traverse_report(role: str, traverse: Traverse, split: Split) -> TraverseReport:
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
    )


def _queries_without_positive(split: Split) -> int | None:
    if not split.has_truth:
        return None
    if split.positives is not None:
        return int((split.positives.counts[split.query.is_scored] == 0).sum())
    return int((_nearest(split, split) > split.positive_radius).sum())


def _takes_part(traverse: Traverse, split: Split) -> np.ndarray:
    """(N,) bool: frames that are queries or places."""
    return traverse.is_scored & (True if split.positive_radius is None else traverse.placed)


def _nearest(places: Split, queries: Split) -> np.ndarray:
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


def _judge(split: SplitReport, findings: _Findings) -> None:
    for side in (split.reference, split.query):
        where = f"{split.name} {side.role} ({side.name})"
        row = f"first in row {side.first_bad_row} of the split"
        if side.non_finite_rows:
            findings.errors.append(f"{where}: NaN or infinity in {_count(side.non_finite_rows, 'descriptor')}, {row}")
        if side.zero_rows:
            findings.errors.append(f"{where}: {_count(side.zero_rows, 'descriptor')} all zero, {row}")
        if side.images is not None:
            _judge_images(where, side, side.images, findings)
        if side.norms and not all(0.99 <= norm <= 1.01 for norm in side.norms) and np.isfinite(side.norms[0]):
            low, _, high = side.norms
            findings.warnings.append(f"{where}: descriptors are not of unit length ({low:.4g} to {high:.4g})")
        if side.duplicate_positions > 0.05 * side.frames:
            repeats = _count(side.duplicate_positions, "frame")
            findings.warnings.append(f"{where}: {repeats} at the exact position of an earlier one")
        if side.spacing and split.positive_radius and side.spacing[1] > split.positive_radius:
            findings.warnings.append(
                f"{where}: frames are {side.spacing[1]:.4g} {split.units} apart (median), more than the positive "
                f"radius of {split.positive_radius:g}"
            )
        if side.jumps:
            findings.warnings.append(
                f"{where}: {_count(side.jumps, 'jump')} inside sequences, the largest {side.largest_jump} "
                f"{split.units}; windows reach over them unless max_step in dataset.toml, or a sequence column, ends "
                "sequences there"
            )
        if side.without_position and split.positive_radius is not None:
            frames = f"{side.without_position} of {_count(side.frames, 'frame')}"
            findings.warnings.append(f"{where}: {frames} without a position are neither queries nor places")
        if side.unusable:
            frames = f"{side.unusable} of {_count(side.frames, 'frame')}"
            findings.warnings.append(
                f"{where}: {frames} unusable; windows that hold one are left out unless `fill_frames` fills them"
            )
    if split.unequal_rows:
        found = " and ".join(map(str, split.unequal_rows))
        findings.warnings.append(
            f"{split.name}: rows are taken as places, but the drives have {found} frames, so that row i of one "
            f"need not be row i of the other; give positions, or, where it is, rows_are_places = true in "
            f"[splits.{split.name}]"
        )
    queries = split.queries
    if split.without_positive is None:
        findings.warnings.append(f"{split.name}: no ground truth: it can be answered, not scored or trained on")
    elif split.without_positive == queries:
        fault = f"{split.name}: no query has a positive; check positions, rows and radius"
        (findings.errors if split.name in ("train", "val") else findings.warnings).append(fault)
    elif split.without_positive:
        findings.warnings.append(f"{split.name}: {split.without_positive} of {queries} queries have no positive")
    if split.same_data:
        findings.errors.append(f"{split.name}: reference and query are the same data, so every query finds itself")
    if split.name == "train" and split.negative_radius is None:
        findings.warnings.append("train: no negative_radius, which training needs")


def _judge_images(where: str, side: TraverseReport, images: ImagesReport, findings: _Findings) -> None:
    """Images that cannot be used are errors where there is nothing else."""
    faults = findings.errors if side.norms is None else findings.warnings
    if images.missing:
        what = _count(len(images.missing), "image")
        faults.append(f"{where}: {what} missing, first {images.missing[0]}; correct the paths in {images.source}")
    if images.bad:
        path, reason = images.bad[0]
        faults.append(f"{where}: {_count(len(images.bad), 'image')} cannot be decoded, first {path}: {reason}")
    if len(images.sizes) > 1 and side.norms is None:
        findings.warnings.append(f"{where}: images of {len(images.sizes)} sizes, which some methods cannot take")


def _judge_overlap(train: Split, other: Split, findings: _Findings) -> None:
    """Frames of a split that lie at places it was trained on, where both come from the same files."""
    if other is train or other.positive_radius is None or train.reference.source != other.reference.source:
        return
    seen = int((_nearest(train, other) <= other.positive_radius).sum())
    if seen:
        findings.warnings.append(
            f"{other.name}: {seen} of {_takes_part(other.query, other).sum()} queries lie within the positive radius "
            "of a training frame"
        )


def _contradictions(path: Path) -> list[str]:
    """Where the name of a struct file says something else than the file."""
    struct, found = read_struct(path), []
    if match := _RADII_IN_NAME.search(path.name):
        pairs = (
            ("d-", float(match["radius"]), struct.radius),
            ("d2-", float(match["positive"]), struct.training_positive_radius),
        )
        for label, named, held in pairs:
            if held is not None and abs(named - held) > 1e-6:
                found.append(f"{path.name}: named {label}{named:g} but holds a radius of {held:g} {struct.units}")
    if (match := _SPLIT_IN_NAME.search(path.name)) and match[1] != struct.split:
        found.append(f"{path.name}: named {match[1]} but says it is the {struct.split} set")
    return found
