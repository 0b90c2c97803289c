"""Step: encode, retrieve, re-rank, score, save.

A query window is answered in one of two ways: by its sequence descriptor (``--pooling single|smooth|delta|seqnet|
dsdnet|...``: nearest-neighbour search), or by matching its frames (``--pooling single+seqmatch|s1+seqmatch``). The
first kind of answer may then be re-ordered by the second (``--rerank``): hierarchical place recognition; or by local
features of the windows' own frames (``--rerank local``).
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.traverse import FrameKind
from opticornet.evaluation.answers import (
    KS,
    Answer,
    Described,
    MatchSettings,
    SearchSettings,
    describe,
    match_frames,
    read_predictions,
    rerank_answer,
    rerank_sides,
    search_descriptors,
)
from opticornet.evaluation.records import ResultRecord, save_result
from opticornet.evaluation.scene import Scene, side_of
from opticornet.evaluation.scoring import (
    ScoreSettings,
    TestDescription,
    data_record,
    score,
    summary,
)
from opticornet.evaluation.validated import EncodedSide
from opticornet.inference.load import LoadedEncoder, frames_taken, load_encoder
from opticornet.inference.runs import find_run, read_flags, run_name
from opticornet.matching.search import check_index
from opticornet.options.modes import ReportOptions, TestOptions
from opticornet.options.plugins import load_remembered
from opticornet.options.shared import DATA_FIELDS, DataOptions
from opticornet.steps.describe_test import method_record, plugins_of, rerank_length
from opticornet.utils.device import choose_device, cpu_threads
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, writing
from opticornet.utils.options import flag_of


@dataclass(frozen=True)
class Runs:
    """The runs that a test takes weights from.

    Attributes:
        method: of the sequence encoder; None where it has no weights or frames are matched.
        single: of the encoder that describes the single frames that are matched; None where raw frames or none are.
    """

    method: Path | None = None
    single: Path | None = None


def test(options: TestOptions) -> ResultRecord | None:
    """Score a method on a split. Returns the result record; None with ``extract_only``.

    Raises:
        UserError: bad options, data or weights.
    """
    options, run = resolve(options)
    options = options.completed()
    check_test_options(options)
    if options.report:
        import opticornet.steps.report  # noqa: F401 - now, so that a missing library is said before the work
    for folder in filter(None, (options.results_path, options.report)):
        with writing(folder):  # now, rather than when everything is computed
            Path(folder).mkdir(parents=True, exist_ok=True)
    runs = find_runs(options, run)
    with cpu_threads(options.threads):
        return answer_and_score(options, runs)


def answer_and_score(options: TestOptions, runs: Runs) -> ResultRecord | None:
    """Answer every query of the split, score the answers and save what was asked for; as :func:`test`, whose options
    are already checked, and whose runs are found."""
    device = choose_device(options.device, options.nocuda)
    dataset = load_dataset(options.dataset, **options.source(), splits=(options.split,))
    split = dataset.splits[options.split]
    needs = frames_needed(options, runs)
    scene = Scene.of(dataset.name, split, options.sequence_length, options.filter_length, device, needs)
    check_sizes(options, scene)
    single = None if runs.single is None else load_single_frames(scene, options, runs.single)
    shown: tuple[EncodedSide, ...] = ()
    amp, timed = options.amp, options.latency_queries
    if options.searches:
        described = describe(scene, load_method(scene, options, runs.method), amp=options.amp)
        if options.extract_only:
            extract_only(options, scene, described)
            return None
        answer = search_descriptors(scene, described, search_settings(options), amp=amp, latency_queries=timed)
        if options.projector:
            shown = side_of(scene.reference, described.reference), side_of(scene.query, described.query)
        del described  # what follows needs its memory
        if options.rerank:
            reranker, settings = options.part("rerank"), match_settings(options)
            answer = rerank_answer(
                scene, answer, reranker, options.top_k, settings, single, amp=amp, latency_queries=timed
            )
    else:
        candidates = None
        if options.predictions_file:
            candidates = read_predictions(options.predictions_file, scene, options.top_k)
        answer = match_frames(scene, match_settings(options), single, candidates, amp=amp, latency_queries=timed)
    record, arrays = score(scene, answer, score_settings(options), description(scene, options, answer))
    if not options.quiet and (left_out := [k for k in KS if k not in record.protocol.ks]):
        dropped = ", ".join(map(str, left_out))
        print(f"note: recall@{dropped} left out: there are only {len(scene.reference)} references", file=sys.stderr)
    print(summary(record))
    del answer  # before TensorBoard takes memory of its own
    return save(options, runs.method or (runs.single if not options.searches else None), record, arrays, shown)


def search_settings(options: TestOptions) -> SearchSettings:
    """How the options search descriptors."""
    depth = max(max(KS), options.top_k if options.rerank else 0)
    return SearchSettings(options.index, options.nprobe or None, options.seed, depth)


def match_settings(options: TestOptions) -> MatchSettings:
    """How the options match frames."""
    return MatchSettings(options.part("matcher"), options.reverse, options.match_memory_mib << 20)


def score_settings(options: TestOptions) -> ScoreSettings:
    """How the options count queries."""
    longest = max(options.sequence_length, rerank_length(options))
    return ScoreSettings(options.no_positive, options.radii, options.bootstrap, options.seed, longest)


def description(scene: Scene, options: TestOptions, answer: Answer) -> TestDescription:
    """What the record says of the options."""
    takes = frames_taken(str(answer.weights.flags.get("pooling")) if answer.weights else options.pooling)
    data_options = {flag_of(f)[2:]: getattr(options, name) for name, f in DataOptions.flags().items()}
    data = data_record(scene, takes, data_options)
    return TestDescription(
        data=data,
        method=method_record(options, answer, data),
        options=options.record(),
        plugins=plugins_of(options, answer),
        name=run_name(options.sequence_length, options.exp_name),
    )


def frames_needed(options: TestOptions, runs: Runs) -> frozenset[FrameKind]:
    """The kinds of frames that a test reads: those its method takes, and those that are matched to re-rank."""
    needed: set[FrameKind] = set()
    if options.searches or runs.single is None:
        needed.add(frames_taken(options.pooling))
    if options.compares == "raw frames":
        needed.add("descriptors")
    if runs.single is not None:
        needed.add(frames_taken(str(read_flags(runs.single, options.save_path).get("pooling"))))
    return frozenset(needed)


def load_method(scene: Scene, options: TestOptions, run: Path | None) -> LoadedEncoder:
    """The encoder that the options name, with the weights of ``run``.

    Raises:
        UserError: it does not fit the data, or its descriptors do not fit the index.
    """
    loaded = load_encoder(
        options.part("pooling"),
        options.pooling,
        scene.in_dims(frames_taken(options.pooling)),
        options.sequence_length,
        run=run,
        save_path=options.save_path,
        checkpoint=options.ckpt,
        dataset=options.dataset,
    )
    try:
        check_index(options.index, loaded.encoder.encoding_dims(options.sequence_length))
    except ValueError as error:
        raise UserError(f"`index` {options.index}: {error}") from error
    return loaded


def load_single_frames(scene: Scene, options: TestOptions, run: Path) -> LoadedEncoder:
    """The encoder of a run, for the single frames that are matched.

    Raises:
        UserError: the run has no such encoder, or one that does not fit the data.
    """
    single = replace(options, sequence_length=1, given=frozenset(), chosen={}, index="Flat")
    try:
        single = single.restored(read_flags(run, options.save_path), ("pooling",), str(run))
        return load_method(scene, single, run)
    except UserError as error:
        argument = "rerank_resume" if options.rerank else "resume"
        raise UserError(
            f"`{argument}` {run} cannot describe single frames ({error}); name a run trained with `sequence_length` 1 "
            "`w` 1"
        ) from error


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


def resolve(options: TestOptions) -> tuple[TestOptions, Path | None]:
    """Fill in what the resumed run decides; the run's folder, or None where no weights are wanted."""
    wants_weights = options.is_learned or options.pooling == "s1+seqmatch"
    if not options.resume:
        if wants_weights:
            raise UserError(
                f"`pooling` {options.pooling} has learned weights: name its run with `resume` RUN "
                "(`resume` alone takes the newest run)"
            )
        return options, None
    run = find_run(options.resume, options.runs_path, options.save_path)
    flags = read_flags(run, options.save_path)
    load_remembered(flags.get("plugins", {}), options.plugin, str(run))
    if not wants_weights:
        raise UserError(f"`pooling` {options.pooling} has no weights, so `resume` {run} contradicts it; leave one out")
    decided = ("pooling",) if options.pooling != "s1+seqmatch" else ()
    followed = DATA_FIELDS if options.pooling == "s1+seqmatch" else (*DATA_FIELDS, "sequence_length")
    return options.restored(flags, (*decided, *(name for name in followed if name not in options.given)), str(run)), run


def find_runs(options: TestOptions, run: Path | None) -> Runs:
    """The runs of the weights; ``run`` is that of ``resume``.

    Raises:
        UserError: there is no run to re-rank by, or one of its plugins is missing.
    """
    if not options.searches:
        return Runs(single=run)
    if options.compares != "described frames":
        return Runs(method=run)
    resume = options.part("rerank").rerank_resume
    if not resume:
        raise UserError(f"`rerank` {options.rerank} needs the run of a single-frame encoder: `rerank_resume` RUN")
    single = find_run(resume, options.runs_path, options.save_path, "rerank_resume")
    load_remembered(read_flags(single, options.save_path).get("plugins", {}), options.plugin, str(single))
    return Runs(run, single)


def check_test_options(options: TestOptions) -> None:
    """Raise :class:`UserError` for options that make no sense together, before anything is read."""
    options.refuse_unused()
    options.check_names()
    if options.extract_only and not options.results_path:
        raise UserError("`extract_only` writes to `results_path`; give one")
    for choice in options.parts():
        options.part(choice)  # its own options make sense together


def check_sizes(options: TestOptions, scene: Scene) -> None:
    """Raise :class:`UserError` where more candidates, longer windows or other features are asked for than there are."""
    if (options.rerank or options.predictions_file) and options.top_k > len(scene.reference):
        raise UserError(f"`top_k` {options.top_k} is above the {len(scene.reference)} references; choose fewer")
    if options.rerank:
        scene.with_length(rerank_length(options), "rerank_length")
        options.part("rerank").check(*rerank_sides(scene))


def extract_only(options: TestOptions, scene: Scene, described: Described) -> None:
    """Write ``dbDesc``, ``qDesc`` and ``gt`` (pairs of query and correct reference window) to ``--resultsPath``."""
    path = Path(options.results_path) / f"{run_name(options.sequence_length, options.exp_name)}.npz"
    queries, references = scene.positives().of(torch.arange(len(scene.query)))
    pairs = torch.stack([queries, references], dim=1).numpy()  # (E, 2)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, dbDesc=described.reference, qDesc=described.query, gt=pairs)
    print(f"descriptors: {path}")
