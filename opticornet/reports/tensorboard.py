"""What a training run writes for TensorBoard, and its epochs as text beside it."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams
from torch import Tensor

from opticornet.evaluation.validated import EncodedSide, Validated
from opticornet.learning.history import EpochHistory, EpochReport
from opticornet.learning.task import Validation
from opticornet.options.base import Options
from opticornet.utils.device import peak_memory_mib

FIGURE_EVERY = 5  # validations between two similarity matrices
_SIDE = 500  # longest side of a similarity matrix
_EDGES = np.linspace(0, 2, 81)  # of unit vectors' distances
_SPRITE = 32
_DISTANCE = "_distance"
_NOT_COMPARED = {  # options that say where, how fast and how loudly
    *("dataPath", "structPath", "runsPath", "savePath", "resume", "expName"),
    *("device", "nocuda", "threads", "quiet", "verbose"),
}


class TrainingLog:
    """The TensorBoard events of one run, whose samples are ``counted``; a context manager that closes them."""

    def __init__(self, run: Path, options: Options, first_epoch: int, counted: str = "tuples") -> None:
        self.options, self.counted = options, counted
        self.writer = SummaryWriter(str(run), purge_step=first_epoch + 1, filename_suffix=f".{time.time_ns()}")
        self.history = EpochHistory(run, first_epoch, counted)
        self.last: tuple[int, Validation] | None = None
        self._validations = 0
        self._reset()
        if first_epoch == 0:
            self.writer.add_text("options", f"```json\n{json.dumps(options.record(), indent=2)}\n```")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.close()

    def step(self, values: dict[str, Tensor], gradient_norm: float) -> None:
        """Take in one step of the optimizer.

        Args:
            values: of the task, by name, on the CPU; of those that end in ``_distance``, Euclidean distances of unit
                vectors, (K,) each, the distribution is drawn.
            gradient_norm: Euclidean norm of all parameters' gradients.
        """
        for name, distances in values.items():
            if name.endswith(_DISTANCE):
                self._distances.setdefault(name.removesuffix(_DISTANCE), _Histogram()).add(distances.numpy())
        self._norms.append(gradient_norm)

    def validation(self, epoch: int, validation: Validation) -> None:
        """Write a validation's metrics and, where it shows a :class:`Validated`, its precision-recall curve and, every
        few of them, its similarity matrix, where pictures can be drawn.

        Args:
            epoch: -1 for what training starts from.
            validation: of any task.

        The precision-recall curve takes 1 - d / 2 as the confidence of a match at distance d; its recall is over
        the right first matches, TensorBoard knows no other.
        """
        step = epoch + 1
        if epoch < 0:
            self.history.begin(validation.metrics)
        for name, value in validation.metrics.items():
            self.writer.add_scalar(f"val/{_tag(name)}", value, step)
        if isinstance(validation.shown, Validated):
            shown = validation.shown
            confidence = np.clip(1 - shown.distances / 2, 0, 1)
            self.writer.add_pr_curve("val/first_match", shown.correct.astype(np.int64), confidence, step)
            if self._validations % FIGURE_EVERY == 0 and can_draw():
                picture = similarity_picture(shown)
                self.writer.add_image("val/similarity", picture, step, dataformats="HWC")
        self._validations += 1
        self.last = (step, validation)

    def epoch(self, report: EpochReport) -> None:
        """Write an epoch."""
        step = report.epoch + 1
        for name, value in report.means.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self.writer.add_scalar(f"train/{self.counted}", report.samples, step)
        self.writer.add_scalar("train/lr", report.lr, step)
        if self._norms:
            self.writer.add_scalar("train/gradient_norm", float(np.mean(self._norms)), step)
            self.writer.add_scalar("train/gradient_norm_max", float(np.max(self._norms)), step)
        for name, histogram in self._distances.items():
            if histogram.counts.any():
                histogram.write(self.writer, f"train/distance_{name}", step)
        self.writer.add_scalar("speed/seconds_per_epoch", report.seconds, step)
        self.writer.add_scalar(f"speed/{self.counted}_per_second", report.samples / max(report.seconds, 1e-9), step)
        self.writer.add_scalar("memory/peak_mib", peak_memory_mib(), step)
        if torch.cuda.is_initialized():
            self.writer.add_scalar("memory/cuda_peak_mib", torch.cuda.max_memory_allocated() / 2**20, step)
        self.history.add(report)
        self._reset()

    def finish(self, best: Mapping[str, float]) -> None:
        """Write the options with the metrics of the best and the last validation as hparams, so that runs can be
        compared, and the last validation's descriptors for the projector."""
        metrics = {f"best/{_tag(name)}": value for name, value in best.items()}
        if self.last is not None:
            step, validation = self.last
            metrics |= {f"last/{_tag(name)}": value for name, value in validation.metrics.items()}
            if isinstance(validation.shown, Validated):
                write_projector(self.writer, "val", (validation.shown.reference, validation.shown.query), step)
        self._write_hparams(metrics)

    def _write_hparams(self, metrics: dict[str, float]) -> None:
        """Write a session of the hparams table: what shapes the run, and what it reached.

        No list of columns is written (``SummaryWriter.add_hparams`` would), so that TensorBoard makes it from all runs
        and puts the options first in which they differ.
        """
        values = {
            name: value if isinstance(value, int | float | str | bool) else str(value)
            for name, value in self.options.record().items()
            if name not in _NOT_COMPARED
        }
        _, start, end = hparams(values, metrics)
        with SummaryWriter(f"{self.writer.logdir}/hparams") as session:
            session.file_writer.add_summary(start)
            session.file_writer.add_summary(end)
            for name, value in metrics.items():
                session.add_scalar(name, value)

    def _reset(self) -> None:
        self._distances: dict[str, _Histogram] = {}
        self._norms: list[float] = []


class _Histogram:
    """Distances of unit vectors, counted in bins as they come."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(_EDGES) - 1, np.int64)
        self.total = self.squares = 0.0

    def add(self, distances: np.ndarray) -> None:
        """Count some distances (K,) float32."""
        self.counts += np.histogram(np.clip(distances, 0, 2), _EDGES)[0]
        self.squares += float(np.square(distances, dtype=np.float64).sum())
        self.total += float(distances.sum(dtype=np.float64))

    def write(self, writer: SummaryWriter, tag: str, step: int) -> None:
        """Write what was counted; the first and last bin that hold any bound it."""
        filled = np.flatnonzero(self.counts)
        writer.add_histogram_raw(
            tag,
            min=float(_EDGES[filled[0]]),
            max=float(_EDGES[filled[-1] + 1]),
            num=int(self.counts.sum()),
            sum=self.total,
            sum_squares=self.squares,
            bucket_limits=_EDGES[1:].tolist(),
            bucket_counts=self.counts.tolist(),
            global_step=step,
        )


def _tag(metric: str) -> str:
    """A metric's name as TensorBoard has it: "recall@5" is "recall_at_5"."""
    return metric.replace("@", "_at_")


def write_result(
    folder: Path, record: Any, arrays: dict[str, np.ndarray], sides: tuple[EncodedSide, ...], limit: int
) -> None:
    """Write a test's scalars and precision-recall curve, and the descriptors of ``sides`` for the projector.

    Args:
        folder: of the events.
        record, arrays: a ``opticornet.evaluation.records.ResultRecord`` and what is saved beside it.
        sides: what to show in the projector; empty for nothing.
        limit: places of each side.
    """
    with SummaryWriter(str(folder), filename_suffix=f".{time.time_ns()}") as writer:
        for k, recall in record.recall.items():
            writer.add_scalar(f"{record.data.split}/recall_at_{k}", recall, 0)
        if record.average_precision is not None:
            writer.add_scalar(f"{record.data.split}/average_precision", record.average_precision, 0)
        for step, latency in record.timing.latency_ms.items():
            writer.add_scalar(f"latency_ms/{step}", latency.median, 0)
        if record.recall:
            confidence, right = confidences(arrays["distances"][:, 0]), arrays["correct"][:, 0].astype(np.int64)
            writer.add_pr_curve(f"{record.data.split}/first_match", right, confidence, 0)
        writer.add_text("method", record.method.label)
        if sides:
            write_projector(writer, record.data.split, sides, 0, limit)


def confidences(distances: np.ndarray) -> np.ndarray:
    """(M,) distances of any sign to confidences: 1 for the smallest, 0 for the largest and for what is infinite."""
    finite = np.isfinite(distances)
    if not finite.any():
        return np.zeros(len(distances))
    low, high = distances[finite].min(), distances[finite].max()
    return np.where(finite, (high - np.where(finite, distances, high)) / max(float(high - low), 1e-12), 0.0)


def can_draw() -> bool:
    """Whether what draws pictures is installed: it comes with the extra ``report``, and training does without."""
    try:
        import matplotlib  # noqa: F401
        import PIL  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def similarity_picture(validated: Validated) -> np.ndarray:
    """(H, W, 3) uint8: cosine similarity of queries (down) and references (across), at most 500 of each, evenly
    chosen; true places green, first matches are the brightest pixel of their row."""
    from matplotlib import colormaps

    rows, columns = (
        np.unique(np.linspace(0, len(side.vectors) - 1, min(_SIDE, len(side.vectors))).astype(int))
        for side in (validated.query, validated.reference)
    )
    similarity = validated.query.vectors[rows] @ validated.reference.vectors[columns].T  # (H, W)
    low, high = np.quantile(similarity, [0.01, 0.998])
    picture = colormaps["magma"](np.clip((similarity - low) / max(high - low, 1e-6), 0, 1))[..., :3]
    nearest = validated.nearest[rows]
    known = np.flatnonzero(nearest >= 0)
    picture[known, np.searchsorted(columns, nearest[known]).clip(max=len(columns) - 1)] = (0.0, 0.88, 0.64)
    return (255 * picture).round().astype(np.uint8)


def write_projector(
    writer: SummaryWriter, split: str, sides: tuple[EncodedSide, ...], step: int, limit: int = 500
) -> None:
    """Write a split's descriptors for TensorBoard's projector: place, traverse and position of each as metadata,
    image sprites where every frame has a readable image. At most ``limit`` of each side, evenly chosen."""
    chosen = [np.unique(np.linspace(0, len(s.vectors) - 1, min(limit, len(s.vectors))).astype(int)) for s in sides]
    vectors = np.concatenate([side.vectors[rows] for side, rows in zip(sides, chosen, strict=True)])
    axes = [f"position_{i}" for i in range(sides[0].positions.shape[1])]
    metadata = [
        [
            _cell(side.names[i] if side.names else i),
            _cell(side.drives[i] if side.drives else side.traverse),
            *(f"{p:.6g}" for p in side.positions[i]),
        ]
        for side, rows in zip(sides, chosen, strict=True)
        for i in rows
    ]
    paths = [side.images[i] for side, rows in zip(sides, chosen, strict=True) if side.images for i in rows]
    images = _sprites(paths) if len(paths) == len(vectors) and can_draw() else None
    writer.add_embedding(
        vectors, metadata, label_img=images, global_step=step, tag=split, metadata_header=["place", "traverse", *axes]
    )


def _cell(value: object) -> str:
    """Text that keeps to its cell of a tab-separated file."""
    return " ".join(str(value).split()) or "-"


def _sprites(paths: list[str]) -> np.ndarray | None:
    """(N, 3, 32, 32) float32 thumbnails in 0..1; None where one cannot be read."""
    from PIL import Image, UnidentifiedImageError

    pictures = []
    for path in paths:
        try:
            with Image.open(path) as image:
                small = image.convert("RGB").resize((_SPRITE, _SPRITE))
        except (OSError, UnidentifiedImageError):
            return None
        pictures.append(np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 255)
    return np.stack(pictures)
