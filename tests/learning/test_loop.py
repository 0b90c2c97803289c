"""The loop, with a task that has nothing to do with places: it fits a linear map."""

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from opticornet.learning.history import EpochReport
from opticornet.learning.loop import RESERVED, Loop, LoopSettings
from opticornet.learning.step_numbers import StepNumbers
from opticornet.learning.task import LearningTask, StepTerms, Validation
from opticornet.utils.checkpoints import BEST, LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.signals import Interrupted, StopRequest


class LineTask(LearningTask[torch.Tensor]):
    """Fits y = A x from noisy samples. Batches are drawn anew each epoch, from a generator whose state is saved only as
    it was before the epoch; the noise comes from torch's default generator."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self.inputs = torch.randn(40, 3, generator=generator)
        self.wanted = self.inputs @ torch.randn(3, 2, generator=generator)
        self.generator = generator
        self.module = torch.nn.Linear(3, 2, bias=False)
        self.drawn_from = generator.get_state()
        self.validations = 0
        self.taught = 0

    def start(self) -> None:
        torch.nn.init.zeros_(self.module.weight)

    def describe(self) -> str:
        return "a line"

    def batches(self, epoch: int, done: int) -> Iterator[torch.Tensor]:
        self.drawn_from = self.generator.get_state()
        order = torch.randperm(40, generator=self.generator)
        yield from order.split(7)[done:]
        self.drawn_from = self.generator.get_state()

    def known_batches(self) -> int:
        return 6

    def loss(self, batch: torch.Tensor) -> StepTerms:
        noise = 0.1 * torch.randn(len(batch), 2)
        errors = (self.module(self.inputs[batch]) - self.wanted[batch] + noise).square().sum(1)
        self.taught += 1
        return StepTerms(errors.mean(), len(batch), {"error": errors.detach(), "nothing": errors.new_empty(0)})

    def validate(self) -> Validation:
        self.validations += 1
        with torch.inference_mode():
            error = (self.module(self.inputs) - self.wanted).square().mean().item()
        return Validation((-error,), {"error": error}, shown=f"drawing {self.validations}")

    def state(self) -> dict[str, Any]:
        return {"drawn_from": self.drawn_from}

    def restore(self, state: dict[str, Any], source: str) -> None:
        self.generator.set_state(state["drawn_from"])


class Follower:
    """Remembers what it is shown."""

    def __init__(self) -> None:
        self.steps: list[tuple[dict[str, torch.Tensor], float]] = []
        self.validations: list[tuple[int, Validation]] = []

    def step(self, values: dict[str, torch.Tensor], gradient_norm: float) -> None:
        self.steps.append((values, gradient_norm))

    def validation(self, epoch: int, validation: Validation) -> None:
        self.validations.append((epoch, validation))


def make_loop(task: LearningTask | None = None, lr: float = 0.05, **settings: Any) -> Loop:
    task = task or LineTask()
    optimizer = torch.optim.AdamW(task.module.parameters(), lr=lr, fused=True)
    return Loop(
        task, optimizer, lambda epoch, _: lr / (1 + epoch), LoopSettings(**{"epochs": 4, "quiet": True} | settings)
    )


def run(loop: Loop, folder: Path, stop: StopRequest | None = None) -> list[EpochReport]:
    return list(loop.epochs(folder, stop or StopRequest()))


@pytest.fixture(autouse=True)
def same_noise():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class InBatchesOf(LineTask):
    """The same order in batches of any size, without noise."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def batches(self, epoch: int, done: int) -> Iterator[torch.Tensor]:
        self.drawn_from = self.generator.get_state()
        yield from torch.randperm(40, generator=self.generator).split(self.size)[done:]
        self.drawn_from = self.generator.get_state()

    def loss(self, batch: torch.Tensor) -> StepTerms:
        errors = (self.module(self.inputs[batch]) - self.wanted[batch]).square().sum(1)
        self.taught += 1
        return StepTerms(errors.mean(), len(batch), {"error": errors.detach(), "greatest": errors.detach().max()})


@pytest.mark.parametrize(("small", "accumulate"), [(7, 2), (7, 4), (5, 3), (14, 100)])
def test_batches_whose_gradients_are_accumulated_are_one_batch(tmp_path, small, accumulate):
    """Also where the last ones of an epoch are fewer or smaller."""
    found = []
    for size, count in ((small, accumulate), (small * accumulate, 1)):
        loop = make_loop(InBatchesOf(size), epochs=2, accumulate=count)
        loop.start()
        loop.observer = Follower()
        reports = run(loop, tmp_path / str(count))
        found.append((loop, reports, loop.observer.steps))
    (loop, reports, steps), (whole, whole_reports, whole_steps) = found
    torch.testing.assert_close(loop.task.module.weight, whole.task.module.weight, rtol=0, atol=1e-6)
    assert loop.task.taught == 2 * math.ceil(40 / small)
    assert len(steps) == len(whole_steps) == whole.task.taught
    for (values, norm), (whole_values, whole_norm) in zip(steps, whole_steps, strict=True):
        torch.testing.assert_close(values["error"], whole_values["error"], rtol=0, atol=1e-4)
        assert norm == pytest.approx(whole_norm, rel=1e-4)
    for one, other in zip(reports, whole_reports, strict=True):
        assert one.samples == other.samples == 40
        assert one.means["loss"] == pytest.approx(other.means["loss"], rel=1e-5)


def test_a_run_that_accumulates_is_stopped_after_its_optimizer_s_step_and_resumed(tmp_path):
    whole = make_loop(accumulate=4)
    whole.start()
    run(whole, tmp_path / "whole")
    torch.manual_seed(0)
    stopped, stop = make_loop(accumulate=4), StopRequest()
    stopped.start()
    loss = stopped.task.loss

    def stopping_loss(batch: torch.Tensor) -> StepTerms:
        if stopped.task.taught == 7:  # the second batch of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(batch)

    stopped.task.loss = stopping_loss
    with stop, pytest.raises(Interrupted, match="stopped in epoch 2 and saved"):
        run(stopped, tmp_path / "cut", stop)
    assert stopped.task.taught == 6 + 4
    resumed = make_loop(accumulate=4)
    resumed.restore(load_checkpoint(tmp_path / "cut" / LATEST), "here")
    run(resumed, tmp_path / "cut")
    assert torch.equal(resumed.task.module.weight, whole.task.module.weight)


def test_what_is_left_of_an_epoch_that_accumulates_may_not_be_infinite_either(tmp_path):
    class Exploding(LineTask):
        def loss(self, batch: torch.Tensor) -> StepTerms:
            terms = super().loss(batch)
            return StepTerms(terms.loss * (math.inf if self.taught == 6 else 1), terms.samples, terms.values)

    loop = make_loop(Exploding(), accumulate=4)
    loop.start()
    with pytest.raises(UserError, match="the loss became inf in epoch 1, batch 6,"):
        run(loop, tmp_path)
    assert load_checkpoint(tmp_path / LATEST)["epoch"] == 0


def test_a_task_is_trained_and_its_best_is_kept(tmp_path):
    loop = make_loop()
    loop.start()
    loop.observer = follower = Follower()
    reports = run(loop, tmp_path)
    assert [report.epoch for report in reports] == [0, 1, 2, 3]
    assert [report.samples for report in reports] == [40] * 4
    assert [report.lr for report in reports] == pytest.approx([0.05, 0.025, 0.05 / 3, 0.0125])
    errors = [report.metrics["error"] for report in reports]
    assert errors == sorted(errors, reverse=True)
    assert all(report.is_best for report in reports)
    assert set(reports[0].means) == {"loss", "error", "nothing"}
    assert reports[0].means["loss"] == pytest.approx(reports[0].means["error"])
    assert reports[0].means["nothing"] == 0
    best, latest = load_checkpoint(tmp_path / BEST), load_checkpoint(tmp_path / LATEST)
    assert best["best_score"] == latest["best_score"] == -errors[-1]
    assert torch.equal(best["state_dict"]["weight"], loop.task.module.weight)
    assert [epoch for epoch, _ in follower.validations] == [-1, 0, 1, 2, 3]
    assert follower.validations[-1][1].shown == "drawing 5"
    assert len(follower.steps) == 24
    assert [len(values["error"]) for values, _ in follower.steps[:6]] == [7, 7, 7, 7, 7, 5]
    assert all(norm > 0 for _, norm in follower.steps)


@pytest.mark.parametrize("step", [1, 8, 12, 23])
def test_a_run_stopped_in_the_middle_of_an_epoch_ends_as_if_it_never_had(tmp_path, step):
    whole = make_loop()
    whole.start()
    reports = run(whole, tmp_path / "whole")

    torch.manual_seed(0)
    stopped, stop = make_loop(), StopRequest()
    stopped.start()
    loss = stopped.task.loss

    def last_loss(batch: torch.Tensor) -> StepTerms:
        if stopped.task.taught == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(batch)

    stopped.task.loss = last_loss
    with stop, pytest.raises(Interrupted, match="saved"):
        run(stopped, tmp_path / "cut", stop)
    assert stopped.task.taught == step

    torch.manual_seed(99)  # another process
    resumed = make_loop()
    resumed.restore(load_checkpoint(tmp_path / "cut" / LATEST), "here")
    assert resumed.progress.epoch * 6 + resumed.progress.step == step
    rest = run(resumed, tmp_path / "cut")
    assert resumed.task.taught == 24 - step
    assert [vars(report) | {"seconds": 0} for report in rest] == [
        vars(report) | {"seconds": 0} for report in reports[-len(rest) :]
    ]
    for name in (BEST, LATEST):
        one, other = load_checkpoint(tmp_path / "whole" / name), load_checkpoint(tmp_path / "cut" / name)
        assert torch.equal(one["state_dict"]["weight"], other["state_dict"]["weight"])
        assert one["optimizer"]["state"][0]["exp_avg_sq"].equal(other["optimizer"]["state"][0]["exp_avg_sq"])
        assert torch.equal(one["random"]["torch"], other["random"]["torch"])
        assert one["progress"] | {"seconds": 0} == other["progress"] | {"seconds": 0}


def test_a_stop_that_comes_after_an_epoch_is_obeyed_there(tmp_path):
    loop, stop = make_loop(), StopRequest()
    loop.start()
    epochs = loop.epochs(tmp_path, stop)
    with stop:
        next(epochs)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped after epoch 1"):
            next(epochs)
    assert load_checkpoint(tmp_path / LATEST)["epoch"] == 1


def test_the_best_stays_where_later_epochs_are_worse(tmp_path):
    """From the solution, where every step is away from it."""
    loop = make_loop(epochs=9, patience=3)
    loop.start()
    solution = torch.linalg.lstsq(loop.task.inputs, loop.task.wanted).solution.T
    loop.task.module.weight.data.copy_(solution)
    reports = run(loop, tmp_path)
    assert len(reports) == 3  # patience
    assert not any(report.is_best for report in reports)
    assert (loop.progress.best_epoch, loop.progress.stale) == (0, 3)
    assert torch.equal(load_checkpoint(tmp_path / BEST)["state_dict"]["weight"], solution)
    assert not torch.equal(load_checkpoint(tmp_path / LATEST)["state_dict"]["weight"], solution)
    again = make_loop(epochs=9, patience=3)
    again.restore(load_checkpoint(tmp_path / LATEST), "here")
    assert run(again, tmp_path) == []


def test_validation_may_be_rarer_but_comes_after_the_last_epoch(tmp_path):
    loop = make_loop(epochs=5, eval_every=2)
    loop.start()
    assert [report.metrics is not None for report in run(loop, tmp_path)] == [False, True, False, True, True]


def test_a_task_that_is_finished_ends_the_run(tmp_path):
    class Finished(LineTask):
        def finished(self) -> bool:
            return self.taught >= 12

    loop = make_loop(Finished(), epochs=9, eval_every=5)
    loop.start()
    reports = run(loop, tmp_path)
    assert [report.metrics is not None for report in reports] == [False, True]
    assert loop.progress.converged
    again = make_loop(Finished(), epochs=9)
    again.restore(load_checkpoint(tmp_path / LATEST), "here")
    assert run(again, tmp_path) == []


def test_mixed_precision_is_what_the_task_computes_its_loss_in(tmp_path):
    seen = []

    class Watched(LineTask):
        def loss(self, batch: torch.Tensor) -> StepTerms:
            seen.append((torch.is_autocast_enabled("cpu"), self.module(self.inputs[batch]).dtype))
            return super().loss(batch)

    for amp in (False, True):
        loop = make_loop(Watched(), epochs=1, amp=amp)
        loop.start()
        run(loop, tmp_path / str(amp))
    assert seen == [(False, torch.float32)] * 6 + [(True, torch.bfloat16)] * 6


@pytest.mark.parametrize("amp", [False, True])
def test_a_loss_that_is_not_finite_stops_with_the_last_checkpoint_kept(tmp_path, amp):
    class Exploding(LineTask):
        def loss(self, batch: torch.Tensor) -> StepTerms:
            terms = super().loss(batch)
            return StepTerms(terms.loss * (math.inf if self.taught == 9 else 1), terms.samples, terms.values)

    loop = make_loop(Exploding(), amp=amp)
    loop.start()
    with pytest.raises(UserError, match=r"the loss became inf in epoch 2, batch 3, .*smaller `lr`") as raised:
        run(loop, tmp_path)
    assert ("`amp`" in str(raised.value)) == amp
    kept = load_checkpoint(tmp_path / LATEST)
    assert kept["epoch"] == 1
    assert kept["state_dict"]["weight"].isfinite().all()


def test_a_gradient_that_is_not_finite_is_named_at_its_own_batch(tmp_path):
    class Steep(LineTask):
        def loss(self, batch: torch.Tensor) -> StepTerms:
            terms = super().loss(batch)
            if self.taught == 9:
                return StepTerms(terms.loss + (terms.loss - terms.loss.detach()).abs().sqrt(), terms.samples)
            return terms

    loop = make_loop(Steep())
    loop.start()
    with pytest.raises(UserError, match=r"the gradient became nan in epoch 2, batch 3, "):
        run(loop, tmp_path)
    assert load_checkpoint(tmp_path / LATEST)["epoch"] == 1


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    loop = make_loop()
    loop.start()
    step = loop.optimizer.step

    def step_too_far() -> None:
        step()
        if loop.task.taught == 12:  # the last of the second epoch, whose loss was still finite
            loop.task.module.weight.data.fill_(math.nan)

    loop.optimizer.step = step_too_far
    with pytest.raises(UserError, match="weights became infinite or not a number in epoch 2"):
        run(loop, tmp_path)
    assert load_checkpoint(tmp_path / LATEST)["epoch"] == 1
    assert load_checkpoint(tmp_path / LATEST)["state_dict"]["weight"].isfinite().all()


class Waits(TorchDispatchMode):
    """Counts reads of a tensor's value, for each of which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("observed", [False, True])
def test_a_step_reads_its_numbers_from_the_device_once(monkeypatch, observed):
    reads = []
    read = StepNumbers.read
    monkeypatch.setattr(StepNumbers, "read", lambda *terms: reads.append(terms) or read(*terms))
    loop = make_loop()
    loop.observer = Follower() if observed else None
    with Waits() as waits:
        loop.train_step(torch.arange(7))
        torch.ones(1).item()
    assert waits.count == 1  # the line before: beside what is read at the end, nothing is
    assert len(reads) == 1


def test_numbers_are_read_as_they_are():
    terms = StepTerms(
        torch.tensor(2.0), 3, {"a": torch.tensor([1.0, 2.0]), "b": torch.empty(0), "c": torch.tensor(0.5)}
    )
    means = {"loss": 2.0, "a": 1.5, "b": 0.0, "c": 0.5}
    numbers = StepNumbers.read(terms, torch.tensor(7.0))
    assert (numbers.means, numbers.gradient_norm) == (means, 7.0)
    assert {name: value.tolist() for name, value in numbers.values.items()} == {"a": [1.0, 2.0], "b": [], "c": [0.5]}


def test_only_the_random_state_of_the_gpu_in_use_is_kept(monkeypatch):
    """A run begun beside eight GPUs goes on beside one."""
    states = {"cuda": torch.arange(16, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device.type])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device.type: state}))
    loop = make_loop()
    loop.task.device = torch.device("cuda")
    saved = loop.state()
    states["cuda"] = None
    loop.restore(saved, "here")
    assert states["cuda"].tolist() == list(range(16))


def test_a_task_may_not_hide_the_loops_own_state():
    loop = make_loop()
    loop.task.state = lambda: {"optimizer": 1}
    with pytest.raises(ValueError, match="optimizer"):
        loop.state()
    assert set(make_loop().state()) - RESERVED == {"drawn_from"}


def test_a_checkpoint_of_weights_alone_cannot_be_resumed(tmp_path):
    save_checkpoint({"epoch": 3, "state_dict": make_loop().task.module.state_dict()}, tmp_path / LATEST)
    with pytest.raises(UserError, match="holds weights only"):
        make_loop().restore(load_checkpoint(tmp_path / LATEST), "theirs")
