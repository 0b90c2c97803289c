"""The splits that a test opens, cut into windows."""

import sys

from opticornet.datasets.adapting.adaptation import AdaptedMaps
from opticornet.datasets.catalogue import load_dataset
from opticornet.evaluation.answering.rerank import rerank_sides
from opticornet.evaluation.notes import notes
from opticornet.evaluation.scene import Scene, WindowSettings
from opticornet.options.modes import TestOptions
from opticornet.options.parsing import in_flags
from opticornet.steps.testing.adapting import adaptation_of
from opticornet.steps.testing.answer_file import check_answers
from opticornet.steps.testing.runs import Runs, frames_needed
from opticornet.utils.device import choose_device
from opticornet.utils.errors import UserError


def open_scenes(options: TestOptions, runs: Runs) -> dict[str, Scene]:
    """The splits, cut into windows.

    Raises:
        UserError: one cannot be opened, or holds less than the options ask for.
    """
    device = choose_device(options.device, options.nocuda)
    dataset = load_dataset(options.dataset, **options.source(), splits=options.splits)
    needs = frames_needed(options, runs)
    settings = WindowSettings(**options.windowing())
    adaptation = adaptation_of(options, needs, runs.method, runs.single)
    length, filter_length = options.sequence_length, options.filter_length
    scenes, maps = {}, AdaptedMaps()
    for name, split in dataset.splits.items():
        scene = Scene.of(dataset.name, split, length, filter_length, device, needs, settings, adaptation, maps)
        if options.direction == "reverse":
            scene = scene.reversed()
        check_sizes(options, scene)
        if options.stress:
            scene.need_positives()
        if options.answers:
            check_answers(options, scene)
        say_notes(scene, options.quiet)
        scenes[name] = scene
    return scenes


def check_sizes(options: TestOptions, scene: Scene) -> None:
    """Raise :class:`UserError` where candidates, windows or features are asked for that there are not."""
    reorders = bool(options.rerank or options.predictions_file)
    if reorders and "top_k" in options.given and options.top_k > len(scene.reference):
        raise UserError(f"`top_k` {options.top_k} is above the {len(scene.reference)} references; choose fewer")
    if options.rerank:
        compared = scene.with_length(options.rerank_window, "rerank_length")
        sides = (compared.reference, scene.reference), (compared.query, scene.query)
        if scene.protocol.has_windows and not all(one.holds_same(other) for one, other in sides):
            raise UserError(
                f"windows of `protocol` {options.protocol} and {options.sequence_length} frames are not those of "
                f"{options.rerank_window} around each frame, which `rerank` compares; give `sequence_length` and "
                "`rerank_length` 5, or leave out `protocol`"
            )
        options.part("rerank").check(*rerank_sides(scene))


def say_notes(scene: Scene, quiet: bool) -> None:
    """What to know of a scene, on standard error."""
    for note in () if quiet else notes(scene):
        print(f"note: {in_flags(note, TestOptions)}", file=sys.stderr)
