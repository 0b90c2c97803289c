"""The contract between a task and where its batches come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic

from opticornet.learning.task import Batch, StepTerms


class BatchSource(ABC, Generic[Batch]):
    """One kind of batch: how an epoch is cut into them and what one costs. As ``LearningTask`` says of each method."""

    @abstractmethod
    def batches(self, done: int) -> Iterator[Batch]:
        """The batches of an epoch, without its first ``done``."""

    @abstractmethod
    def known_batches(self) -> int | None:
        """How many batches the epoch has, as far as it is known yet."""

    @abstractmethod
    def most_windows(self) -> tuple[int, int]:
        """How many windows of queries and of references a batch holds at most."""

    @abstractmethod
    def loss(self, batch: Batch) -> StepTerms:
        """The loss of a batch."""

    def finished(self) -> bool:
        """Whether no further epoch could learn anything."""
        return False

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on between any two batches."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint that holds :meth:`state`."""
