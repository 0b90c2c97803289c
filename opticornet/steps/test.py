"""Step: encode, retrieve, re-rank, score, save.

A query window is answered in one of two ways: by its sequence descriptor (``--pooling single|smooth|delta|seqnet|
dsdnet|...``: nearest-neighbour search), or by matching its frames (``--pooling single+seqmatch|s1+seqmatch``). The
first kind of answer may then be re-ordered by the second (``--rerank``): hierarchical place recognition; or by local
features of the windows' own frames (``--rerank local``).
"""

import sys
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path

import numpy as np

from opticornet.datasets.catalogue import load_dataset
from opticornet.evaluation.answers import (
    KS,
    Answer,
    Described,
    MatchSettings,
    SearchSettings,
    better,
    describe,
    indexed,
    match_frames,
    matched_frames,
    read_predictions,
    rerank_answer,
    rerank_sides,
    search_descriptors,
)
from opticornet.evaluation.notes import notes
from opticornet.evaluation.records import ResultRecord, save_result
from opticornet.evaluation.scene import Scene, WindowSettings, side_of
from opticornet.evaluation.scoring import (
    ScoreSettings,
    TestDescription,
    data_record,
    score,
)
from opticornet.evaluation.summary import summary
from opticornet.evaluation.validated import EncodedSide
from opticornet.inference.load import LoadedEncoder, frames_taken
from opticornet.options.modes import ReportOptions, TestOptions
from opticornet.options.parsing import in_flags
from opticornet.options.shared import DataOptions
from opticornet.steps.testing.record import method_record, plugins_of
from opticornet.steps.testing.runs import (
    Runs,
    check_descriptors,
    find_runs,
    frames_needed,
    load_searched,
    load_single_frames,
    resolve,
)
from opticornet.utils.device import choose_device, cpu_threads
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, writing
from opticornet.utils.options import flag_of


def test(options: TestOptions) -> ResultRecord | None:
    """Score a method on a split. Returns the result record; None with ``extract_only``.

    Raises:
        UserError: bad options, data or weights.
    """
    options, run = resolve(options)
    options = options.completed()
    check_test_options(options)
    if options.report:
        import opticornet.steps.report  # noqa: F401 - a missing library is reported before any work is done
    for folder in filter(None, (options.results_path, options.report)):
        with writing(folder):  # a folder that cannot be written is reported before any work is done
            Path(folder).mkdir(parents=True, exist_ok=True)
    runs = find_runs(options, run)
    with cpu_threads(options.threads):
        return answer_and_score(options, runs)


def answer_and_score(options: TestOptions, runs: Runs) -> ResultRecord | None:
    """Answer every query of the split, score the answers and save what was asked for; as :func:`test`, whose options
    are already checked, and whose runs are found."""
    scenes = directions(options, open_scene(options, runs))
    scene = scenes[0]
    single = None if runs.single is None else load_single_frames(options, scene, runs.single)
    searched = load_searched(options, scene, runs.method) if options.searches else None
    differences = check_descriptors(options, scene, runs, searched, single)
    shown: tuple[EncodedSide, ...] = ()
    if searched is not None:
        described = describe(scene, searched, amp=options.amp)
        if options.extract_only:
            extract_only(options, scene, described)
            return None
        if options.projector:
            shown = side_of(scene.reference, described.reference), side_of(scene.query, described.query)
        answers = search_answers(options, scenes, described)
        del described  # what follows needs its memory
        if options.rerank:
            answers = reranked(options, scenes, answers, single)
    else:
        answers = matched_answers(options, scenes, single)
    answer = reduce(better, answers)
    record, arrays = score(scene, answer, score_settings(options), description(options, scene, answer, differences))
    if not options.quiet and (left_out := [k for k in KS if k not in record.protocol.ks]):
        dropped = ", ".join(map(str, left_out))
        print(f"note: recall@{dropped} left out: there are only {len(scene.reference)} references", file=sys.stderr)
    print(summary(record))
    del answer  # before TensorBoard takes memory of its own
    return save(options, runs.method or (runs.single if not options.searches else None), record, arrays, shown)


def open_scene(options: TestOptions, runs: Runs) -> Scene:
    """The split, cut into windows.

    Raises:
        UserError: it cannot be opened, or holds less than the options ask for.
    """
    device = choose_device(options.device, options.nocuda)
    dataset = load_dataset(options.dataset, **options.source(), splits=(options.split,))
    split = dataset.splits[options.split]
    needs = frames_needed(options, runs)
    settings = WindowSettings(**options.windowing())
    scene = Scene.of(dataset.name, split, options.sequence_length, options.filter_length, device, needs, settings)
    check_sizes(options, scene)
    say_notes(scene, options.quiet)
    return scene


def say_notes(scene: Scene, quiet: bool) -> None:
    """What to know of a scene, on standard error."""
    for note in () if quiet else notes(scene):
        print(f"note: {in_flags(note, TestOptions)}", file=sys.stderr)


def directions(options: TestOptions, scene: Scene) -> list[Scene]:
    """The scene as the queries may have been driven: of several answers to a query the better one counts."""
    forward = [] if options.direction == "reverse" else [scene]
    return forward if options.direction == "forward" else [*forward, scene.reversed()]


def search_answers(options: TestOptions, scenes: list[Scene], described: Described) -> list[Answer]:
    """Answer each scene by search of sequence descriptors; ``described`` is the first one."""
    depth = max(max(KS), options.top_k if options.rerank else 0)
    settings = SearchSettings(options.index, options.nprobe or None, options.seed, depth)
    answers = []
    for number, scene in enumerate(scenes):
        if number:
            described = describe(scene, described.encoder, amp=options.amp, known=described)
        described = indexed(scene, described, settings)
        answers.append(
            search_descriptors(scene, described, settings, amp=options.amp, latency_queries=options.latency_queries)
        )
    return answers


def reranked(
    options: TestOptions, scenes: list[Scene], answers: list[Answer], single: LoadedEncoder | None
) -> list[Answer]:
    """Answers by search, their first candidates in another order."""
    reranker, settings = options.part("rerank"), match_settings(options)
    frames = None
    if options.matches_frames:
        frames = matched_frames(scenes[0], single, amp=options.amp)
    again = []
    rerank = partial(rerank_answer, amp=options.amp, latency_queries=options.latency_queries)
    for scene, answer in zip(scenes, answers, strict=True):
        again.append(rerank(scene, answer, reranker, options.top_k, settings, frames))
        frames = frames and replace(frames, seconds={})  # they were computed once
    return again


def matched_answers(options: TestOptions, scenes: list[Scene], single: LoadedEncoder | None) -> list[Answer]:
    """Answer each scene by matching frames: with all references, or with the candidates of a results file."""
    candidates = None
    if options.predictions_file:
        candidates = read_predictions(options.predictions_file, scenes[0], options.top_k)
    match = partial(match_frames, amp=options.amp, latency_queries=options.latency_queries)
    settings = match_settings(options)
    frames = matched_frames(scenes[0], single, amp=options.amp)
    answers = []
    for scene in scenes:
        answers.append(match(scene, frames, settings, candidates))
        frames = replace(frames, seconds={})  # they were computed once
    return answers


def match_settings(options: TestOptions) -> MatchSettings:
    """How the options match frames."""
    return MatchSettings(options.part("matcher"), options.match_memory_mib << 20)


def score_settings(options: TestOptions) -> ScoreSettings:
    """How the options count queries."""
    return ScoreSettings(options.no_positive, options.radii, options.bootstrap, options.seed, options.longest_window)


def description(
    options: TestOptions, scene: Scene, answer: Answer, differences: tuple[str, ...] = ()
) -> TestDescription:
    """What the record says of the options, and of ``differences`` in what made the frame descriptors."""
    takes = frames_taken(str(answer.weights.flags.get("pooling")) if answer.weights else options.pooling)
    data_options = {flag_of(f)[2:]: getattr(options, name) for name, f in DataOptions.flags().items()}
    data = data_record(scene, takes, data_options, differences)
    return TestDescription(
        data=data,
        method=method_record(options, answer, data),
        options=options.record(),
        plugins=plugins_of(options, answer),
        name=options.new_name(),
    )


def save(
    options: TestOptions,
    run: Path | None,
    record: ResultRecord,
    arrays: dict[str, np.ndarray],
    shown: tuple[EncodedSide, ...],
) -> ResultRecord:
    """Write what was asked for: record and arrays, TensorBoard events (to the run, else to the results), a report.

    Returns the record, which knows where its arrays are.
    """
    name = Path(record.predictions).stem
    folder = options.results_path or options.report
    if folder:
        path = save_result(record, arrays, Path(folder), name)
        name = path.stem
        record = replace(record, predictions=f"{name}.npz")
        print(f"record: {path}")
    if run is not None or options.results_path:
        from opticornet.reports.tensorboard import write_result

        events = run / "tests" / name if run is not None else Path(options.results_path) / name
        with writing(events):
            write_result(events, record, arrays, shown, options.projector)
    if options.report:
        from opticornet.steps.report import report

        report(ReportOptions.of(results=(str(path),), output=options.report, quiet=options.quiet))
    return record


def check_test_options(options: TestOptions) -> None:
    """Raise :class:`UserError` for options that make no sense together, before anything is read."""
    options.refuse_unused()
    options.check_names()
    if options.pooling == "single" and options.windows == "trailing" and options.sequence_length > 1:
        raise UserError(
            "`pooling` single describes the middle frame of a window, which is not the frame that a trailing one ends "
            "at; choose `sequence_length` 1"
        )
    if options.extract_only and not options.results_path:
        raise UserError("`extract_only` writes to `results_path`; give one")
    if options.direction == "both" and (options.extract_only or options.projector):
        argument = "extract_only" if options.extract_only else "projector"
        raise UserError(f"`{argument}` takes one descriptor per query; choose `direction` forward or reverse")
    for choice in options.parts():
        options.part(choice)  # its own options make sense together


def check_sizes(options: TestOptions, scene: Scene) -> None:
    """Raise :class:`UserError` where more candidates, longer windows or other features are asked for than there are."""
    if (options.rerank or options.predictions_file) and options.top_k > len(scene.reference):
        raise UserError(f"`top_k` {options.top_k} is above the {len(scene.reference)} references; choose fewer")
    if options.rerank:
        scene.with_length(options.rerank_window, "rerank_length")
        options.part("rerank").check(*rerank_sides(scene))


def extract_only(options: TestOptions, scene: Scene, described: Described) -> None:
    """Write ``dbDesc``, ``qDesc`` and ``gt`` (pairs of query and correct reference window) to ``--resultsPath``."""
    path = Path(options.results_path) / f"{options.new_name()}.npz"
    positives = scene.positives()
    pairs = np.stack([positives.queries, positives.rows], axis=1)  # (E, 2)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, dbDesc=described.reference, qDesc=described.query, gt=pairs)
    print(f"descriptors: {path}")
