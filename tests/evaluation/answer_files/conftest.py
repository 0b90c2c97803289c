"""A sheet of three queries and four references, made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.answer_sheet import AnswerSheet
from opticornet.matching.ranking import Ranking


def drive(name: str, count: int, **more) -> Traverse:
    """A drive in metres, 10 m between frames, one second apart, named a0.jpg, a1.jpg, ..."""
    bounds = np.tile([0, count], (count, 1))
    places = np.stack([10.0 * np.arange(count), np.zeros(count)], axis=1)
    made = Traverse(
        name,
        np.zeros((count, 2), np.float32),
        places,
        "metres",
        bounds,
        names=tuple(f"{name[0]}{i}.jpg" for i in range(count)),
        timestamps=100.0 + np.arange(count),
    )
    return replace(made, **more)


RANKING = Ranking(
    np.array([[2, 1, 0], [0, 3, 1], [3, -1, -1]]),
    np.array([[0.5, 0.75, 1.0], [0.25, 0.5, 1.5], [0.125, np.inf, np.inf]], np.float32),
)


@pytest.fixture
def sheet():
    """sheet(query={...}, reference={...}, ...): the answers, of traverses with such fields."""

    def make(query=None, reference=None, top_k=2, no_answer=None, length=1) -> AnswerSheet:
        sides = drive("map", 4, **(reference or {})), drive("query", 3, **(query or {}))
        return AnswerSheet.of(
            *(Windows.of(side, length, need_positions=False) for side in sides), RANKING, top_k, no_answer
        )

    return make
