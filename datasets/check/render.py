"""The report of a check as text."""

from opticornet.datasets.check.dataset import CheckReport
from opticornet.datasets.check.images import ImagesReport
from opticornet.datasets.check.places import WANTED_IMAGES, PlaceCounts, PlacesReport
from opticornet.datasets.check.report import TraverseReport
from opticornet.utils.text import counted

NAMED = 4  # frames that lack a window


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
        for drive in split.drives:
            lines += _drive_lines(drive, split.units)
        if split.without_positive is not None:
            lines.append(f"    queries without a positive: {split.without_positive} of {split.queries}")
        lines.append(f"    reference and query are the same data: {'yes' if split.same_data else 'no'}")
    for places in report.places:
        lines += _places_lines(places)
    if report.route is not None:
        lines += _counts_lines(report.route)
    lines += [f"warning: {warning}" for warning in report.warnings]
    lines += [f"error: {error}" for error in report.errors]
    lines.append(f"errors: {len(report.errors)}, warnings: {len(report.warnings)}")
    return lines


def _drive_lines(drive: TraverseReport, units: str) -> list[str]:
    spacing = "none"
    if drive.spacing:
        spacing = "median {1:.4g} (p5 {0:.4g}, p95 {2:.4g}) {units}".format(*drive.spacing, units=units)
    lengths = counted(drive.longest, "frame")
    if drive.shortest < drive.longest:
        lengths = f"{drive.shortest} to {lengths}"
    what = "images only" if drive.norms is None else f"{drive.dims}-D {drive.dtype}"
    lines = [f"    {drive.role} {drive.name}: {counted(drive.frames, 'frame')}, {what}, {drive.source}"]
    if drive.norms is None:
        lines.append(f"      no descriptors: methods that take images work; for all others, {drive.undescribed}")
    else:
        low, median, high = drive.norms
        lines.append(
            f"      norms {low:.4g} to {high:.4g}, median {median:.4g}; "
            f"rows with NaN or infinity: {drive.non_finite_rows}; all-zero rows: {drive.zero_rows}"
        )
    if drive.images is not None:
        lines.append(f"      {_images_line(drive.images)}")
    lines += [
        f"      spacing {spacing}; duplicate positions: {drive.duplicate_positions}",
        f"      sequences: {drive.sequences}, of {lengths}",
        f"      {_without_window(drive)}",
        f"      scored: {drive.scored} of {drive.frames} frames; without a position: {drive.without_position}; "
        f"unusable: {drive.unusable}",
    ]
    return lines


def _places_lines(places: PlacesReport) -> list[str]:
    copies = len(places.copies) + len(places.shared)
    return [
        *_counts_lines(places.size),
        f"    {_images_line(places.images)}",
        f"    copies among {places.compared} images compared: {copies}, {len(places.shared)} of them of two places",
    ]


def _counts_lines(places: PlaceCounts) -> list[str]:
    low, middle, high = places.per_place
    few = f"places of fewer than {WANTED_IMAGES}: {places.too_few}"
    return [
        f"  places {places.name}: {counted(places.count, 'image')} of {counted(places.places, 'place')} in "
        f"{counted(places.groups, 'group')}, {places.source}",
        f"    images per place {low} to {high}, median {middle:g}; {few}",
    ]


def _images_line(images: ImagesReport) -> str:
    sizes = ", ".join(f"{size} ({count})" for size, count in images.sizes.items()) or "unknown"
    sampled = sum(images.sizes.values()) + len(images.bad)
    decoded = f"of {sampled} sampled {len(images.bad)} cannot be decoded, sizes {sizes}"
    return f"images: {len(images.missing)} missing; {decoded}"


def _without_window(drive: TraverseReport) -> str:
    """How many frames lack a neighbour for a window, and which."""
    lacking = drive.without_window
    named = f": {', '.join(lacking[:NAMED])}{', ...' if len(lacking) > NAMED else ''}" if lacking else ""
    return f"without a whole window of {drive.window}: {counted(len(lacking), 'frame')}{named}"
