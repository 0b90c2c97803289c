"""What turns a window of frame descriptors into one vector: one file a method, one line here.

To add a method, write ``models/sequences/<name>.py`` with a :class:`.base.SequenceEncoder` and give it a line below;
see ``docs/adding-a-method.md``. Importing this module imports no method: the command line lists them at once.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opticornet.models.sequences.base import SequenceEncoder


@dataclass(frozen=True)
class Method:
    """Where a method is, and whether it has weights to learn."""

    module: str
    name: str
    learned: bool

    def encoder(self) -> "type[SequenceEncoder]":
        """The method's class."""
        return getattr(import_module(f"opticornet.models.sequences.{self.module}"), self.name)


SEQUENCE_ENCODERS: dict[str, Method] = {
    "single": Method("averages", "Single", learned=False),
    "smooth": Method("averages", "Smooth", learned=False),
    "delta": Method("averages", "Delta", learned=False),
    "seqnet": Method("seqnet", "SeqNet", learned=True),
    "dsdnet": Method("dsdnet", "DSDNet", learned=True),
    "delta-lstm": Method("delta_lstm", "DeltaLSTM", learned=True),
}
