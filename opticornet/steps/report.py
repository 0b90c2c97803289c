"""Step: from result records to a page and figures."""

import sys
from pathlib import Path

from opticornet.options.modes import ReportOptions
from opticornet.options.parsing import in_flags
from opticornet.reports import table
from opticornet.reports.matrix import SimilarityMatrix, similarity_matrix
from opticornet.reports.protocols import Protocol, group_by_protocol
from opticornet.reports.results import Result, read_results
from opticornet.reports.route import local_map, route
from opticornet.reports.scenes import Unavailable, reopen, vectors
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.files import write_text

with needs_extra("report"):
    from opticornet.reports import figures
    from opticornet.reports.page import render, scene_key
    from opticornet.reports.pictures import FramePictures, has_images, order_of_interest

PICTURE_BYTES = 3 << 20  # of thumbnails and strips in a page, all scenes together
MATRIX_PIXELS = 4_000_000  # of all matrices in a page together


def report(options: ReportOptions) -> Path:
    """Write ``index.html``, the comparison as CSV, Markdown and LaTeX, and every figure. Returns the page's path.

    Raises:
        UserError: no readable record, or the folder is not writable.
    """
    if options.matrix_side < 0:
        raise UserError(f"`matrix_side` {options.matrix_side}: must be 0 or more")
    results, notes = read_results(options.results, options.label)
    protocols = group_by_protocol(results)
    matrices, pictures, more = gather(results, options.matrix_side)
    notes += [f"{result.name}: {note}" for result in results for note in result.notes] + more
    ahead = [result.name for result in results if result.get("data", "adaptation", "looks_ahead")]
    notes += [f"{name}: queries were centred by their whole traverse, which looks ahead" for name in ahead]

    folder = Path(options.output)
    page = folder / "index.html"
    write_text(page, render(results, protocols, matrices, pictures, notes))
    write_text(folder / "table.csv", table.as_csv(results, protocols))
    write_text(folder / "table.md", table.as_markdown(results, protocols))
    write_text(folder / "table.tex", table.as_latex(results, protocols))
    count = write_figures(results, protocols, matrices, folder)
    for note in notes:
        print(f"note: {in_flags(note, ReportOptions)}", file=sys.stderr)
    if not options.quiet:
        size = page.stat().st_size / 2**20
        read = "1 result" if len(results) == 1 else f"{len(results)} results"
        print(f"report: {page} ({read}, {size:.1f} MiB); {count} figures and the table beside it")
    return page


def gather(
    results: list[Result], matrix_side: int
) -> tuple[list[SimilarityMatrix | str], dict[str, FramePictures], list[str]]:
    """What needs more than the records: a matrix per result (or why there is none), pictures by scene, and notes."""
    shown = [result for result in results if result.answers is not None]
    side = min(matrix_side, int((MATRIX_PIXELS / max(1, len(shown))) ** 0.5))
    matrices: list[SimilarityMatrix | str] = []
    pictures: dict[str, FramePictures] = {}
    for result in results:
        if result.answers is None:
            matrices.append("the record's arrays are missing")
            continue
        key, scene, reason = scene_key(result.answers), None, ""
        try:
            scene = reopen(result)
        except Unavailable as unavailable:
            reason = str(unavailable)
        try:
            if scene is None:
                raise Unavailable(reason)
            if not side:
                raise Unavailable("left out by --matrixSide 0")
            reference, query, what = vectors(result, scene)
            matrices.append(similarity_matrix(reference, query, side, what))
        except Unavailable as unavailable:
            matrices.append(str(unavailable))
        album = pictures.setdefault(key, FramePictures())
        album.budget += PICTURE_BYTES // len(shown)
        order = order_of_interest(result.answers)
        if has_images(result.answers.reference, result.answers.query):
            album.add_images(result.answers, result.length, order)
        elif scene is not None:
            sides = (("reference", scene.split.reference), ("query", scene.split.query))
            descriptors = {name: side.descriptors for name, side in sides if side.descriptors is not None}
            if len(descriptors) == len(sides):
                album.add_strips(descriptors, result.answers, result.length, order)
    notes = []
    for album in pictures.values():
        if album.missing:
            notes.append(f"{len(album.missing)} images cannot be read, {album.missing[0]} the first of them")
    return matrices, pictures, notes


def write_figures(
    results: list[Result], protocols: list[Protocol], matrices: list[SimilarityMatrix | str], folder: Path
) -> int:
    """Write every figure as PNG and SVG; how many."""
    drawn = 0
    with figures.paper_style():
        scored = [p for p in protocols if any(results[i].record["recall"] for i in p.results)]
        for name in ("recall_at_k", "precision_recall", "recall_radius", "recall_latency", "stress") if scored else ():
            figure = getattr(figures, name)(results, scored)
            if figure is not None:
                figures.save(figure, folder, name)
                drawn += 1
        for number, (result, matrix) in enumerate(zip(results, matrices, strict=True), 1):
            if result.answers is None:
                continue
            if len(local_map(result.answers).known):
                figures.save(figures.place_map(result, result.answers), folder, f"map_{number}")
                drawn += 1
            if result.answers.counted.any():
                strip = figures.strip(result, result.answers, route(result, result.answers))
                figures.save(strip, folder, f"route_{number}")
                drawn += 1
            if not isinstance(matrix, str):
                figures.save(figures.matrix(result, result.answers, matrix), folder, f"matrix_{number}")
                drawn += 1
    return drawn
