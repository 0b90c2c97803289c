"""A trajectory as the TUM RGB-D benchmark has it, which evo and ROS tools read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.answer_files.base import AnswerFormat
from opticornet.evaluation.answer_sheet import AnswerSheet, SheetSide
from opticornet.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TumTrajectory(AnswerFormat):
    """tum: time x y z qx qy qz qw, the place of the first answer at each query's time, without orientation."""

    def check(self, query: SheetSide, reference: SheetSide) -> None:
        if query.drives is not None:
            raise UserError(
                f"`answers_format` tum is one trajectory, and {query.traverse} are several drives; write csv, or "
                "test a split of each"
            )
        if query.times is None:
            raise UserError(f"`answers_format` tum: frames of {query.traverse} have no times; write csv, or give times")
        if reference.units != "metres":
            raise UserError(
                f"`answers_format` tum holds metres, but places of {reference.traverse} are frame numbers; write csv"
            )

    def lines(self, sheet: AnswerSheet) -> Iterator[str]:
        assert sheet.query.times is not None
        yield "# time x y z qx qy qz qw: the place of the first answer; its orientation is not known"
        queries = np.flatnonzero(sheet.answered())
        places = sheet.reference.positions[sheet.references[queries, 0]]  # (A, P)
        for time, place in zip(sheet.query.times[queries].tolist(), places.tolist(), strict=True):
            x, y, z = (*place, 0.0)[:3]
            yield f"{time!r} {x!r} {y!r} {z!r} 0 0 0 1"
