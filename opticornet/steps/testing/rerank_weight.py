"""How much the searched distance weighs in a re-ranked one."""

import sys
from dataclasses import replace

import numpy as np

from opticornet.datasets.catalogue import split_names
from opticornet.evaluation.judged import query_sequences
from opticornet.evaluation.records import RerankWeightRecord
from opticornet.evaluation.rerank_weight import Candidates, choose_weight
from opticornet.matching.rerankers.mixing import distances_of
from opticornet.options.modes import TestOptions
from opticornet.options.parsing import in_flags
from opticornet.steps.testing.choosing import ChoosingSplit
from opticornet.utils.errors import UserError

MANY_QUERIES = 1000  # tell the stages apart; fewer may not: see docs/methods.md


def chooses_weight(options: TestOptions) -> bool:
    """Whether the weight is to be chosen on the val split."""
    return bool(options.rerank) and not options.extract_only and options.part("rerank").chooses_weight


def why_not_on_val(options: TestOptions) -> str:
    """Why nothing can be chosen on the val split; empty where it can."""
    if options.splits == ("val",):
        return "the tested split is val itself"
    if "val" not in split_names(options.dataset, **options.source()):
        return f"{options.dataset} has no val split"
    return ""


def check_choosing_weight(options: TestOptions) -> None:
    """Raise :class:`UserError` where the user asked for a weight chosen on the val split, and there is no such."""
    if "rerank_weight" in options.given and chooses_weight(options) and (reason := why_not_on_val(options)):
        without_val(options, reason)


def rerank_weight(options: TestOptions, val: ChoosingSplit) -> RerankWeightRecord | None:
    """The weight: as given, or chosen on the val split, which is answered as the tested one is, and where it has fewer
    than :data:`MANY_QUERIES` on the train split too. None where no searched distance can take part.

    Where none can be chosen, and the user did not ask for it, it is 0, SeqNet's, and record and summary say why.

    Raises:
        UserError: the user asked for a weight chosen on the val split, and there is none; or its descriptors were made
            otherwise.
    """
    if not options.rerank or options.extract_only:
        return None
    if not chooses_weight(options):
        weight = options.part("rerank").searched_weight
        return None if weight is None else RerankWeightRecord(weight)
    try:
        if reason := why_not_on_val(options):
            raise UserError(reason)
        splits = [val] if len(val.scene.query) >= MANY_QUERIES else [val, *training_split(val)]
    except UserError as error:
        return without_val(options, str(error))
    candidates = Candidates.joined([both_stages(options, split) for split in splits])
    names = tuple(split.name for split in splits)
    try:
        return choose_weight(names, candidates, options.longest_window, np.random.default_rng(options.seed))
    except ValueError as error:
        return without_val(options, str(error))


def training_split(val: ChoosingSplit) -> list[ChoosingSplit]:
    """The train split, where there is one that can be answered: both stages were learned from it alike. On standard
    error, why it cannot be."""
    options = val.options
    if "train" in options.splits or "train" not in split_names(options.dataset, **options.source()):
        return []
    train = ChoosingSplit("train", replace(options, quiet=True), val.runs)
    try:
        train.scene  # noqa: B018 - is opened
    except UserError as error:
        if not options.quiet:
            note = f"`rerank_weight` is chosen on val alone, as the train split cannot be opened: {error}"
            print(f"note: {in_flags(note, TestOptions)}", file=sys.stderr)
        return []
    return [train]


def without_val(options: TestOptions, reason: str) -> RerankWeightRecord:
    """SeqNet's weight, as the val split says none.

    Raises:
        UserError: the user asked for one that it says.
    """
    if "rerank_weight" in options.given:
        raise UserError(f"`rerank_weight` auto: {reason}; give a number from 0 to 1")
    return not_chosen(reason)


def not_chosen(reason: str) -> RerankWeightRecord:
    """SeqNet's weight, and why it is that."""
    return RerankWeightRecord(0.0, criterion=f"not chosen: {reason}")


def weight_for(split: str, weight: RerankWeightRecord | None) -> RerankWeightRecord | None:
    """The weight for a tested split: not one that was chosen on that very split."""
    if weight is None or split not in weight.chosen_on:
        return weight
    return not_chosen(f"the tested split is {split} itself")


def both_stages(options: TestOptions, split: ChoosingSplit) -> Candidates:
    """The candidates of a split's queries with the distances of both stages.

    Raises:
        UserError: its descriptors were made otherwise.
    """
    # Where both distances take part, no two candidates are one answer: all of them are ranked, none is left out.
    answer, scene = split.answer(weighted(options, RerankWeightRecord(0.5))), split.scene
    assert answer.candidates is not None
    candidates = answer.candidates.first(answer.ranking.indices.shape[1])
    searched, mixed = candidates.distances.astype(np.float64), distances_of(answer.ranking, candidates.indices)
    with np.errstate(invalid="ignore"):
        compared = np.where(np.isfinite(searched), 2 * mixed - searched, np.inf)
    right = scene.truth.within(answer.equal.errors(scene.truth, candidates.indices, candidates.ways), scene.radius)
    return Candidates(searched, compared, right, query_sequences(scene))


def weighted(options: TestOptions, weight: RerankWeightRecord | None) -> TestOptions:
    """The options with the weight that is known by now."""
    if weight is None:
        return options
    return replace(options, chosen={**options.chosen, "rerank_weight": repr(float(weight.weight))})
