"""Step: encode, retrieve, re-rank, score, save.

A query window is answered in one of two ways: by its sequence descriptor (``--pooling single|smooth|delta|seqnet|
dsdnet|...``: nearest-neighbour search), or by matching its frames (``--pooling single+seqmatch|s1+seqmatch``). The
first kind of answer may then be re-ordered by the second (``--rerank``): hierarchical place recognition; or by local
features of the windows' own frames (``--rerank local``).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from opticornet.datasets.catalogue import load_dataset
from opticornet.evaluation.answers import (
    Described,
    describe,
    frames_needed,
    load_single_frames,
    local_features_of,
    make_matcher,
    match_frames,
    read_predictions,
    rerank_answer,
    rerank_locally,
    search_descriptors,
)
from opticornet.evaluation.records import ResultRecord, save_result
from opticornet.evaluation.scene import Scene, side_of
from opticornet.evaluation.scoring import score, summary
from opticornet.evaluation.validated import EncodedSide
from opticornet.inference.runs import find_run, read_flags, run_name
from opticornet.options.modes import ReportOptions, TestOptions
from opticornet.options.plugins import load_remembered
from opticornet.options.shared import DATA_FIELDS, MATCHED
from opticornet.utils.device import choose_device, cpu_threads
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, writing


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
    single_run = find_single_run(options, run)
    with cpu_threads(options.threads):
        return answer_and_score(options, run, single_run)


def answer_and_score(options: TestOptions, run: Path | None, single_run: Path | None) -> ResultRecord | None:
    """Answer every query of the split, score the answers and save what was asked for; as :func:`test`, whose options
    are already checked, and whose runs are found."""
    device = choose_device(options.device, options.nocuda)
    dataset = load_dataset(options.dataset, **options.source(), splits=(options.split,))
    split = dataset.splits[options.split]
    needs = frames_needed(options, single_run)
    scene = Scene.of(dataset.name, split, options.sequence_length, options.filter_length, device, needs)
    check_sizes(options, scene)
    single = None if single_run is None else load_single_frames(scene, options, single_run)
    shown: tuple[EncodedSide, ...] = ()
    if options.pooling in MATCHED:
        candidates = read_predictions(options, scene) if options.predictions_file else None
        answer = match_frames(scene, options, single, candidates)
    else:
        described = describe(scene, options, run)
        if options.extract_only:
            extract_only(options, scene, described)
            return None
        answer = search_descriptors(scene, options, described)
        if options.projector:
            shown = side_of(scene.reference, described.reference), side_of(scene.query, described.query)
        del described  # what follows needs its memory
        if options.rerank == "local":
            answer = rerank_locally(scene, options, answer)
        elif options.rerank:
            answer = rerank_answer(scene, options, answer, single)
    record, arrays = score(scene, options, answer)
    print(summary(record))
    del answer  # before TensorBoard takes memory of its own
    return save(options, run, record, arrays, shown)


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
                f"--pooling {options.pooling} has learned weights: name its run with --resume RUN "
                "(--resume alone takes the newest run)"
            )
        return options, None
    run = find_run(options.resume, options.runs_path, options.save_path)
    flags = read_flags(run, options.save_path)
    load_remembered(flags.get("plugins", {}), options.plugin, str(run))
    if not wants_weights:
        raise UserError(f"--pooling {options.pooling} has no weights, so --resume {run} contradicts it; leave one out")
    decided = ("pooling",) if options.pooling != "s1+seqmatch" else ()
    followed = DATA_FIELDS if options.pooling == "s1+seqmatch" else (*DATA_FIELDS, "sequence_length")
    return options.restored(flags, (*decided, *(name for name in followed if name not in options.given)), str(run)), run


def find_single_run(options: TestOptions, run: Path | None) -> Path | None:
    """The run whose encoder describes the single frames that are matched: ``run`` where they are the answer, that of
    ``rerank_resume`` where they re-order one; None where raw frames or none are matched.

    Raises:
        UserError: there is no such run, or one of its plugins is missing.
    """
    if options.pooling == "s1+seqmatch":
        return run
    if options.rerank != "s1+seqmatch":
        return None
    run = find_run(options.rerank_resume, options.runs_path, options.save_path, "rerank_resume")
    load_remembered(read_flags(run, options.save_path).get("plugins", {}), options.plugin, str(run))
    return run


def check_test_options(options: TestOptions) -> None:
    """Raise :class:`UserError` for options that make no sense together, before anything is read."""
    options.refuse_unused()
    options.check_names()
    unused: dict[str, str] = {}
    if options.pooling not in MATCHED and options.rerank not in MATCHED:
        unused |= dict.fromkeys(("matcher", "reverse", "velocities", "contrast_window"), "no frames are matched")
    if not options.rerank:
        unused |= dict.fromkeys(("rerank_resume", "rerank_length"), "nothing is re-ranked; `rerank` does")
        if not options.predictions_file:
            unused["top_k"] = "nothing is re-ranked; `rerank` does"
    elif options.rerank != "s1+seqmatch":
        unused["rerank_resume"] = f"`rerank` {options.rerank} loads no encoder, s1+seqmatch does"
    for name in sorted(unused.keys() & options.given):
        raise UserError(f"`{name}` changes nothing here: {unused[name]}")
    if options.extract_only and options.pooling in MATCHED:
        raise UserError(f"--extractOnly writes sequence descriptors; {options.pooling} has none")
    if options.extract_only and not options.results_path:
        raise UserError("--extractOnly writes to --resultsPath; give one")
    if options.projector and options.pooling in MATCHED:
        raise UserError(f"--projector shows sequence descriptors; {options.pooling} has none")
    if options.predictions_file and options.pooling not in MATCHED:
        raise UserError(f"--predictionsFile is re-ordered by --pooling {' or '.join(MATCHED)}, not {options.pooling}")
    if options.rerank and options.pooling in MATCHED:
        raise UserError(f"--rerank re-orders what a descriptor found; {options.pooling} already matches frames")
    if options.rerank == "local" and options.rerank_length:
        raise UserError("--rerank local compares single frames: leave out --rerankSeqL")
    if options.rerank == "s1+seqmatch" and not options.rerank_resume:
        raise UserError("--rerank s1+seqmatch needs the run of a single-frame encoder: --rerankResume RUN")
    for name in ("top_k", "match_memory_mib"):
        if getattr(options, name) < 1:
            raise UserError(f"{options.flags()[name].metadata['flag']} {getattr(options, name)}: must be at least 1")
    if len(options.velocities) != 3:
        raise UserError("--velocities: wanted three numbers, e.g. 0.8 1.2 0.1: slowest, fastest, step")
    if options.pooling in MATCHED or options.rerank in MATCHED:
        make_matcher(options)
    if not options.radii or min(options.radii) < 0:
        raise UserError("--radii: wanted radii of 0 or more")


def check_sizes(options: TestOptions, scene: Scene) -> None:
    """Raise :class:`UserError` where more candidates, longer windows or other local features are asked for than there
    are."""
    reranks = options.rerank or options.predictions_file
    if reranks and options.top_k > len(scene.reference):
        raise UserError(f"--topK {options.top_k} is above the {len(scene.reference)} references; choose fewer")
    if options.rerank_length:
        scene.with_length(options.rerank_length, "--rerankSeqL")
    if options.rerank == "local":
        local_features_of(scene)


def extract_only(options: TestOptions, scene: Scene, described: Described) -> None:
    """Write ``dbDesc``, ``qDesc`` and ``gt`` (pairs of query and correct reference window) to ``--resultsPath``."""
    path = Path(options.results_path) / f"{run_name(options.sequence_length, options.exp_name)}.npz"
    queries, references = scene.positives().of(torch.arange(len(scene.query)))
    pairs = torch.stack([queries, references], dim=1).numpy()  # (E, 2)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, dbDesc=described.reference, qDesc=described.query, gt=pairs)
    print(f"descriptors: {path}")
