"""A table with a header: one line per query and rank."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

from opticornet.evaluation.answer_files.base import AnswerFormat
from opticornet.evaluation.answer_sheet import AnswerSheet, SheetSide


@dataclass(frozen=True, kw_only=True)
class CsvTable(AnswerFormat):
    """csv: every answer with names, times, places, distance, margin, confidence and "no answer"; with drives where
    there are several."""

    def lines(self, sheet: AnswerSheet) -> Iterator[str]:
        query_axes, query_places = sheet.query.places
        reference_axes, reference_places = sheet.reference.places
        asked_drives, found_drives = (_cells(side.drives, len(side.names)) for side in (sheet.query, sheet.reference))
        asked_head = [*_head("query", sheet.query), "query_time", *(f"query_{axis}" for axis in query_axes)]
        found_head = ["rank", *_head("reference", sheet.reference), "reference_time"]
        found_head += [f"reference_{axis}" for axis in reference_axes]
        yield _row([*asked_head, *found_head, "distance", "margin", "confidence", "no_answer"])
        query_times, reference_times = sheet.query.times, sheet.reference.times
        for i, name in enumerate(sheet.query.names):
            time = "" if query_times is None else _number(query_times[i])
            asked = [name, *asked_drives[i], time, *map(_number, query_places[i])]
            refused = "" if sheet.refused is None else int(sheet.refused[i])
            confidence = "" if sheet.confidence is None else f"{sheet.confidence[i]:.4f}"
            for rank, found in enumerate(sheet.references[i].tolist()):
                if found < 0:
                    if rank == 0:  # a query without any answer has a line all the same
                        yield _row([*asked, *[""] * len(found_head), "", "", confidence, refused])
                    break
                when = "" if reference_times is None else _number(reference_times[found])
                where = map(_number, reference_places[found])
                sure = [_number(sheet.margin[i], 6), confidence] if rank == 0 else ["", ""]
                distance = _number(sheet.distances[i, rank], 6)
                answer = [rank + 1, sheet.reference.names[found], *found_drives[found], when, *where]
                yield _row([*asked, *answer, distance, *sure, refused])


def _head(role: str, side: SheetSide) -> list[str]:
    """The columns that say which frame it is."""
    return [role] if side.drives is None else [role, f"{role}_drive"]


def _cells(drives: tuple[str, ...] | None, count: int) -> list[list[str]]:
    """The cells of each frame's drive: none where there is one drive."""
    return [[]] * count if drives is None else [[drive] for drive in drives]


def _number(value: float, digits: int = 17) -> str:
    """A number with as many digits as it has, at most so many; empty where it is not known."""
    value = float(value)
    if not math.isfinite(value):
        return ""
    return repr(value) if digits == 17 else f"{value:.{digits}g}"


def _row(cells: list) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
