"""Training: mine, step, validate, epoch after epoch, so that a stopped run can go on as if it never had.

Everything random comes from generators whose states are saved, and everything else that changes, beside weights and
optimizer, is in :class:`Progress`.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from opticornet.datasets.frames import DescriptorFrames as Frames
from opticornet.evaluation.metrics import recall_at
from opticornet.evaluation.scene import Scene, encode_side, side_of
from opticornet.evaluation.validated import Validated
from opticornet.inference.encode import encode
from opticornet.inference.load import build_encoder, check_dims
from opticornet.learning.losses import LOSSES, TupleLoss, Tuples
from opticornet.learning.mining import MinedTuples, Miner, Neighbours
from opticornet.matching.search import search
from opticornet.models.sequences.base import SequenceEncoder
from opticornet.options.modes import TrainOptions
from opticornet.utils.checkpoints import BEST, LATEST, fit_state, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.signals import StopRequest

RECALLS = (1, 5, 10, 20)
INITIAL_PAIRS = 20_000


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
    best_epoch: int = -1  # epochs trained by then; 0: the weights that training started from
    stale: int = 0  # validations since the best one
    learned: bool = False  # an exhaustive search found no tuple that violates the margin, so no epoch ever will
    recalls: dict[int, float] = field(default_factory=dict)  # of the last validation
    seconds: float = 0.0  # of the epoch so far

    def state(self) -> dict[str, Any]:
        """As plain values and tensors."""
        return vars(self) | {"tuples": None if self.tuples is None else asdict(self.tuples)}

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


class Observer(Protocol):
    """Whoever looks on while a run trains (``opticornet.reports.tensorboard.TrainingLog`` does)."""

    def step(self, positive: Tensor, negative: Tensor, gradient_norm: float) -> None: ...

    def validation(self, epoch: int, validated: Validated) -> None: ...


class Trainer:
    """A training run between two steps. Build it, :meth:`start` or :meth:`restore` it, then iterate :meth:`epochs`."""

    def __init__(self, options: TrainOptions, scene: Scene, validation: Scene) -> None:
        self.options, self.scene, self.validation, self.device = options, scene, validation, scene.device
        query, reference = scene.query, scene.reference
        self.query_frames = Frames(query.traverse.descriptors, self.device)
        self.reference_frames = Frames(reference.traverse.descriptors, self.device)
        self.query_starts = torch.from_numpy(query.starts)
        self.reference_starts = torch.from_numpy(reference.starts)
        in_rows = scene.split.positives is not None  # a table counts in reference rows, and so does the radius
        places = reference.rows[:, None].astype(np.float64) if in_rows else reference.positions
        self.reference_places = torch.from_numpy(places)  # (N, P)

        self.generator = torch.Generator().manual_seed(options.seed)
        with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, whatever the device
            torch.manual_seed(options.seed)
            self.method = options.part("pooling")
            encoder = build_encoder(self.method, options.pooling, reference.traverse.dims, options.sequence_length)
            self.encoder = encoder.to(self.device)
        self.loss = LOSSES[options.loss](options.margin, options.margin2)
        self.optimizer = make_optimizer(self.encoder, options)
        self.miner = make_miner(scene, options, self.loss)
        self.remembered = torch.full((len(query), options.n_neg), -1) if options.n_neg_sample else None
        self.progress = Progress()
        self.observer: Observer | None = None

    def start(self) -> None:
        """Give the encoder the weights that training starts from.

        Raises:
            UserError: they cannot be worked out from the data.
        """
        if self.method.starts_from_places:
            try:
                self.encoder.initialise(*same_places(self.scene))
            except ValueError as error:
                raise UserError(f"`init` whitening: {error}; use `init` random") from error

    def describe(self) -> str:
        """What is trained on what, in a line."""
        parameters = sum(p.numel() for p in self.encoder.parameters())
        return (
            f"{self.options.pooling}, {parameters:,} parameters, on {self.scene.dataset}: "
            f"{len(self.scene.query)} query and {len(self.scene.reference)} reference windows of "
            f"{self.options.sequence_length} frames, {self.device}"
        )

    def epochs(self, run: Path, stop: StopRequest) -> Iterator[EpochReport]:
        """Train epoch by epoch, saving each to ``run``.

        Raises:
            UserError: the loss is not finite.
            Interrupted: ``stop`` was asked; the state after the last step is saved.
        """
        options, progress = self.options, self.progress
        folder = run / options.save_path
        if progress.best_epoch < 0:  # what training starts from may already be the best
            self.validate()
            save_checkpoint(self.state(), folder / BEST)
            save_checkpoint(self.state(), folder / LATEST)
        while progress.epoch < options.n_epochs and not progress.learned and not self.out_of_patience():
            self.train_epoch(stop, folder)
            self.check_weights()
            progress.epoch += 1
            progress.learned = not progress.totals and not options.n_neg_sample
            evaluated = progress.epoch % options.eval_every == 0 or progress.epoch == options.n_epochs
            evaluated = evaluated or progress.learned
            is_best = evaluated and self.validate()
            report = self.report(evaluated, is_best)
            progress.order, progress.part, progress.totals, progress.seconds = None, 0, {}, 0.0
            yield report  # before it is saved: what a killed run had told of an epoch, a resumed one tells again
            state = self.state()
            if is_best:
                save_checkpoint(state, folder / BEST)
            save_checkpoint(state, folder / LATEST)
            if stop.signum is not None and progress.epoch < options.n_epochs:
                stop.interrupt(f"stopped after epoch {progress.epoch} and saved")

    def train_epoch(self, stop: StopRequest, folder: Path) -> None:
        """Go through the (rest of the) epoch's anchors, part by part, mining before each."""
        progress = self.progress
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, progress.epoch)
        if progress.order is None:
            progress.order = torch.randperm(len(self.scene.query), generator=self.generator)
        parts = progress.order.split(self.options.cache_refresh_rate or len(self.scene.query))
        quiet = True if self.options.quiet else None  # None: only where stderr is a terminal
        with tqdm(desc=f"epoch {progress.epoch + 1}", unit="step", leave=False, disable=quiet) as bar:
            while progress.part < len(parts):
                begun = time.perf_counter()
                if progress.tuples is None:
                    self.check_weights()
                    progress.tuples = self.mine(parts[progress.part])
                batches = math.ceil(len(progress.tuples) / self.options.batch_size)
                bar.reset(total=batches)
                bar.update(progress.step)
                while progress.step < batches:
                    first = progress.step * self.options.batch_size
                    self.train_step(progress.tuples[first : first + self.options.batch_size])
                    progress.step += 1
                    bar.update()
                    if stop.signum is not None:
                        progress.seconds += time.perf_counter() - begun
                        self.check_weights()
                        save_checkpoint(self.state(), folder / LATEST)
                        stop.interrupt(f"stopped in epoch {progress.epoch + 1} and saved")
                progress.tuples, progress.step = None, 0
                progress.part += 1
                progress.seconds += time.perf_counter() - begun

    def mine(self, queries: Tensor) -> MinedTuples:
        """Encode the anchors and all references, and search."""
        amp, length = self.options.amp, self.options.sequence_length
        vectors = encode(self.encoder, self.reference_frames, self.scene.reference.starts, length, amp=amp)
        anchors = encode(self.encoder, self.query_frames, self.scene.query.starts, length, amp=amp)
        return self.miner.mine(queries, anchors[queries.to(self.device)], vectors, self.generator, self.remembered)

    def train_step(self, batch: MinedTuples) -> None:
        """One step of the optimizer."""
        options, progress = self.options, self.progress
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options.amp):
            tuples = self.encode_batch(batch)
        terms = self.loss(tuples)
        if not torch.isfinite(terms.loss):
            raise self.diverged(f"the loss became {terms.loss.item()}")
        self.optimizer.zero_grad(set_to_none=True)
        terms.loss.backward()
        if self.observer is not None:
            norm = torch.nn.utils.get_total_norm([p.grad for p in self.encoder.parameters() if p.grad is not None])
            self.observer.step(terms.positive_distance, terms.negative_distance, float(norm))
        self.optimizer.step()
        for name, value in terms.means().items():
            progress.totals[name] = progress.totals.get(name, 0.0) + len(batch) * value
        progress.totals["tuples"] = progress.totals.get("tuples", 0) + len(batch)

    def diverged(self, what: str) -> UserError:
        """The error that stops a run whose numbers are no longer finite."""
        return UserError(
            f"{what} in epoch {self.progress.epoch + 1}, batch {self.progress.step + 1}; the last good checkpoint is "
            f"kept; try a smaller --lr than {self.options.lr:g}" + (", or leave out --amp" if self.options.amp else "")
        )

    def check_weights(self) -> None:
        """Raise :class:`UserError` where a weight is infinite or not a number."""
        if not all(parameter.isfinite().all() for parameter in self.encoder.parameters()):
            raise self.diverged("weights became infinite or not a number")

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
        places = self.reference_places[batch.negatives]  # (B, M, P)
        return Tuples(
            anchors=anchors,
            positives=references[: len(batch)],
            negatives=negatives,
            mask=mask,
            apart=(torch.cdist(places, places) > self.scene.split.negative_radius).to(self.device),
        )

    def validate(self) -> bool:
        """Score the validation split; True where it is the best so far (recall@5, recall@1 breaking ties)."""
        progress = self.progress
        validated = validate(self.encoder, self.validation, self.options.amp)
        progress.recalls = validated.recalls
        if self.observer is not None:
            self.observer.validation(progress.epoch - 1, validated)
        score = (progress.recalls.get(5, progress.recalls[1]), progress.recalls[1])
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
            epoch=progress.epoch - 1,
            epochs=self.options.n_epochs,
            means={name: total / count for name, total in totals.items()},
            tuples=count,
            seconds=progress.seconds,
            lr=learning_rate(self.options, progress.epoch - 1),
            recalls=dict(progress.recalls) if evaluated else None,
            is_best=is_best,
        )

    def state(self) -> dict[str, Any]:
        """The checkpoint: seqNet's keys, and what a resumed run needs to go on as if never stopped."""
        return {
            "epoch": self.progress.epoch,
            "in_dims": self.encoder.in_dims,
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
                "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            },
        }

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from :meth:`state`.

        Raises:
            UserError: the checkpoint does not fit, or is seqNet's, which lacks what a resumed run needs.
        """
        check_dims(state, self.encoder.in_dims, source, self.scene.dataset)
        if "progress" not in state:
            raise UserError(f"{source} holds weights only (a seqNet checkpoint?); test it, or train a new run")
        fit_state(self.encoder, state["state_dict"], source)
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress.of(state["progress"])
        self.remembered = state["remembered"]
        self.generator.set_state(state["random"]["own"])
        torch.set_rng_state(state["random"]["torch"])
        if self.device.type == "cuda" and isinstance(state["random"]["cuda"], Tensor):
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)


def validate(encoder: SequenceEncoder, scene: Scene, amp: bool) -> Validated:
    """Score an encoder on a scene by exact search."""
    reference, query = (
        side_of(side, encode_side(encoder, side, scene.device, amp)) for side in (scene.reference, scene.query)
    )
    ks = [k for k in RECALLS if k <= len(scene.reference)]
    ranking = search(reference.vectors, query.vectors, max(ks), device=scene.device)
    correct = scene.truth.correct(ranking.indices, scene.radius)
    recalls = recall_at(correct, scene.has_positive(), ks)
    nearest = scene.truth.nearest_reference()
    return Validated(reference, query, ranking.distances[:, 0], correct[:, 0], nearest, recalls)


def same_places(scene: Scene) -> tuple[Tensor, Tensor]:
    """Frames of the same places on both drives: query and reference frames (P, D) float32, rows i the same place.

    Queries without a positive are left out, and of very many queries only evenly spaced ones are taken.
    """
    nearest = scene.truth.nearest_reference()
    queries = np.flatnonzero(scene.has_positive())
    queries = queries[np.unique(np.linspace(0, len(queries) - 1, min(len(queries), INITIAL_PAIRS)).astype(int))]
    rows = ((scene.query, queries), (scene.reference, nearest[queries]))
    query, reference = (
        torch.from_numpy(np.asarray(side.traverse.descriptors[side.rows[chosen]], np.float32)) for side, chosen in rows
    )
    return query, reference


def make_miner(scene: Scene, options: TrainOptions, loss: TupleLoss) -> Miner:
    """The miner for a training scene.

    Raises:
        UserError: the split says nothing of negatives, or some query has none.
    """
    split, query, reference = scene.split, scene.query, scene.reference
    radius = split.negative_radius
    if radius is None:
        raise UserError(f"split {split.name} of {scene.dataset} has no negative_radius, so it cannot be trained on")
    if split.positives is None:
        excluded = Neighbours.within(query.positions, reference.positions, radius)
    else:  # in reference rows, as the table
        widened = split.positives[query.rows] + np.array([-1, 1]) * math.floor(radius)
        excluded = Neighbours.of_ranges(np.searchsorted(reference.rows, widened))
    if int(excluded.counts().max()) == len(reference):
        units = split.units if split.positives is None else "rows"
        raise UserError(f"a training query has no reference beyond {radius:g} {units}; lower negative_radius")
    return Miner(scene.positives(), excluded, options.n_neg, loss.violation, loss.squared, options.n_neg_sample)


def make_optimizer(encoder: SequenceEncoder, options: TrainOptions) -> torch.optim.Optimizer:
    """The optimizer ``--optim`` names, each step in one pass over the weights."""
    parameters = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    shared = {"lr": options.lr, "weight_decay": options.weight_decay, "fused": True}
    if options.optim == "SGD":
        return torch.optim.SGD(parameters, momentum=options.momentum, **shared)
    kind = torch.optim.Adam if options.optim == "ADAM" else torch.optim.AdamW
    return kind(parameters, **shared)


def learning_rate(options: TrainOptions, epoch: int) -> float:
    """The learning rate of an epoch: a function of its number alone, so nothing needs restoring."""
    if options.schedule == "step":
        return options.lr * options.lr_gamma ** (epoch // options.lr_step)
    return options.lr * 0.5 * (1 + math.cos(math.pi * epoch / options.n_epochs))
