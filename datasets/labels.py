"""Labels that have to tell things apart: frame names, sequences, columns."""

from collections import Counter
from collections.abc import Iterable


def first_repeated(labels: Iterable[str]) -> str | None:
    """The first label that occurs more than once; the time grows with the number of labels, not with its square."""
    return next((label for label, count in Counter(labels).items() if count > 1), None)
