"""A whole dataset looked at: what the check step prints."""

from contextlib import suppress
from dataclasses import dataclass

from opticornet.datasets.catalogue import (
    BUILT_IN,
    Source,
    SourceValue,
    folder_entry,
    load_dataset,
    split_names,
    struct_files,
)
from opticornet.datasets.check.judge import Findings, contradictions, judge, judge_descriptors, judge_overlap
from opticornet.datasets.check.places import (
    PlaceCounts,
    PlacesReport,
    judge_places,
    judge_places_overlap,
    places_report,
)
from opticornet.datasets.check.report import SplitReport, split_report
from opticornet.datasets.places.opening import open_places
from opticornet.datasets.places.route import places_of_split
from opticornet.datasets.traverse import Split
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class CheckReport:
    """``errors`` make the dataset unusable or its numbers meaningless; ``warnings`` are worth knowing. ``route``: the
    places that image encoders learn from where there is no table of them, cut from the split ``train``."""

    name: str
    splits: tuple[SplitReport, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    places: tuple[PlacesReport, ...] = ()
    route: PlaceCounts | None = None


def check_dataset(name: str, window: int = 5, **source: SourceValue) -> CheckReport:
    """Open every file of a dataset and read every descriptor, in blocks; decode some of the images.

    A split that cannot be opened is an error in the report; the others are still looked at.

    Args:
        window: frames per window, for which frames may lack neighbours.
        name, source: as :func:`opticornet.datasets.catalogue.load_dataset` takes them.

    Raises:
        UserError: the name is unknown, or the folder's ``dataset.toml`` is broken.
    """
    findings = Findings()
    entry = None if name in BUILT_IN else folder_entry(name)
    splits = _open_splits(name, source, findings) if entry is None or entry.traverses else {}
    reports = []
    for split in splits.values():
        reports.append(split_report(split, window))
        judge(reports[-1], findings)
        judge_descriptors(split, findings)
    if "train" in splits:
        for split in splits.values():
            judge_overlap(splits["train"], split, findings)
    for path in struct_files(name, tuple(splits), Source.of(**source)):
        findings.warnings += contradictions(path)
    places = _places_reports(name, tuple(entry.places), splits, findings) if entry else ()
    warnings = tuple(dict.fromkeys(findings.warnings))
    route = None if entry and "train" in entry.places else _places_along(splits.get("train"))
    return CheckReport(name, tuple(reports), tuple(findings.errors), warnings, places, route)


def _places_along(split: Split | None) -> PlaceCounts | None:
    """Of the places that a split of images can be cut into; None where it cannot."""
    if split is None:
        return None
    with suppress(UserError):  # that it has no images, or no radii, is no fault of a dataset
        return PlaceCounts.of(split.name, places_of_split(split, f"cut from the split {split.name} by position"))
    return None


def _places_reports(
    dataset: str, names: tuple[str, ...], splits: dict[str, Split], findings: Findings
) -> tuple[PlacesReport, ...]:
    """Of the places that open; those that do not are errors."""
    reports = []
    for one in names:
        try:
            places = open_places(dataset, one)
        except UserError as error:
            findings.errors.append(str(error))
            continue
        reports.append(places_report(one, places))
        judge_places(reports[-1], findings)
        for split in splits.values():
            judge_places_overlap(one, places, split, findings)
    return tuple(reports)


def _open_splits(name: str, source: dict[str, SourceValue], findings: Findings) -> dict[str, Split]:
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
