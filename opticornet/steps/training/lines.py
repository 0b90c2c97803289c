"""What training says while it goes on."""

from opticornet.learning.history import EpochReport
from opticornet.learning.loop import Progress
from opticornet.learning.selection import recalls_of
from opticornet.options.learning import LearningOptions
from opticornet.options.parsing import in_flags
from opticornet.options.train import TrainOptions
from opticornet.utils.logs import duration


def epoch_line(report: EpochReport, progress: Progress, options: LearningOptions) -> str:
    """One line per epoch for the terminal."""
    loss = f"loss {report.means['loss']:.4f}" if report.samples else "no violating tuples"
    recalls = "".join(f"  {recall}" for recall in shown_recalls(report.metrics or {}))
    left = report.seconds * (report.epochs - report.epoch - 1)
    mark = " *" if report.is_best else ""
    return (
        f"epoch {report.epoch + 1:>3}/{report.epochs}  {loss}{recalls}{mark}  best {options.select_by} "
        f"{progress.best[0]:.3f}  {duration(report.seconds)}  {duration(left)} left"
    )


def epoch_details(report: EpochReport, counted: str) -> str:
    """What ``verbose`` adds to an epoch's line; its samples are ``counted``."""
    means = ", ".join(f"{name} {value:.4f}" for name, value in report.means.items())
    speed = report.samples / max(report.seconds, 1e-9)
    return f"    {report.samples} {counted}, {speed:.0f} per second, lr {report.lr:.2e}, {means}"


def silent_line(progress: Progress) -> str:
    """What it means that no tuple violates the margin, and which options to try."""
    recall = recalls_of(progress.metrics)[1]
    found = f"epoch {progress.epoch} found no tuple that violates the margin, so this loss has nothing left to say"
    if recall == 1:
        return f"{found}; validation R@1 is 1.000, so there is nothing left to find either"
    advice = "a `loss` that weighs all references (soft-contrastive, smooth-ap), a larger `margin`, or `augment`"
    return in_flags(f"{found}; validation R@1 is {recall:.3f}, so there is more to find: try {advice}", TrainOptions)


def best_line(progress: Progress, options: LearningOptions) -> str:
    """Which epoch's weights are kept, by what, and what validation found with them."""
    recalls = ", ".join(shown_recalls(progress.best_metrics))
    start = " (what training started from)" if progress.best_epoch == 0 else ""
    return (
        f"best: epoch {progress.best_epoch}{start} by {options.select_by} {progress.best[0]:.3f}, validation {recalls}"
    )


def shown_recalls(metrics: dict[str, float]) -> list[str]:
    """R@1 and R@5 in words, as far as they are known."""
    found = recalls_of(metrics)
    return [f"R@{k} {found[k]:.3f}" for k in (1, 5) if k in found]
