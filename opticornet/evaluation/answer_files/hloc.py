"""Image pairs as hloc (Sarlin et al. 2019) reads them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.answer_files.base import AnswerFormat, check_words
from opticornet.evaluation.answer_sheet import AnswerSheet, SheetSide


@dataclass(frozen=True, kw_only=True)
class HlocPairs(AnswerFormat):
    """hloc: a query's image and a reference's per line, best first; queries without an answer have none.
    Where several drives of a side have images of one name, each is below a folder of its drive's name."""

    def check(self, query: SheetSide, reference: SheetSide) -> None:
        for side in (query, reference):
            check_words("hloc", side, side.image_names)

    def lines(self, sheet: AnswerSheet) -> Iterator[str]:
        queries, references = (side.image_names for side in (sheet.query, sheet.reference))
        for i in np.flatnonzero(sheet.answered()).tolist():
            for found in sheet.references[i].tolist():
                if found >= 0:
                    yield f"{queries[i]} {references[found]}"
