"""What is wrong with the splits of a dataset, from their reports."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from opticornet.datasets.check.images import ImagesReport
from opticornet.datasets.check.report import SplitReport, TraverseReport, nearest, takes_part
from opticornet.datasets.descriptors.identity import Comparison, of_data
from opticornet.datasets.seqnet.structs import read_struct
from opticornet.datasets.traverse import Split, Traverse
from opticornet.utils.text import counted

_RADII_IN_NAME = re.compile(r"_d-(?P<radius>[\d.]+)_d2-(?P<positive>\d+(?:\.\d+)?)")
_SPLIT_IN_NAME = re.compile(r"_(train|val|test)_")


@dataclass
class Findings:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(split: SplitReport, findings: Findings) -> None:
    """Add what is wrong with a split."""
    for drive in split.drives:
        _judge_drive(split, drive, findings)
    _judge_truth(split, findings)
    for reference, query in split.same_data:
        which = "" if len(split.drives) == 2 else f" ({reference} and {query})"
        findings.errors.append(
            f"{split.name}: reference and query are the same data{which}, so every query finds itself"
        )
    if split.name == "train" and split.negative_radius is None:
        findings.warnings.append("train: no negative_radius, which training needs")


def _judge_drive(split: SplitReport, side: TraverseReport, findings: Findings) -> None:
    where = f"{split.name} {side.role} ({side.name})"
    row = f"first in row {side.first_bad_row} of the split"
    if side.non_finite_rows:
        findings.errors.append(f"{where}: NaN or infinity in {counted(side.non_finite_rows, 'descriptor')}, {row}")
    if side.zero_rows:
        findings.errors.append(f"{where}: {counted(side.zero_rows, 'descriptor')} all zero, {row}")
    if side.images is not None:
        _judge_images(where, side, side.images, findings)
    if side.norms and not all(0.99 <= norm <= 1.01 for norm in side.norms) and np.isfinite(side.norms[0]):
        low, _, high = side.norms
        findings.warnings.append(f"{where}: descriptors are not of unit length ({low:.4g} to {high:.4g})")
    if side.duplicate_positions > 0.05 * side.frames:
        repeats = counted(side.duplicate_positions, "frame")
        findings.warnings.append(f"{where}: {repeats} at the exact position of an earlier one")
    if side.spacing and split.positive_radius and side.spacing[1] > split.positive_radius:
        findings.warnings.append(
            f"{where}: frames are {side.spacing[1]:.4g} {split.units} apart (median), more than the positive "
            f"radius of {split.positive_radius:g}"
        )
    if side.jumps:
        findings.warnings.append(
            f"{where}: {counted(side.jumps, 'jump')} inside sequences, the largest {side.largest_jump} "
            f"{split.units}; windows reach over them unless max_step in dataset.toml, or a sequence column, ends "
            "sequences there"
        )
    if side.without_position and split.positive_radius is not None:
        frames = f"{side.without_position} of {counted(side.frames, 'frame')}"
        findings.warnings.append(f"{where}: {frames} without a position are neither queries nor places")
    if side.unusable:
        frames = f"{side.unusable} of {counted(side.frames, 'frame')}"
        findings.warnings.append(
            f"{where}: {frames} unusable; windows that hold one are left out unless `fill_frames` fills them"
        )


def _judge_truth(split: SplitReport, findings: Findings) -> None:
    if split.unequal_rows:
        found = " and ".join(str(frames) for _, frames in split.unequal_rows)
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


def _judge_images(where: str, side: TraverseReport, images: ImagesReport, findings: Findings) -> None:
    """Images that cannot be used are errors where there is nothing else."""
    faults = findings.errors if side.norms is None else findings.warnings
    if images.missing:
        what = counted(len(images.missing), "image")
        faults.append(f"{where}: {what} missing, first {images.missing[0]}; correct the paths in {images.source}")
    if images.bad:
        path, reason = images.bad[0]
        faults.append(f"{where}: {counted(len(images.bad), 'image')} cannot be decoded, first {path}: {reason}")
    if len(images.sizes) > 1 and side.norms is None:
        findings.warnings.append(f"{where}: images of {len(images.sizes)} sizes, which some methods cannot take")


def judge_overlap(train: Split, other: Split, findings: Findings) -> None:
    """Frames of a split that lie at places it was trained on, where both have a reference drive of the same files."""
    if other is train or other.positive_radius is None or not _share_places(train.reference, other.reference):
        return
    seen = int((nearest(train, other) <= other.positive_radius).sum())
    if seen:
        findings.warnings.append(
            f"{other.name}: {seen} of {takes_part(other.query, other).sum()} queries lie within the positive radius "
            "of a training frame"
        )


def _share_places(one: Traverse, other: Traverse) -> bool:
    """Whether two references have a drive of the same files, and so positions that can be compared: those of degrees
    are metres from the first drive."""
    sources, others = ([drive.source for drive in side.parts] for side in (one, other))
    return sources[0] == others[0] or (one.lat_lon is None and not set(sources).isdisjoint(others))


def judge_descriptors(split: Split, findings: Findings) -> None:
    """Frame descriptors of the drives of a split that were made differently."""
    for difference in Comparison.of(of_data(split)).differences:
        findings.errors.append(f"frame descriptors were made differently: {difference}; extract them alike")


def contradictions(path: Path) -> list[str]:
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
