"""The contract between the learning loop and what is learned."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

Batch = TypeVar("Batch")
GRADIENT = "gradient"


@dataclass(frozen=True)
class StepTerms:
    """What a batch gives.

    Attributes:
        loss: scalar to be minimised, with its gradient.
        samples: what the batch holds (tuples, images, ...); weighs its means within the epoch's.
        values: other numbers by name, detached, any number of each: an epoch's report has their means, and an observer
            may draw their distribution.
    """

    loss: Tensor
    samples: int
    values: dict[str, Tensor] = field(default_factory=dict)

    def detached(self) -> Self:
        """Without the loss's gradient."""
        return replace(self, loss=self.loss.detach())

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Those of several batches as one: the mean of the losses over all samples, and all of the values."""
        if len(parts) == 1:
            return parts[0]
        samples = sum(part.samples for part in parts)
        loss = torch.stack([part.loss * part.samples for part in parts]).sum() / samples
        names = parts[0].values
        values = {name: torch.cat([part.values[name].flatten() for part in parts]) for name in names}
        return cls(loss, samples, values)


@dataclass(frozen=True)
class Validation:
    """How good the module is.

    Attributes:
        score: what decides which module is best, the most important number first, larger is better; compared as
            tuples.
        metrics: numbers by name, for logs ("recall@5", ...).
        shown: whatever the task's observer can draw.
    """

    score: tuple[float, ...]
    metrics: dict[str, float]
    shown: Any = None


class LearningTask(ABC, Generic[Batch]):
    """What is learned: where batches come from, what they cost, and how good the result is.

    The loop (``opticornet.learning.loop``) calls a task in this order: :meth:`start` or :meth:`restore`, then
    :meth:`validate` once, then for each epoch :meth:`batches`, :meth:`loss` of each of them and, where the epoch is to
    be validated, :meth:`validate`. :meth:`state` may be asked between any two batches, and a task restored from it must
    continue as if it had never stopped: whatever is random comes from generators whose states it holds, or from torch's
    default generators, whose states the loop keeps.

    Attributes:
        module: what learns; on ``device``. The loop saves its weights, and puts it into training mode each epoch.
        device: where it learns.
        counted: what the samples of its batches are.
    """

    counted: str = "tuples"
    module: nn.Module
    device: torch.device

    def start(self) -> None:
        """Give the module the weights that training starts from, where they are not simply those it was built with.

        Raises:
            UserError: they cannot be worked out from the data.
        """

    @abstractmethod
    def describe(self) -> str:
        """What is trained on what, in a line."""

    @abstractmethod
    def batches(self, epoch: int, done: int) -> Iterator[Batch]:
        """The batches of an epoch, without its first ``done``.

        Args:
            epoch: its number, from 0.
            done: batches that steps were already taken on, before the run was stopped; only not 0 after
                :meth:`restore`. Batches may be prepared ahead of the steps: the loop counts, not the task.
        """

    def known_batches(self) -> int | None:
        """How many batches the epoch has, as far as the task knows yet; for the progress bar."""
        return None

    @abstractmethod
    def loss(self, batch: Batch) -> StepTerms:
        """The loss of a batch; called under the run's autocast, which the task leaves where it needs exactness."""

    @abstractmethod
    def validate(self) -> Validation:
        """How good the module is now; leaves its weights and all random states alone."""

    def not_finite(self, numbers: Mapping[str, float]) -> str:
        """In words what went wrong in the last batch, whose loss or gradient is not finite.

        Args:
            numbers: those that are not, by name: ``loss``, the mean of each of :meth:`loss`'s values,
                :data:`GRADIENT` (its norm).
        """
        name = "loss" if "loss" in numbers else GRADIENT
        return f"the {name} became {numbers[name]}"

    def finished(self) -> bool:
        """Asked after an epoch's last step: whether no further epoch could learn anything."""
        return False

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of the task beside its weights: tensors and plain values, under names that the
        loop does not use (``opticornet.learning.loop.RESERVED``)."""

    @abstractmethod
    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from a checkpoint that holds :meth:`state`; the loop restores the weights afterwards.

        Args:
            state: the checkpoint.
            source: where it was read, for messages.

        Raises:
            UserError: the checkpoint does not fit the data.
        """
