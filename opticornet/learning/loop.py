"""The learning loop: step, validate, save, epoch after epoch; a stopped run resumes as if it had never stopped.

It knows epochs, signals, checkpoints, what is best, patience, learning rates, mixed precision and reports; it knows no
task (``opticornet.learning.task`` is the contract). Everything random comes from generators whose states are saved, and
everything else that changes, beside weights, optimizer and the task's own state, is in :class:`Progress`.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from opticornet.learning.history import EpochReport
from opticornet.learning.step_numbers import StepNumbers
from opticornet.learning.task import GRADIENT, Batch, LearningTask, StepTerms, Validation
from opticornet.utils.checkpoints import BEST, LATEST, fit_state, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.signals import StopRequest

RESERVED = frozenset({"epoch", "state_dict", "best_score", "optimizer", "progress", "random"})  # in a checkpoint


@dataclass(frozen=True)
class LoopSettings:
    """How long and how to train.

    Attributes:
        epochs: at most this many.
        eval_every: epochs between two validations; the last epoch is validated always.
        patience: validations without a better score before stopping; 0 never stops.
        amp: matrix products of the loss in bfloat16.
        quiet: no progress bar; otherwise there is one where stderr is a terminal.
        accumulate: batches to a step of the optimizer, N, which is taken along the mean of their samples' gradients, as
            if they were one batch; an epoch's last step is over what is left.
    """

    epochs: int
    eval_every: int = 1
    patience: int = 0
    amp: bool = False
    quiet: bool = False
    accumulate: int = 1


@dataclass
class Progress:
    """Where training stands."""

    epoch: int = 0  # epochs done
    step: int = 0  # batches of the epoch done
    updates: int = 0  # steps of the optimizer, in all epochs
    samples: int = 0  # in them
    totals: dict[str, float] = field(default_factory=dict)  # sums of the means, each times its samples
    seconds: float = 0.0  # of the epoch so far
    best: tuple[float, ...] = ()  # score; empty before the first validation
    best_epoch: int = -1  # epochs done by then; 0: the weights that training started from
    stale: int = 0  # validations since the best one
    converged: bool = False  # the task has nothing left to learn
    metrics: dict[str, float] = field(default_factory=dict)  # of the last validation
    best_metrics: dict[str, float] = field(default_factory=dict)  # of the best one

    def begin_epoch(self) -> None:
        """Forget the epoch before."""
        self.step, self.samples, self.totals, self.seconds = 0, 0, {}, 0.0


class Observer(Protocol):
    """Follows a run while it trains (``opticornet.reports.tensorboard.TrainingLog`` does)."""

    def step(self, values: dict[str, Tensor], gradient_norm: float) -> None:
        """Take in one step: the task's values (K,) by name, on the CPU, and the Euclidean norm of all gradients."""

    def validation(self, epoch: int, validation: Validation) -> None:
        """Take in a validation after ``epoch``; -1 is what training starts from."""


class Loop(Generic[Batch]):
    """A training run between two steps. Build it, :meth:`start` or :meth:`restore` it, then iterate :meth:`epochs`.

    Args:
        task: what is learned.
        optimizer: of the task's weights.
        learning_rate: of a step of the optimizer, by the number of its epoch, from 0, and of the steps before it.
        settings: how long and how to train.
    """

    def __init__(
        self,
        task: LearningTask[Batch],
        optimizer: torch.optim.Optimizer,
        learning_rate: Callable[[int, int], float],
        settings: LoopSettings,
    ) -> None:
        self.task, self.optimizer, self.learning_rate, self.settings = task, optimizer, learning_rate, settings
        self.progress = Progress()
        self.observer: Observer | None = None
        self.pending: list[StepTerms] = []  # of batches whose gradients wait for the optimizer's step

    def start(self) -> None:
        """Prepare a new run.

        Raises:
            UserError: the task cannot start from its data.
        """
        self.task.start()

    def epochs(self, folder: Path, stop: StopRequest) -> Iterator[EpochReport]:
        """Train epoch by epoch, saving each to ``folder``.

        Raises:
            UserError: the loss is not finite.
            Interrupted: ``stop`` was asked; the state after the last step is saved.
        """
        progress, settings = self.progress, self.settings
        if progress.best_epoch < 0:  # what training starts from may already be the best
            self.validate()
            save_checkpoint(self.state(), folder / BEST)
            save_checkpoint(self.state(), folder / LATEST)
        while progress.epoch < settings.epochs and not progress.converged and not self.out_of_patience():
            self.train_epoch(stop, folder)
            self.check_weights()
            progress.epoch += 1
            progress.converged = self.task.finished()
            evaluated = progress.epoch % settings.eval_every == 0 or progress.epoch == settings.epochs
            evaluated = evaluated or progress.converged
            is_best = evaluated and self.validate()
            report = self.report(evaluated, is_best)
            progress.begin_epoch()
            yield report  # before it is saved: an epoch that a killed run reported but did not save is reported again
            state = self.state()
            if is_best:
                save_checkpoint(state, folder / BEST)
            save_checkpoint(state, folder / LATEST)
            if stop.signum is not None and progress.epoch < settings.epochs:
                stop.interrupt(f"stopped after epoch {progress.epoch} and saved")

    def train_epoch(self, stop: StopRequest, folder: Path) -> None:
        """Take the (rest of the) epoch's steps; where ``stop`` was asked, save after the next one of the optimizer."""
        progress = self.progress
        self.task.module.train()
        begun, before = time.perf_counter(), progress.seconds
        quiet = True if self.settings.quiet else None  # None: only where stderr is a terminal
        with tqdm(
            desc=f"epoch {progress.epoch + 1}", unit="step", leave=False, disable=quiet, initial=progress.step
        ) as bar:
            for batch in self.task.batches(progress.epoch, progress.step):
                self.train_step(batch)
                progress.seconds = before + time.perf_counter() - begun
                bar.total = self.task.known_batches()
                bar.update()
                if stop.signum is not None and not self.pending:
                    self.check_weights()
                    save_checkpoint(self.state(), folder / LATEST)
                    stop.interrupt(f"stopped in epoch {progress.epoch + 1} and saved")
            if self.pending:
                self.update()
        progress.seconds = before + time.perf_counter() - begun

    def train_step(self, batch: Batch) -> None:
        """Take a batch into the gradient, the mean over the samples of all batches since the last update; update where
        it is the last of these."""
        if not self.pending:
            self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.task.device.type, torch.bfloat16, enabled=self.settings.amp):
            terms = self.task.loss(batch)
        before = sum(one.samples for one in self.pending)
        share = terms.samples / (before + terms.samples) if before else 1.0
        for gradient in self.gradients() if before else ():
            gradient.mul_(1 - share)
        (terms.loss * share).backward()
        self.pending.append(terms.detached())
        self.progress.step += 1
        if len(self.pending) == self.settings.accumulate:
            self.update()

    def update(self) -> None:
        """One step of the optimizer; the device is waited for once, when all of the step is under way."""
        progress = self.progress
        norm = torch.nn.utils.get_total_norm(self.gradients())
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(progress.epoch, progress.updates)
        self.optimizer.step()
        progress.updates += 1
        terms, self.pending = StepTerms.join(self.pending), []
        numbers = StepNumbers.read(terms, norm)
        if not (math.isfinite(numbers.means["loss"]) and math.isfinite(numbers.gradient_norm)):
            named = numbers.means | {GRADIENT: numbers.gradient_norm}
            raise self.diverged(self.task.not_finite({name: n for name, n in named.items() if not math.isfinite(n)}))
        if self.observer is not None:
            self.observer.step(numbers.values, numbers.gradient_norm)
        for name, value in numbers.means.items():
            progress.totals[name] = progress.totals.get(name, 0.0) + terms.samples * value
        progress.samples += terms.samples

    def gradients(self) -> list[Tensor]:
        """Those of all weights that have one."""
        return [parameter.grad for parameter in self.task.module.parameters() if parameter.grad is not None]

    def diverged(self, what: str) -> UserError:
        """The error that stops a run whose numbers are no longer finite."""
        rate = self.optimizer.param_groups[0]["lr"]
        return UserError(
            f"{what} in epoch {self.progress.epoch + 1}, batch {self.progress.step}, at learning rate {rate:g}; "
            "the last good checkpoint is kept; try a smaller `lr`" + (", or leave out `amp`" * self.settings.amp)
        )

    def check_weights(self) -> None:
        """Raise :class:`UserError` where a weight is infinite or not a number."""
        finite = [parameter.isfinite().all() for parameter in self.task.module.parameters()]
        if finite and not torch.stack(finite).all():
            raise self.diverged("weights became infinite or not a number")

    def validate(self) -> bool:
        """Score the module; True where it is the best so far."""
        progress = self.progress
        validation = self.task.validate()
        progress.metrics = validation.metrics
        if self.observer is not None:
            self.observer.validation(progress.epoch - 1, validation)
        if validation.score > progress.best:
            progress.best, progress.best_epoch, progress.stale = validation.score, progress.epoch, 0
            progress.best_metrics = validation.metrics
            return True
        progress.stale += 1
        return False

    def out_of_patience(self) -> bool:
        """Whether too many validations in a row were no better."""
        return 0 < self.settings.patience <= self.progress.stale

    def report(self, evaluated: bool, is_best: bool) -> EpochReport:
        """The epoch just finished."""
        progress = self.progress
        return EpochReport(
            epoch=progress.epoch - 1,
            epochs=self.settings.epochs,
            means={name: total / progress.samples for name, total in progress.totals.items()},
            samples=progress.samples,
            seconds=progress.seconds,
            lr=self.learning_rate(progress.epoch - 1, max(0, progress.updates - 1)),
            metrics=dict(progress.metrics) if evaluated else None,
            is_best=is_best,
        )

    def state(self) -> dict[str, Any]:
        """The checkpoint: the task's own entries, and all else that a run needs to resume as if it had never stopped.

        Raises:
            ValueError: the task's entries would hide the loop's.
        """
        own = self.task.state()
        if own.keys() & RESERVED:
            raise ValueError(f"a task's state may not hold {', '.join(sorted(own.keys() & RESERVED))}")
        device = self.task.device
        return own | {
            "epoch": self.progress.epoch,
            "state_dict": self.task.module.state_dict(),
            "best_score": self.progress.best[0] if self.progress.best else -1.0,
            "optimizer": self.optimizer.state_dict(),
            "progress": dict(vars(self.progress)),
            "random": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            },
        }

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from :meth:`state`.

        Raises:
            UserError: the checkpoint does not fit, or is seqNet's, which lacks what a resumed run needs.
        """
        if "progress" not in state:
            raise UserError(f"{source} holds weights only (a seqNet checkpoint?); test it, or train a new run")
        try:
            self._restore(state, source)
        except (KeyError, TypeError, ValueError) as error:  # how torch and we meet entries that are not there
            raise UserError(
                f"{source}: its checkpoint lacks what training continues with ({type(error).__name__}: {error}); test "
                "it, or train a new run"
            ) from error

    def _restore(self, state: dict[str, Any], source: str) -> None:
        self.task.restore(state, source)
        fit_state(self.task.module, state["state_dict"], source)
        self.optimizer.load_state_dict(state["optimizer"])
        progress = {"epoch": state["progress"]["epoch"]} | state["progress"]  # one without an epoch says nothing
        self.progress = Progress(**progress)
        torch.set_rng_state(state["random"]["torch"])
        device = self.task.device
        if device.type == "cuda" and isinstance(state["random"]["cuda"], Tensor):
            torch.cuda.set_rng_state(state["random"]["cuda"], device)
