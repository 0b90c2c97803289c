"""Sequence matching over a range of speeds: SeqSLAM (Milford and Wyeth, ICRA 2012)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import pad

from opticornet.matching.sequences.base import FramesAround, SequenceMatcher
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

VELOCITIES = (0.25, 2.5, 0.25)
SPEED_COST = 0.05
_SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True, kw_only=True)
class SeqSlam(SequenceMatcher):
    """Smallest mean distance along straight lines through the anchors of both windows.

    At velocity v, position t of the query window meets reference frame ``round(v * (t - c)) + c`` counted from the
    reference window's first frame, with c the anchor, L // 2 of centred windows (halves are rounded up). Lines faster
    than 1 reach beyond the reference window; one that would leave the reference's own sequence is not considered.
    Velocity 1 alone is ``Diagonal``.

    The more lines, the more often one is best by chance: a wide range loses where speeds are equal. Hence the cost of a
    line away from the diagonal, which SeqSLAM has not; the defaults were chosen on validation data (docs/protocols.md).

    Attributes:
        velocities: slowest, fastest and step: lines of ``slowest, slowest + step, ..., fastest`` are tried.
        speed_cost: what a line costs for each doubling or halving of the speed, as a share of its mean distance's size.
            None: 0.05 at the default velocities; none at others, SeqSLAM's definition.
        contrast_window: R_window of SeqSLAM's local contrast enhancement, or 0 for none: each frame distance is
            replaced by its number of standard deviations from the mean, both taken over the reference frames at most
            ``contrast_window // 2`` away (fewer at the ends of the traverse).
    """

    velocities: tuple[float, ...] = option(
        "--velocities", VELOCITIES, "slowest and fastest speed of the reference, and the step between"
    )
    speed_cost: float | None = option(
        "--speedCost",
        None,
        "share of its mean distance that a line costs per doubling or halving of the speed; default: "
        f"{SPEED_COST:g} at the default velocities, else 0",
    )
    contrast_window: int = option("--contrastWindow", 0, "references around for contrast; 0: off")

    def __post_init__(self) -> None:
        if len(self.velocities) != 3:
            raise UserError("`velocities`: wanted three numbers, e.g. 0.8 1.2 0.1: slowest, fastest, step")
        slowest, fastest, step = self.velocities
        if not 0 < slowest <= min(1, fastest) or step <= 0 or fastest - slowest > 1000 * step:
            raise UserError(
                f"`velocities` {slowest:g} {fastest:g} {step:g}: wanted them positive, rising by a positive step (1000 "
                "at most) and beginning at 1 or below"
            )
        if self.speed_cost is None:
            object.__setattr__(self, "speed_cost", SPEED_COST if self.velocities == VELOCITIES else 0.0)

    def speeds(self) -> np.ndarray:
        """(V,) float64, ascending."""
        slowest, fastest, step = self.velocities
        count = int(np.floor((fastest - slowest) / step + 1e-9)) + 1
        return slowest + step * np.arange(count)

    def lines(self, length: int, anchor: int) -> np.ndarray:
        """(V', L) int64 distinct lines: the reference frame that meets each query position."""
        return self.costly_lines(length, anchor)[0]

    def costly_lines(self, length: int, anchor: int) -> tuple[np.ndarray, np.ndarray]:
        """The :meth:`lines`, and (V',) float64 what each costs: of the speeds that a line stands for, the least."""
        speeds = self.speeds()
        steps = speeds[:, None] * (np.arange(length) - anchor)  # (V, L)
        lines, line_of = np.unique(np.floor(steps + 0.5 + 1e-9).astype(np.int64) + anchor, axis=0, return_inverse=True)
        costs = np.full(len(lines), np.inf)
        np.minimum.at(costs, line_of.ravel(), (self.speed_cost or 0.0) * np.abs(np.log2(speeds)))
        return lines, costs

    def margin(self, length: int, anchor: int) -> int:
        lines = self.lines(length, anchor)
        return max(0, -int(lines.min()), int(lines.max()) - length + 1) + self.contrast_window // 2

    def prepare(self, distances: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        return enhance_contrast(distances, real, self.contrast_window // 2) if self.contrast_window else distances

    def score(self, local: torch.Tensor, around: FramesAround) -> torch.Tensor:
        length = local.shape[2]
        margin = (local.shape[3] - length) // 2
        best = torch.full(local.shape[:2], torch.inf, device=local.device)
        for line, cost in zip(*self.costly_lines(length, around.anchor), strict=True):
            total = local[:, :, 0, margin + line[0]].clone()
            for position in range(1, length):
                total += local[:, :, position, margin + line[position]]
            total.div_(length)
            if cost:
                total.add_(total.abs(), alpha=cost)
            outside = (around.before < -line.min()) | (around.after < line.max() - length + 1)
            torch.minimum(best, total.masked_fill_(outside, torch.inf), out=best)
        return best


def enhance_contrast(distances: torch.Tensor, real: torch.Tensor, half: int) -> torch.Tensor:
    """Local contrast enhancement along the reference (Milford and Wyeth 2012, section III.B).

    Args:
        distances: (a, b) float32.
        real: (b,) bool; other columns neither count nor mean anything.
        half: neighbours on each side.

    Returns:
        (a, b) float32: (distance - mean) / standard deviation (of a sample, n - 1) over columns ``j - half`` to
        ``j + half``; deviations below 1e-6, as of equal distances, count as 1e-6.
    """
    columns = distances.shape[1]
    weights = pad(real.to(distances.dtype), (half, half))  # (b + 2 * half,)
    padded = pad(distances * real, (half, half))
    shifts = range(2 * half + 1)
    count, total = torch.zeros_like(weights[:columns]), torch.zeros_like(distances)
    for shift in shifts:
        count += weights[shift : shift + columns]
        total += padded[:, shift : shift + columns]
    mean = total / count.clamp(min=1)
    spread = torch.zeros_like(distances)
    for shift in shifts:
        difference = padded[:, shift : shift + columns] - mean
        spread.addcmul_(difference.square_(), weights[shift : shift + columns])
    deviation = spread.div_((count - 1).clamp(min=1)).sqrt_().clamp_(min=_SMALLEST_DEVIATION)
    return (distances - mean).div_(deviation)
