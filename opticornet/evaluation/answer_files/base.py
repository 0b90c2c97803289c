"""What a format of answers is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opticornet.evaluation.answer_sheet import AnswerSheet, SheetSide
from opticornet.utils.errors import UserError
from opticornet.utils.options import Choice


@dataclass(frozen=True, kw_only=True)
class AnswerFormat(Choice, ABC):
    """Writes answers as text: the entry of a format in ``ANSWER_FORMATS``."""

    def check(self, query: SheetSide, reference: SheetSide) -> None:
        """Called before anything is computed.

        Raises:
            UserError: the data lacks what the format holds.
        """

    @abstractmethod
    def lines(self, sheet: AnswerSheet) -> Iterator[str]:
        """The file's lines, without their ends.

        Raises:
            UserError: the answers cannot be said in this format.
        """


def check_words(what: str, side: SheetSide, names: Iterable[str]) -> None:
    """Whether names fit between the spaces of the format ``what``.

    Raises:
        UserError: one holds a space.
    """
    for name in names:
        if len(name.split()) != 1:
            raise UserError(
                f"`answers_format` {what} has spaces between its columns, and {name!r} of {side.traverse} holds one; "
                "write csv"
            )
