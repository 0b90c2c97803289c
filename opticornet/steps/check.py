"""Step: open a dataset, list what is in it and what is wrong with it."""

from opticornet.datasets.check.dataset import check_dataset
from opticornet.datasets.check.render import render
from opticornet.options.modes import CheckOptions
from opticornet.options.parsing import in_flags
from opticornet.utils.errors import UserError


def check(options: CheckOptions) -> None:
    """Print what is in a dataset.

    Raises:
        UserError: something is wrong with it; the report printed before says what.
    """
    options.refuse_unused()
    report = check_dataset(options.dataset, options.sequence_length, **options.source())
    print(in_flags("\n".join(render(report)), CheckOptions))
    if report.errors:
        raise UserError(f"dataset {report.name}: {len(report.errors)} wrong, first: {report.errors[0]}")
