"""Step: encode, retrieve, re-rank, score, save.

A query window is answered in one of two ways: by its sequence descriptor (``--pooling single|smooth|delta|seqnet|
dsdnet|...``: nearest-neighbour search), or by matching its frames (``--pooling single+seqmatch|s1+seqmatch``). The
first kind of answer may then be re-ordered by the second (``--rerank``): hierarchical place recognition; or by local
features of the windows' own frames (``--rerank local``).
"""

import sys
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path

import numpy as np

from opticornet.datasets.catalogue import load_dataset, split_names
from opticornet.datasets.split_names import chosen_splits
from opticornet.evaluation.answers import (
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
from opticornet.evaluation.no_answer import NoAnswer, choose_threshold
from opticornet.evaluation.notes import notes
from opticornet.evaluation.records import ResultRecord, save_result
from opticornet.evaluation.scene import Scene, WindowSettings, side_of
from opticornet.evaluation.scoring import (
    ScoreSettings,
    TestDescription,
    data_record,
    score,
)
from opticornet.evaluation.summary import splits_table, summary
from opticornet.evaluation.validated import EncodedSide
from opticornet.inference.load import LoadedEncoder, frames_taken
from opticornet.options.modes import ReportOptions, TestOptions
from opticornet.options.parsing import in_flags
from opticornet.options.shared import DataOptions
from opticornet.steps.testing.answer_file import check_answers, write_answers
from opticornet.steps.testing.maps import SharedMaps
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
from opticornet.utils.device import baseline_memory_mib, choose_device, cpu_threads, peak_memory_mib
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, writing
from opticornet.utils.options import flag_of, recorded_value
from opticornet.utils.program import refuse_several_processes


def test(options: TestOptions) -> ResultRecord | None:
    """Score a method on a split, or on several. Returns the result record of the one split; None with ``extract_only``
    and for several (:func:`test_splits` returns theirs).

    Raises:
        UserError: bad options, data or weights.
    """
    records = test_splits(options)
    return next(iter(records.values())) if len(records) == 1 else None


def test_splits(options: TestOptions) -> dict[str, ResultRecord]:
    """Score a method on one split or several. Returns the result record of each; none with ``extract_only``.

    Raises:
        UserError: bad options, data or weights.
    """
    refuse_several_processes()
    options, run = resolve(options)
    options = options.completed()
    there = split_names(options.dataset, **options.source())
    options = replace(options, splits=chosen_splits(options.splits, there, f"dataset {options.dataset}"))
    check_test_options(options)
    if options.report:
        import opticornet.steps.report  # noqa: F401 - a missing library is reported before any work is done
    folders = [options.results_path, options.report, str(Path(options.answers).parent) if options.answers else ""]
    for folder in filter(None, folders):
        with writing(folder):  # a folder that cannot be written is reported before any work is done
            Path(folder).mkdir(parents=True, exist_ok=True)
    runs = find_runs(options, run)
    with cpu_threads(options.threads):
        records = answer_splits(options, runs)
    if len(records) > 1:
        print(splits_table(records))
    if options.report:
        write_report(options, records)
    return records


for _step in (test, test_splits):
    _step.__test__ = False  # type: ignore[attr-defined, union-attr]  # not a test, whatever pytest makes of its name


@dataclass(frozen=True)
class OfAllSplits:
    """What is done once for all splits of a test.

    Attributes:
        runs: of the weights.
        maps: references that are encoded already.
        no_answer: the threshold above which a query has no answer; None where every query is answered.
        baseline_mib: memory of the process before anything is encoded; None once a split was scored, whose memory would
            be taken for the method's.
    """

    runs: Runs
    maps: SharedMaps
    no_answer: NoAnswer | None
    baseline_mib: float | None


def answer_splits(options: TestOptions, runs: Runs) -> dict[str, ResultRecord]:
    """Answer every query of every split; as :func:`test_splits`, whose options are already checked, and whose runs are
    found."""
    scenes = open_scenes(options, runs)
    val = open_scenes(options.for_split("val"), runs)["val"].need_positives() if options.no_answer == "val" else None
    baseline = baseline_memory_mib()
    once = OfAllSplits(runs, SharedMaps(list(scenes.values())), when_no_answer(options, val, runs), baseline)
    records = {}
    for name, scene in scenes.items():
        if (record := answer_and_score(options.for_split(name), scene, once)) is not None:
            records[name] = record
        once = replace(once, baseline_mib=None)
    return records


def answer_and_score(options: TestOptions, scene: Scene, once: OfAllSplits) -> ResultRecord | None:
    """Answer every query of a split, score the answers and save what was asked for. None with ``extract_only``."""
    runs, options = once.runs, with_candidates(options, len(scene.reference))
    encoders = load_encoders(options, scene, runs)
    differences = check_descriptors(options, scene, runs, encoders.searched, encoders.single)
    if encoders.searched is not None and options.extract_only:
        extract_only(options, scene, once.maps.describe(scene, encoders.searched, options.amp))
        return None
    answer, shown = answer_queries(options, scene, encoders, once.maps)
    added = None if once.baseline_mib is None else peak_memory_mib() - once.baseline_mib
    test = description(options, scene, answer, differences)
    test = replace(test, baseline_memory_mib=once.baseline_mib, added_memory_mib=added)
    record, arrays = score(scene, answer, score_settings(options), test, once.no_answer)
    if not options.quiet and record.recall and (left_out := [k for k in options.ks if k not in record.protocol.ks]):
        dropped = ", ".join(map(str, left_out))
        print(f"note: recall@{dropped} left out: there are only {len(scene.reference)} references", file=sys.stderr)
    print(summary(record))
    if options.answers:
        write_answers(options, scene, answer, once.no_answer)
    del answer  # before TensorBoard takes memory of its own
    return save(options, runs.method or (runs.single if not options.searches else None), record, arrays, shown)


@dataclass(frozen=True)
class Encoders:
    """What describes windows and single frames; None where nothing does."""

    searched: LoadedEncoder | None
    single: LoadedEncoder | None


def load_encoders(options: TestOptions, scene: Scene, runs: Runs) -> Encoders:
    """The encoders that the method takes."""
    single = None if runs.single is None else load_single_frames(options, scene, runs.single)
    return Encoders(load_searched(options, scene, runs.method) if options.searches else None, single)


def answer_queries(
    options: TestOptions, scene: Scene, encoders: Encoders, maps: SharedMaps
) -> tuple[Answer, tuple[EncodedSide, ...]]:
    """Answer every query; with the answers, the descriptors that are shown in the projector."""
    scenes = [scene, scene.reversed()] if options.direction == "both" else [scene]
    if encoders.searched is None:
        return reduce(better, matched_answers(options, scenes, encoders.single)), ()
    shown: tuple[EncodedSide, ...] = ()
    described = maps.describe(scene, encoders.searched, options.amp)
    if options.projector:
        shown = side_of(scene.reference, described.reference), side_of(scene.query, described.query)
    answers = search_answers(options, scenes, described)
    del described  # what follows needs its memory
    return reduce(better, reranked(options, scenes, answers, encoders.single) if options.rerank else answers), shown


def when_no_answer(options: TestOptions, scene: Scene | None, runs: Runs) -> NoAnswer | None:
    """The threshold above which a query has no answer: given, or chosen on the val split ``scene``, which is answered
    as the tested one is; None where every query is answered.

    Raises:
        UserError: none of the thresholds is as wanted, or the val split's descriptors were made otherwise.
    """
    if scene is None:
        return NoAnswer(float(options.no_answer)) if options.no_answer else None
    options = with_candidates(options, len(scene.reference))
    encoders = load_encoders(options, scene, runs)
    check_descriptors(options, scene, runs, encoders.searched, encoders.single)
    untimed = replace(options, latency_queries=0, projector=0)
    ranking = answer_queries(untimed, scene, encoders, SharedMaps([scene]))[0].ranking
    correct = scene.truth.correct(ranking.indices[:, :1], scene.radius)[:, 0]
    try:
        return choose_threshold("val", ranking.distances[:, 0], correct, scene.has_positive(), options.answer_precision)
    except ValueError as error:
        raise UserError(f"`no_answer` val: {error}") from error


def open_scenes(options: TestOptions, runs: Runs) -> dict[str, Scene]:
    """The splits, cut into windows.

    Raises:
        UserError: one cannot be opened, or holds less than the options ask for.
    """
    device = choose_device(options.device, options.nocuda)
    dataset = load_dataset(options.dataset, **options.source(), splits=options.splits)
    needs = frames_needed(options, runs)
    settings = WindowSettings(**options.windowing())
    length, filter_length = options.sequence_length, options.filter_length
    scenes = {}
    for name, split in dataset.splits.items():
        scene = Scene.of(dataset.name, split, length, filter_length, device, needs, settings)
        if options.direction == "reverse":
            scene = scene.reversed()
        check_sizes(options, scene)
        if options.answers:
            check_answers(options, scene)
        say_notes(scene, options.quiet)
        scenes[name] = scene
    return scenes


def with_candidates(options: TestOptions, references: int) -> TestOptions:
    """The options with no more candidates than there are references, where the user did not say how many."""
    if "top_k" in options.given:
        return options
    return replace(options, top_k=min(options.top_k, references))


def say_notes(scene: Scene, quiet: bool) -> None:
    """What to know of a scene, on standard error."""
    for note in () if quiet else notes(scene):
        print(f"note: {in_flags(note, TestOptions)}", file=sys.stderr)


def search_answers(options: TestOptions, scenes: list[Scene], described: Described) -> list[Answer]:
    """Answer each scene by search of sequence descriptors; ``described`` is the first one."""
    depth = max(*options.ks, options.top_k if options.rerank else 0)
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
    return MatchSettings(options.part("matcher"), options.match_memory_mib << 20, max(options.ks))


def score_settings(options: TestOptions) -> ScoreSettings:
    """How the options count queries."""
    longest = options.longest_window
    return ScoreSettings(options.no_positive, options.radii, options.bootstrap, options.seed, longest, options.ks)


def description(
    options: TestOptions, scene: Scene, answer: Answer, differences: tuple[str, ...] = ()
) -> TestDescription:
    """What the record says of the options, and of ``differences`` in what made the frame descriptors."""
    takes = frames_taken(str(answer.weights.flags.get("pooling")) if answer.weights else options.pooling)
    data_options = {
        flag_of(f)[2:]: recorded_value(f, getattr(options, name)) for name, f in DataOptions.flags().items()
    }
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
    """Write what was asked for: record and arrays, TensorBoard events (to the run, else to the results).

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
    return record


def write_report(options: TestOptions, records: dict[str, ResultRecord]) -> None:
    """Write the report of all results."""
    from opticornet.steps.report import report

    folder = Path(options.results_path or options.report)
    paths = tuple(str((folder / record.predictions).with_suffix(".json")) for record in records.values())
    report(ReportOptions.of(results=paths, output=options.report, quiet=options.quiet))


def check_test_options(options: TestOptions) -> None:
    """Raise :class:`UserError` for options that make no sense together, before anything is read."""
    options.refuse_unused()
    options.check_names()
    for name, advice in (("predictions_file", ""), ("answers", "; put {split} into its name")):
        if (path := getattr(options, name)) and len(options.splits) > 1 and not (advice and "{split}" in path):
            raise UserError(f"`{name}` {path} is of one split; `splits` names {', '.join(options.splits)}{advice}")
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
    if options.no_answer == "val":
        check_choosing(options)


def check_choosing(options: TestOptions) -> None:
    """Raise :class:`UserError` where no threshold can be chosen on the val split."""
    if "val" in options.splits:
        others = " ".join(name for name in options.splits if name != "val") or "another one"
        raise UserError(
            f"`no_answer` val: the threshold would be chosen on the tested split val; test others: `splits` {others}"
        )
    if options.predictions_file:
        raise UserError(
            f"`no_answer` val: the candidates of {options.predictions_file} are of the tested split only; give the "
            "distance itself, as the record of the val split has it"
        )
    if "val" not in split_names(options.dataset, **options.source()):
        raise UserError(
            f"`no_answer` val: {options.dataset} has no val split to choose the threshold on; add one, or give the "
            "distance itself"
        )


def check_sizes(options: TestOptions, scene: Scene) -> None:
    """Raise :class:`UserError` where more candidates, longer windows or other features are asked for than there are."""
    reorders = bool(options.rerank or options.predictions_file)
    if reorders and "top_k" in options.given and options.top_k > len(scene.reference):
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
