"""Step: a public dataset, or one's own drives, to a dataset folder."""

import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opticornet.datasets.prepare import folders, msls, nordland, oxford, tolerance_table, utm_names
from opticornet.datasets.prepare.prepared import Prepared, write_prepared
from opticornet.options.flags import flag_of
from opticornet.options.modes import PrepareOptions
from opticornet.utils.errors import UserError
from opticornet.utils.program import program

# A source's keyword arguments are the fields of PrepareOptions it takes.
SOURCES: dict[str, Callable[..., Prepared]] = {
    "nordland": nordland.read,
    "oxford": oxford.read,
    "msls": msls.read,
    "folders": folders.read,
    "utm-names": utm_names.read,
    "vpr-bench": tolerance_table.read,
}
FOLDER_NAMES = {"reference", "query", "train_city", "val_city", "test_city"}


def prepare(options: PrepareOptions) -> Path:
    """Write the dataset folder ``options.output`` of the dataset at ``options.root``; images stay where they are.

    Finished work is skipped: where the folder holds just what would be written, nothing is.

    Returns:
        The folder. Its descriptors are still to be extracted; the command is printed.

    Raises:
        UserError: an option the source does not take, anything wrong with the files, or an output that exists and
            would change.
    """
    root, output = _folders(options)
    arguments = _arguments(options)
    source = SOURCES[options.source](root, **arguments)
    _check_splits(source)
    prepared, written = write_prepared(output, options.name or output.resolve().name, source, options.overwrite)
    for note in prepared.notes:
        print(note, file=sys.stderr)
    if not options.quiet:
        print(_summary(output, prepared, written))
    return output


def _folders(options: PrepareOptions) -> tuple[Path, Path]:
    for flag, value in (("--source", options.source), ("--root", options.root), ("--output", options.output)):
        if not value:
            raise UserError(f"{flag} is missing: prepare needs --source ({', '.join(SOURCES)}), --root and --output")
    root, output = Path(options.root), Path(options.output)
    if not root.is_dir():
        raise UserError(f"--root {root}: no such folder; give the one the dataset was unpacked to")
    if output.resolve().is_relative_to(root.resolve()):
        raise UserError(f"--output {output} lies in --root, which is left as it is; choose a folder elsewhere")
    return root, output


def _arguments(options: PrepareOptions) -> dict[str, Any]:
    """The source's arguments; what is at its default is left to the source, which may have one of its own."""
    taken = [
        p.name
        for p in inspect.signature(SOURCES[options.source]).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    flags = options.flags()
    common = {"source", "root", "output", "name", "overwrite", "quiet"}
    if foreign := sorted(options.given - common - set(taken)):
        raise UserError(
            f"{flag_of(flags[foreign[0]])} is not for --source {options.source}, which takes "
            f"{', '.join(flag_of(flags[name]) for name in taken)}"
        )
    arguments = {name: getattr(options, name) for name in taken if getattr(options, name) != flags[name].default}
    for name in FOLDER_NAMES & arguments.keys():
        arguments[name] = arguments[name].rstrip("/")  # as shells complete the name of a folder
        if "/" in arguments[name] or arguments[name] in ("", ".", ".."):
            raise UserError(
                f"{flag_of(flags[name])} {getattr(options, name)}: wanted the name of a folder, which names a traverse"
            )
    return arguments


def _check_splits(source: Prepared) -> None:
    for split in source.splits:
        if split.query == split.reference:
            raise UserError(f"--reference and --query are both {split.query}; give two different traverses")
        positive, negative = split.positive_radius, split.negative_radius
        if positive and negative and negative < positive:
            raise UserError(
                f"{split.name}: the negative radius {negative:g} lies below the positive radius {positive:g}; "
                "negatives lie beyond positives, give --negativeRadius"
            )


def _summary(output: Path, prepared: Prepared, written: bool) -> str:
    lines = [f"{output}: {'written' if written else 'finished already, nothing to do'}"]
    for traverse in prepared.traverses:
        runs = int(traverse.runs()[-1]) + 1
        lines.append(f"  {traverse.name}: {len(traverse)} frames in {runs} sequence{'s' if runs > 1 else ''}")
    lines += [
        f"  {split.name}: {len(split.query_rows)} queries of {split.query} in {len(split.reference_rows)} frames of "
        f"{split.reference}"
        for split in prepared.splits
    ]
    lines.append("next, with an image encoder of your choice:")
    lines.append(f"  {program()} --mode extract --dataset {shlex.quote(str(output))} --descType hog")
    return "\n".join(lines)
