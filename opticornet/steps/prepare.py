"""Step: from a public dataset, or one's own drives, to a dataset folder."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from opticornet.datasets.images.panorama import Cut
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.prepare.panoramas import cut_panoramas
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedPlaces, Source
from opticornet.datasets.prepare.sources import SOURCES
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.options.modes import PrepareOptions
from opticornet.options.parsing import in_flags
from opticornet.utils.errors import UserError
from opticornet.utils.program import program
from opticornet.utils.text import counted

FOLDER_NAMES = ("reference", "query", "train_city", "val_city", "test_city")


def prepare(options: PrepareOptions) -> Path:
    """Write the dataset folder ``options.output`` of the dataset at ``options.root``; images stay where they are.

    Finished work is skipped: nothing is written where the folder already holds the same.

    Returns:
        The folder. Its descriptors are still to be extracted; the command is printed.

    Raises:
        UserError: an option the source does not take, anything wrong with the files, or an output that exists and
            would change.
    """
    root, output = _folders(options)
    options.refuse_unused()
    found = _source(options).read(root)
    _check_splits(found)
    if options.cut and found.places:
        raise UserError(f"`cut` is for drives, and {options.source} gives places; leave it out")
    if options.cut:
        found = cut_panoramas(found, output, Cut(options.cut, options.view_field, options.view_pitch))
    prepared, written = write_prepared(output, options.name or output.resolve().name, found, options.overwrite)
    for note in prepared.notes:
        print(in_flags(note, PrepareOptions), file=sys.stderr)
    if not options.quiet:
        print(_summary(output, found, prepared, written))
    return output


def _folders(options: PrepareOptions) -> tuple[Path, Path]:
    for name in ("source", "root", "output"):
        if not getattr(options, name):
            raise UserError(f"`{name}` is missing: wanted `source` ({', '.join(SOURCES)}), `root` and `output`")
    root, output = Path(options.root), Path(options.output)
    if not root.is_dir():
        raise UserError(f"`root` {root}: no such folder; give the one the dataset was unpacked to")
    if output.resolve().is_relative_to(root.resolve()):
        raise UserError(f"`output` {output} lies in `root`, which is left as it is; choose a folder elsewhere")
    return root, output


def _source(options: PrepareOptions) -> Source:
    """The source and its options; folders as shells complete their names lose the slash at the end.

    Raises:
        UserError: what should name a folder, which names a traverse, is a path.
    """
    source = options.part("source")
    names = {}
    for name in (name for name in FOLDER_NAMES if name in options.given):
        given = getattr(source, name)
        folders = tuple(folder.rstrip("/") for folder in (given if isinstance(given, tuple) else (given,)))
        if wrong := [folder for folder in folders if "/" in folder or folder in ("", ".", "..")]:
            raise UserError(f"`{name}` {wrong[0]}: wanted the name of a folder, which names a traverse")
        names[name] = folders if isinstance(given, tuple) else folders[0]
    return replace(source, **names)


def _check_splits(source: Prepared) -> None:
    for split in source.splits:
        for argument, side in (("reference", split.reference), ("query", split.query)):
            if (twice := first_repeated(one.drive for one in side)) is not None:
                raise UserError(f"`{argument}` names {twice} twice; name each drive once")
        if (twice := first_repeated(one.drive for one in split.drives)) is not None:
            raise UserError(f"`reference` and `query` are both {twice}; give two different traverses")
        positive, negative = split.positive_radius, split.negative_radius
        if positive and negative and negative < positive:
            raise UserError(
                f"{split.name}: the negative radius {negative:g} lies below the positive radius {positive:g}; "
                "negatives lie beyond positives, give `negative_radius`"
            )


def _summary(output: Path, found: Prepared, prepared: Prepared, written: bool) -> str:
    """The drives as they were found, and the splits as they were written, of parts of drives where rows have gaps."""
    lines = [f"{output}: {'written' if written else 'finished already, nothing to do'}"]
    for traverse in found.traverses:
        runs = int(traverse.sequence_numbers()[-1]) + 1
        lines.append(f"  {traverse.name}: {len(traverse)} frames in {counted(runs, 'sequence')}")
        if traverse.placed:
            lines.append(f"    position: {traverse.placed}")
    lines += [
        f"  {split.name}: {_drives(split.query, 'queries')} in {_drives(split.reference, 'frames')}"
        for split in prepared.splits
    ]
    lines += [_places(places) for places in prepared.places]
    lines.append("next, with an image encoder of your choice:")
    start = f"  {program()} --mode {{}} --dataset {shlex.quote(str(output))} --descType {{}}"
    if prepared.places:
        lines.append(start.format("train", "efficientnet-lite0"))
    if prepared.traverses:
        lines.append(start.format("extract", "efficientnet-lite0"))
    return "\n".join(lines)


def _places(places: PreparedPlaces) -> str:
    """ "places train: 67 images of 15 places in 3 groups" """
    count, groups = (len(set(places.columns.get(name, ()))) for name in ("place", "group"))
    of_groups = f" in {counted(groups, 'group')}" if groups > 1 else ""
    return f"  places {places.name}: {counted(len(places), 'image')} of {counted(count, 'place')}{of_groups}"


def _drives(side: tuple[DriveRows, ...], what: str) -> str:
    """ "60 queries of day and night" """
    return f"{sum(len(one.rows) for one in side)} {what} of {' and '.join(one.drive for one in side)}"
