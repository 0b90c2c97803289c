"""Step: learn a sequence encoder.

A run that is killed at any moment goes on from its last checkpoint as if it had never stopped: everything random
comes from generators whose states are saved, and everything else that changes is in :class:`Progress`.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from datasets.catalogue import load_dataset
from datasets.check import check_finite
from datasets.frames import Frames
from datasets.traverse import Split
from datasets.windows import Windows, kept_ranges
from matching.ground_truth import GroundTruth
from matching.metrics import recall_at
from matching.mining import MinedTuples, Miner, Neighbours
from matching.search import search
from models import build_encoder, check_encoder_options, filter_length
from models.base import SequenceEncoder
from models.encode import encode
from models.losses import LOSSES, Tuples
from utils.checkpoints import BEST, LATEST, fit_state, load_checkpoint, save_checkpoint
from utils.device import choose_device
from utils.errors import UserError
from utils.options import TrainOptions
from utils.runs import find_run, new_run, read_flags
from utils.signals import Interrupted, StopRequest
from utils.tensorboard import TrainingLog

RECALLS = (1, 5, 10, 20)

# What may differ between a run and its resumption: where things are and how fast, never what is computed.
FREE = {"data_path", "struct_path", "runs_path", "save_path", "resume", "device", "nocuda", "threads", "quiet"}


@dataclass
class Progress:
    """Where training stands, beside the weights, the optimizer and the random states."""

    epoch: int = 0
    order: Tensor | None = None  # (Q,) the epoch's order of anchors
    part: int = 0  # which part of ``order`` is being trained on; each part is mined anew
    tuples: MinedTuples | None = None  # what mining found for that part
    step: int = 0  # batches of ``tuples`` done
    totals: dict[str, float] = field(default_factory=dict)  # sums over the epoch's tuples
    best: tuple[float, float] = (-1.0, -1.0)  # validation recall@5, recall@1
    best_epoch: int = -1
    stale: int = 0  # validations since the best one
    recalls: dict[int, float] = field(default_factory=dict)  # of the last validation
    seconds: float = 0.0  # of the epoch so far

    def state(self) -> dict[str, Any]:
        """As plain values and tensors."""
        return vars(self) | {"tuples": self.tuples and asdict(self.tuples)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Progress":
        """From :meth:`state`."""
        return cls(**state | {"tuples": state["tuples"] and MinedTuples(**state["tuples"])})


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did, for the log and the terminal."""

    epoch: int
    epochs: int
    means: dict[str, float]  # loss, active, positive_distance, negative_distance
    tuples: int
    seconds: float
    lr: float
    recalls: dict[int, float] | None
    is_best: bool


def train(options: TrainOptions) -> Path:
    """Train, or go on with the run ``options.resume`` names. Returns the run folder.

    Raises:
        UserError: bad options or data, or a loss that is not a number.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    run = None
    if options.resume:
        run = find_run(options.resume, options.runs_path, options.save_path)
        shaping = tuple(name for name in options.flags() if name not in FREE)
        options = options.restored(read_flags(run, options.save_path), shaping, str(run))
    check_training_options(options)
    device = choose_device(options.device, options.nocuda, options.threads)
    splits = load_dataset(options.dataset, options, ("train", "val")).splits
    trainer = Trainer(options, splits["train"], splits["val"], device)
    if run:
        trainer.restore(load_checkpoint(run / options.save_path / LATEST), str(run))
    else:
        run = new_run(options)
    progress = trainer.progress
    say = (lambda line: None) if options.quiet else print
    say(f"{run}: {trainer.describe()}")
    with TrainingLog(run, options, first_epoch=progress.epoch) as log, StopRequest() as stop:
        if not (run / options.save_path / LATEST).exists():
            save_checkpoint(trainer.state(), run / options.save_path / LATEST)
        for report in trainer.epochs(run, stop):
            log.epoch(report)
            say(epoch_line(report, progress))
        log.finish(progress.best)
    say(f"best: epoch {progress.best_epoch + 1}, validation R@1 {progress.best[1]:.3f}, R@5 {progress.best[0]:.3f}")
    say(f"next: python main.py --mode test --resume {run}")
    return run


class Trainer:
    """A training run between two steps. Build it, perhaps :meth:`restore` it, then iterate :meth:`epochs`."""

    def __init__(self, options: TrainOptions, split: Split, val: Split, device: torch.device) -> None:
        self.options, self.device = options, device
        for traverse in (split.reference, split.query):
            check_finite(traverse)
        self.validation = Validation(val, options, device)
        self.query = Windows.of(split.query, options.sequence_length, filter_length(options))
        self.reference = Windows.of(split.reference, options.sequence_length, filter_length(options))
        self.query_frames = Frames(split.query.descriptors, device)
        self.reference_frames = Frames(split.reference.descriptors, device)
        self.query_starts = torch.from_numpy(self.query.starts)
        self.reference_starts = torch.from_numpy(self.reference.starts)
        self.reference_positions = torch.from_numpy(self.reference.positions)
        self.separation = split.negative_radius

        self.generator = torch.Generator().manual_seed(options.seed)
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.encoder = build_encoder(options, split.reference.dims).to(device)
        self.loss = LOSSES[options.loss](options.margin, options.margin2)
        self.optimizer = make_optimizer(self.encoder, options)
        self.miner = make_miner(split, self.reference, self.query, options, self.loss)
        self.remembered = torch.full((len(self.query), options.n_neg), -1) if options.n_neg_sample else None
        self.progress = Progress()

    def describe(self) -> str:
        """What is trained on what, in a line."""
        parameters = sum(p.numel() for p in self.encoder.parameters())
        return (
            f"{self.options.pooling}, {parameters:,} parameters, {len(self.query)} query and {len(self.reference)} "
            f"reference windows of {self.options.sequence_length} frames, on {self.device}"
        )

    def epochs(self, run: Path, stop: StopRequest) -> Iterator[EpochReport]:
        """Train epoch by epoch, saving each to ``run``.

        Raises:
            UserError: the loss is not finite.
            Interrupted: ``stop`` was asked; the state after the last step is saved.
        """
        options, progress = self.options, self.progress
        folder = run / options.save_path
        while progress.epoch < options.n_epochs and not self.out_of_patience():
            self.train_epoch(stop, folder)
            evaluated = (progress.epoch + 1) % options.eval_every == 0 or progress.epoch + 1 == options.n_epochs
            is_best = evaluated and self.validate()
            report = self.report(evaluated, is_best)
            progress.epoch += 1
            progress.order, progress.part, progress.totals, progress.seconds = None, 0, {}, 0.0
            state = self.state()
            if is_best:
                save_checkpoint(state, folder / BEST)
            save_checkpoint(state, folder / LATEST)
            yield report

    def train_epoch(self, stop: StopRequest, folder: Path) -> None:
        """Go through the (rest of the) epoch's anchors, part by part, mining before each."""
        progress = self.progress
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, progress.epoch)
        if progress.order is None:
            progress.order = torch.randperm(len(self.query), generator=self.generator)
        parts = progress.order.split(self.options.cache_refresh_rate or len(self.query))
        bar = tqdm(total=len(self.query), desc=f"epoch {progress.epoch + 1}", unit="anchor", leave=False, disable=None)
        with bar:
            while progress.part < len(parts):
                begun = time.perf_counter()
                if progress.tuples is None:
                    progress.tuples = self.mine(parts[progress.part])
                batches = math.ceil(len(progress.tuples) / self.options.batch_size)
                while progress.step < batches:
                    first = progress.step * self.options.batch_size
                    self.train_step(progress.tuples[first : first + self.options.batch_size])
                    progress.step += 1
                    bar.update(self.options.batch_size)
                    if stop.signum is not None:
                        progress.seconds += time.perf_counter() - begun
                        save_checkpoint(self.state(), folder / LATEST)
                        raise Interrupted(
                            f"stopped in epoch {progress.epoch + 1} and saved; to go on: "
                            f"python main.py --mode train --resume {folder.parent}",
                            stop.signum,
                        )
                progress.tuples, progress.step = None, 0
                progress.part += 1
                progress.seconds += time.perf_counter() - begun

    def mine(self, queries: Tensor) -> MinedTuples:
        """Encode the anchors and all references, and search."""
        amp, length = self.options.amp, self.options.sequence_length
        vectors = encode(self.encoder, self.reference_frames, self.reference.starts, length, amp=amp)
        anchors = encode(self.encoder, self.query_frames, self.query.starts, length, amp=amp)
        return self.miner.mine(queries, anchors[queries.to(self.device)], vectors, self.generator, self.remembered)

    def train_step(self, batch: MinedTuples) -> None:
        """One step of the optimizer."""
        options, progress = self.options, self.progress
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options.amp):
            terms = self.loss(self.encode_batch(batch))
        if not torch.isfinite(terms.loss):
            raise UserError(
                f"the loss became {terms.loss.item()} in epoch {progress.epoch + 1}, batch {progress.step + 1}; the last "
                f"good checkpoint is kept; try a smaller --lr than {options.lr:g}, or leave out --amp"
            )
        self.optimizer.zero_grad(set_to_none=True)
        terms.loss.backward()
        self.optimizer.step()
        for name, value in terms.means().items():
            progress.totals[name] = progress.totals.get(name, 0.0) + len(batch) * float(value)
        progress.totals["tuples"] = progress.totals.get("tuples", 0) + len(batch)

    def encode_batch(self, batch: MinedTuples) -> Tuples:
        """Encode a batch with gradients, each distinct reference window once."""
        wanted = torch.cat([batch.positives, batch.negatives[batch.mask]])
        distinct, place = wanted.unique(return_inverse=True)
        length = self.options.sequence_length
        anchors = self.query_frames.windows(self.query_starts[batch.anchors], length)  # (B, L, D)
        references = self.reference_frames.windows(self.reference_starts[distinct], length)  # (R, L, D)
        vectors = self.encoder(torch.cat([anchors, references])).float()
        anchors, references = vectors[: len(batch)], vectors[len(batch) :][place.to(self.device)]
        mask = batch.mask.to(self.device)
        negatives = vectors.new_zeros(*mask.shape, vectors.shape[1])  # (B, M, O)
        negatives[mask] = references[len(batch) :]
        places = self.reference_positions[batch.negatives]  # (B, M, P)
        return Tuples(
            anchors=anchors,
            positives=references[: len(batch)],
            negatives=negatives,
            mask=mask,
            apart=(torch.cdist(places, places) > self.separation).to(self.device),
        )

    def validate(self) -> bool:
        """Score the validation split; True where it is the best so far (recall@5, recall@1 breaking ties)."""
        progress = self.progress
        progress.recalls = self.validation.recalls(self.encoder)
        score = tuple(progress.recalls[min(k, max(progress.recalls))] for k in (5, 1))
        if score > tuple(progress.best):
            progress.best, progress.best_epoch, progress.stale = score, progress.epoch, 0
            return True
        progress.stale += 1
        return False

    def out_of_patience(self) -> bool:
        return 0 < self.options.patience <= self.progress.stale

    def report(self, evaluated: bool, is_best: bool) -> EpochReport:
        """The epoch just finished."""
        progress, totals = self.progress, dict(self.progress.totals)
        count = int(totals.pop("tuples", 0))
        return EpochReport(
            epoch=progress.epoch,
            epochs=self.options.n_epochs,
            means={name: total / count for name, total in totals.items()},
            tuples=count,
            seconds=progress.seconds,
            lr=learning_rate(self.options, progress.epoch),
            recalls=dict(progress.recalls) if evaluated else None,
            is_best=is_best,
        )

    def state(self) -> dict[str, Any]:
        """The checkpoint: seqNet's keys, and what a resumed run needs to go on as if never stopped."""
        return {
            "epoch": self.progress.epoch,
            "state_dict": self.encoder.state_dict(),
            "recalls": dict(self.progress.recalls),
            "best_score": self.progress.best[0],
            "optimizer": self.optimizer.state_dict(),
            "parallel": False,
            "progress": self.progress.state(),
            "remembered": self.remembered,
            "random": {
                "own": self.generator.get_state(),
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            },
        }

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from :meth:`state`.

        Raises:
            UserError: the checkpoint does not fit, or is seqNet's, which lacks what a resumed run needs.
        """
        if "progress" not in state:
            raise UserError(f"{source} holds weights only (a seqNet checkpoint?); test it, or train a new run")
        fit_state(self.encoder, state["state_dict"], source)
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress.of(state["progress"])
        self.remembered = state["remembered"]
        self.generator.set_state(state["random"]["own"])
        torch.set_rng_state(state["random"]["torch"])
        if state["random"]["cuda"] and self.device.type == "cuda":
            torch.cuda.set_rng_state_all(state["random"]["cuda"])


class Validation:
    """Recall on the validation split."""

    def __init__(self, split: Split, options: TrainOptions, device: torch.device) -> None:
        for traverse in (split.reference, split.query):
            check_finite(traverse)
        self.split, self.amp, self.device = split, options.amp, device
        self.reference, self.query = (
            Windows.of(traverse, options.sequence_length, filter_length(options))
            for traverse in (split.reference, split.query)
        )
        self.truth = ground_truth(split, self.reference, self.query)
        self.counted = self.truth.has_positive(split.positive_radius)
        if not self.counted.any():
            raise UserError("the validation split has no query with a reference within its positive radius")

    def recalls(self, encoder: SequenceEncoder) -> dict[int, float]:
        """Recall@K by exact search."""
        vectors = [
            encode(encoder, Frames(side.traverse.descriptors, self.device), side.starts, side.length, amp=self.amp)
            for side in (self.reference, self.query)
        ]
        ks = [k for k in RECALLS if k <= len(self.reference)]
        ranking = search(*(side.cpu().numpy() for side in vectors), k=max(ks))
        return recall_at(self.truth.correct(ranking.indices, self.split.positive_radius), self.counted, ks)


def ground_truth(split: Split, reference: Windows, query: Windows) -> GroundTruth:
    """What is right among the kept windows of a split."""
    table = None if split.positives is None else kept_ranges(split.positives, reference, query)
    return GroundTruth(reference.positions, query.positions, table)


def make_miner(
    split: Split, reference: Windows, query: Windows, options: TrainOptions, loss: nn.Module
) -> Miner:
    """The miner for a training split.

    Raises:
        UserError: no anchor has a positive, or none has a negative.
    """
    if split.positives is None:
        positives = Neighbours.within(query.positions, reference.positions, split.positive_radius)
        excluded = Neighbours.within(query.positions, reference.positions, split.negative_radius)
    else:
        margin = int(split.negative_radius)
        table = split.positives[query.rows]
        positives = Neighbours.of_ranges(kept_ranges(split.positives, reference, query))
        widened = np.searchsorted(reference.rows, table + [-margin, margin])
        excluded = Neighbours.of_ranges(widened)
    if not positives.counts().any():
        raise UserError(
            f"no training query has a reference within {split.positive_radius:g} {split.units}; "
            "raise positive_radius, or check that both traverses follow the same route"
        )
    if int(excluded.counts().min()) == len(reference):
        raise UserError(
            f"a training query has no reference beyond {split.negative_radius:g} {split.units}; lower negative_radius"
        )
    return Miner(positives, excluded, options.n_neg, loss.violation, loss.squared, options.n_neg_sample)


def make_optimizer(encoder: SequenceEncoder, options: TrainOptions) -> torch.optim.Optimizer:
    """The optimizer ``--optim`` names."""
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    decay = options.weight_decay
    if options.optim == "SGD":
        return torch.optim.SGD(parameters, options.lr, momentum=options.momentum, weight_decay=decay)
    kind = torch.optim.Adam if options.optim == "ADAM" else torch.optim.AdamW
    return kind(parameters, options.lr, weight_decay=decay)


def learning_rate(options: TrainOptions, epoch: int) -> float:
    """The learning rate of an epoch: a function of its number alone, so nothing needs restoring."""
    if options.schedule == "step":
        return options.lr * options.lr_gamma ** (epoch // options.lr_step)
    return options.lr * 0.5 * (1 + math.cos(math.pi * epoch / options.n_epochs))


def check_training_options(options: TrainOptions) -> None:
    """Raise :class:`UserError` for options that cannot be trained with."""
    check_encoder_options(options)
    for name in ("n_epochs", "batch_size", "n_neg", "eval_every"):
        if getattr(options, name) < 1:
            raise UserError(f"{options.flags()[name].metadata['flag']} {getattr(options, name)}: must be at least 1")
    if not options.lr > 0:
        raise UserError(f"--lr {options.lr:g}: must be above 0")
    if options.loss == "quadruplet" and options.n_neg < 2:
        raise UserError(f"--nNeg {options.n_neg}: the quadruplet loss needs two negatives of different places")


def epoch_line(report: EpochReport, progress: Progress) -> str:
    """One compact line an epoch for the terminal."""
    loss = f"loss {report.means['loss']:.4f}" if report.tuples else "no violating tuples"
    recalls = "".join(f"  R@{k} {report.recalls[k]:.3f}" for k in (1, 5) if report.recalls and k in report.recalls)
    left = report.seconds * (report.epochs - report.epoch - 1)
    mark = " *" if report.is_best else ""
    return (
        f"epoch {report.epoch + 1:>3}/{report.epochs}  {loss}{recalls}{mark}  best {progress.best[0]:.3f}  "
        f"{report.seconds:.1f} s  {left:.0f} s left"
    )
