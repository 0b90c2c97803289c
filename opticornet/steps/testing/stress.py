"""The table of recalls where the queries' drive is altered (``--stress``)."""

from dataclasses import replace
from functools import reduce

from opticornet.evaluation.answering.answer import Answer, better
from opticornet.evaluation.judged import Judged
from opticornet.evaluation.scene import Scene
from opticornet.evaluation.stress import AS_RECORDED, PACES, SINGLE_FRAME, altered
from opticornet.matching.search import EXACT
from opticornet.options.modes import TestOptions
from opticornet.steps.testing.answering import Encoders, answer_scenes, directions
from opticornet.steps.testing.record import score_settings
from opticornet.steps.testing.runs import load_searched


def stress_table(
    options: TestOptions, scene: Scene, encoders: Encoders, as_recorded: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Recall by K of every condition (``PACES``), by the test's own method; first that of single frames, nearest
    neighbours of each query's own frame descriptor, where the method takes descriptors.

    Args:
        as_recorded: the test's own recalls, which are those of the drive at the recorded pace.
    """
    others = [name for name in PACES if name != AS_RECORDED]
    ways = directions(options, scene)
    scenes = [altered(way, PACES[name], options.longest_window, options.seed) for way in ways for name in others]
    answers = answer_scenes(options, scenes, encoders)
    by_way = [answers[first : first + len(others)] for first in range(0, len(answers), len(others))]
    chosen = {name: reduce(better, of_ways) for name, *of_ways in zip(others, *by_way, strict=True)}
    table = {name: as_recorded if name == AS_RECORDED else recall(options, scene, chosen[name]) for name in PACES}
    if encoders.searched is None or encoders.searched.encoder.takes == "descriptors":
        table = {SINGLE_FRAME: recall(options, scene, answer_single_frames(options, scene))} | table
    return table


def answer_single_frames(options: TestOptions, scene: Scene) -> Answer:
    """Answer every query by exact search of its own frame's descriptor."""
    options = replace(
        options,
        pooling="single",
        sequence_length=1,
        rerank="",
        index=EXACT,
        map_paces=(),
        given=frozenset(),
        chosen={},
    )
    scene = scene.with_length(1)
    return answer_scenes(options, [scene], Encoders(load_searched(options, scene, None), None))[0]


def recall(options: TestOptions, scene: Scene, answer: Answer) -> dict[str, float]:
    """Recall by K, judged as the test's own answers are."""
    return Judged.of(scene, answer.ranking, answer.equal, score_settings(options)).recall
