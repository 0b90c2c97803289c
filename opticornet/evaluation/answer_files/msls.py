"""Predictions as the evaluation of Mapillary Street-level Sequences (Warburg et al. 2020) reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from opticornet.datasets.labels import first_repeated
from opticornet.evaluation.answer_files.base import AnswerFormat, check_words
from opticornet.evaluation.answer_sheet import AnswerSheet, SheetSide
from opticornet.utils.errors import UserError

_IMAGES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, kw_only=True)
class MslsPredictions(AnswerFormat):
    """msls: a query's key and those of the references found, best first; also of queries without an answer, which
    that evaluation asks for."""

    def check(self, query: SheetSide, reference: SheetSide) -> None:
        for side in (query, reference):
            keys = [_key(name) for name in side.names]
            check_words("msls", side, keys)
            if (twice := first_repeated(keys)) is not None:
                raise UserError(f"`answers_format` msls: two frames of {side.traverse} have the key {twice}; write csv")

    def lines(self, sheet: AnswerSheet) -> Iterator[str]:
        if (sheet.references < 0).any():
            query = int(np.flatnonzero((sheet.references < 0).any(axis=1))[0])
            raise UserError(
                f"`answers_format` msls holds equally many answers to each query, but {sheet.query.names[query]} has "
                f"fewer than {sheet.references.shape[1]}; lower `answers_top_k`, or search exactly"
            )
        keys = [_key(name) for name in sheet.reference.names]
        for name, found in zip(sheet.query.names, sheet.references.tolist(), strict=True):
            yield " ".join([_key(name), *(keys[number] for number in found)])


def _key(name: str) -> str:
    """An image's key: its name without folder and ending."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _IMAGES else path.name
