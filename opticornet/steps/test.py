"""Step: encode, retrieve, re-rank, score, save.

A query window is answered in one of two ways: by its sequence descriptor (``--pooling single|smooth|delta|seqnet|
dsdnet|...``: nearest-neighbour search), or by matching its frames (``--pooling single+seqmatch|s1+seqmatch``). The
first kind of answer may then be re-ordered by the second (``--rerank``): hierarchical place recognition; or by local
features of the windows' own frames (``--rerank local``).
"""

import sys
from dataclasses import dataclass, replace

from opticornet.datasets.catalogue import split_names
from opticornet.datasets.split_names import chosen_splits
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.evaluation.records import RerankWeightRecord, ResultRecord
from opticornet.evaluation.scene import Scene
from opticornet.evaluation.scoring import score
from opticornet.evaluation.summary import splits_table, summary
from opticornet.options.modes import TestOptions
from opticornet.steps.testing.adapting import warn_of_differences
from opticornet.steps.testing.answer_file import write_answers
from opticornet.steps.testing.answering import answer_queries, load_encoders, with_candidates
from opticornet.steps.testing.check import check_test_options
from opticornet.steps.testing.choosing import ChoosingSplit
from opticornet.steps.testing.maps import SharedMaps
from opticornet.steps.testing.record import description, score_settings
from opticornet.steps.testing.rerank_weight import chooses_weight, rerank_weight, weight_for, weighted
from opticornet.steps.testing.runs import Runs, check_descriptors, find_runs, resolve
from opticornet.steps.testing.saving import extract_only, make_folders, save, write_report
from opticornet.steps.testing.scenes import open_scenes
from opticornet.steps.testing.stress import stress_table
from opticornet.steps.testing.threshold import when_no_answer
from opticornet.utils.device import baseline_memory_mib, cpu_threads, peak_memory_mib
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
    make_folders(options)
    options, runs = find_runs(options, run)
    warn_of_differences(options, runs.method, runs.single)
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
        weight: of the searched distance in a re-ranked one; None where it takes no part.
        no_answer: the threshold above which a query has no answer; None where every query is answered.
        baseline_mib: memory of the process before anything is encoded; None once a split was scored, whose memory would
            be taken for the method's.
    """

    runs: Runs
    maps: SharedMaps
    weight: RerankWeightRecord | None
    no_answer: NoAnswer | None
    baseline_mib: float | None


def answer_splits(options: TestOptions, runs: Runs) -> dict[str, ResultRecord]:
    """Answer every query of every split; as :func:`test_splits`, whose options are already checked, and whose runs are
    found."""
    scenes = open_scenes(options, runs)
    baseline = baseline_memory_mib()
    val = ChoosingSplit("val", options, runs, answers=chooses_weight(options) + (options.no_answer == "val"))
    weight = rerank_weight(options, val)
    threshold = when_no_answer(weighted(options, weight), val)
    del val  # before the tested splits take memory of their own
    once = OfAllSplits(runs, SharedMaps(list(scenes.values())), weight, threshold, baseline)
    records = {}
    for name, scene in scenes.items():
        once = replace(once, weight=weight_for(name, weight))
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
    method = weighted(options, once.weight)
    answer, shown = answer_queries(method, scene, encoders, once.maps)
    added = None if once.baseline_mib is None else peak_memory_mib() - once.baseline_mib
    test = description(options, scene, answer, differences, once.weight)
    test = replace(test, baseline_memory_mib=once.baseline_mib, added_memory_mib=added)
    record, arrays = score(scene, answer, score_settings(options), test, once.no_answer)
    if options.stress:
        record = replace(record, stress=stress_table(method, scene, encoders, record.recall))
    if not options.quiet and record.recall and (left_out := [k for k in options.ks if k not in record.protocol.ks]):
        dropped = ", ".join(map(str, left_out))
        print(f"note: recall@{dropped} left out: there are only {len(scene.reference)} references", file=sys.stderr)
    print(summary(record))
    if options.answers:
        write_answers(options, scene, answer, once.no_answer)
    del answer  # before TensorBoard takes memory of its own
    return save(options, runs.method or (runs.single if not options.searches else None), record, arrays, shown)
