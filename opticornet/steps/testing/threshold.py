"""The threshold above which a query has no answer."""

from opticornet.datasets.catalogue import split_names
from opticornet.evaluation.no_answer import NoAnswer, choose_threshold
from opticornet.options.modes import TestOptions
from opticornet.steps.testing.choosing import ChoosingSplit
from opticornet.utils.errors import UserError, as_user_error


def when_no_answer(options: TestOptions, val: ChoosingSplit) -> NoAnswer | None:
    """The threshold above which a query has no answer: given, or chosen on the val split, which is answered as the
    tested one is; None where every query is answered.

    Raises:
        UserError: none of the thresholds is as wanted, or the val split's descriptors were made otherwise.
    """
    if options.no_answer != "val":
        return NoAnswer(float(options.no_answer)) if options.no_answer else None
    scene, answer = val.scene, val.answer(options)
    first = answer.ranking.first(1)
    correct = scene.truth.within(answer.equal.errors(scene.truth, first.indices, first.ways), scene.radius)[:, 0]
    with as_user_error("`no_answer` val"):
        return choose_threshold("val", first.distances[:, 0], correct, scene.has_positive(), options.answer_precision)


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
