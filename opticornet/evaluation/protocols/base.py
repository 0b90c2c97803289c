"""What a protocol decides."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Split, Traverse
from opticornet.datasets.windows import Windows
from opticornet.utils.options import Choice


@dataclass(frozen=True, kw_only=True)
class Protocol(Choice):
    """``opticornet``, and the base of every entry of ``PROTOCOLS``: the options decide, and a window is at its frame.

    Attributes:
        name: in ``PROTOCOLS``.
        has_windows: whether :meth:`windows` decides which there are, instead of the options.
    """

    name: ClassVar[str] = "opticornet"
    has_windows: ClassVar[bool] = False

    def placed(self, split: Split) -> Split:
        """The split with positions as precise as the protocol has them."""
        return split

    def windows(self, traverse: Traverse, length: int, role: Literal["reference", "query"]) -> Windows:
        """The windows of one side, where :attr:`has_windows`.

        Raises:
            UserError: there are none, or not of that length.
        """
        raise NotImplementedError

    def excluded(self, queries: Windows, references: Windows, radius: float) -> Positives:
        """References that are no negatives of each training query: those within ``radius`` (inclusive) of it."""
        return Positives.within(queries.positions, references.positions, radius)

    def window_rule(self, windows: Windows) -> str:
        """Which frames a window holds, in words."""
        return windows.rule_in_words


OURS = Protocol()
