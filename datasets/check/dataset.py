"""A whole dataset looked at: what the check step prints."""

from contextlib import suppress
from dataclasses import dataclass

from opticornet.datasets.catalogue import Source, SourceValue, load_dataset, split_names, struct_files
from opticornet.datasets.check.judge import Findings, contradictions, judge, judge_descriptors, judge_overlap
from opticornet.datasets.check.report import SplitReport, split_report
from opticornet.datasets.traverse import Split
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class CheckReport:
    """``errors`` make the dataset unusable or its numbers meaningless; ``warnings`` are worth knowing."""

    name: str
    splits: tuple[SplitReport, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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
    splits = _open_splits(name, source, findings)
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
    return CheckReport(name, tuple(reports), tuple(findings.errors), tuple(dict.fromkeys(findings.warnings)))


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
