"""What is asked of a test's options before anything is read."""

from opticornet.options.modes import TestOptions
from opticornet.steps.testing.rerank_weight import check_choosing_weight
from opticornet.steps.testing.threshold import check_choosing
from opticornet.utils.errors import UserError


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
    for choice, name, _ in options.parts():
        options.part(choice, name)  # its own options make sense together
    if options.no_answer == "val":
        check_choosing(options)
    check_choosing_weight(options)
