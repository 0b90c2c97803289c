"""Sequence matching at a speed that changes: dynamic time warping (Sakoe and Chiba, 1978)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch

from opticornet.matching.sequences.base import FramesAround, SequenceMatcher
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class Warping(SequenceMatcher):
    """Smallest mean distance along a path through the anchors of both windows, that goes at half to double speed.

    From one query frame to the next the reference goes on by one frame, by two, or by none, but never by none twice in
    a row: Sakoe and Chiba's slope constraint, in their asymmetric form, in which every query frame counts once. The
    path's ends are free: driven at another speed, a query window holds more or less of the route than one of the
    reference, and fixed ends would pair different places. Without the constraint a path would rest on whichever frame
    resembles many others. Frames beyond the reference's own sequence are not considered. A path along the diagonal
    gives ``Diagonal``'s score.

    Attributes:
        band: largest difference of positions that may be paired (Sakoe-Chiba band), or None for any.
    """

    band: int | None = option(
        "--band", None, "largest difference of the positions in both windows that may be paired; default: any"
    )

    def __post_init__(self):
        if self.band is not None and self.band < 0:
            raise ValueError(f"the band must not be negative, found {self.band}")

    def margin(self, length: int, anchor: int) -> int:
        reach = max(anchor, length - 1 - anchor)  # the farther end at double speed, beyond the window's
        return reach if self.band is None else min(reach, self.band)

    def score(self, local: torch.Tensor, around: FramesAround) -> torch.Tensor:
        length = local.shape[2]
        margin = (local.shape[3] - length) // 2
        anchor = around.anchor

        def distance(position: int, frame: int) -> torch.Tensor:
            values = local[:, :, position, margin + frame]
            if 0 <= frame < length:
                return values
            outside = around.before < -frame if frame < 0 else around.after <= frame - length
            return values.masked_fill(outside, torch.inf)

        go_back, rest_back = self.cheapest(distance, anchor, -1, anchor)
        go_on, rest_on = self.cheapest(distance, anchor, 1, length - 1 - anchor)
        ways = [go_back + go_on]  # one rest on either side of the anchor would be two in a row
        ways += [go_back + rest_on] if rest_on is not None else []
        ways += [rest_back + go_on] if rest_back is not None else []
        return least(ways).add_(local[:, :, anchor, margin + anchor]).div_(length)

    def cheapest(
        self, distance: Callable[[int, int], torch.Tensor], anchor: int, way: int, steps: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Sums of the best paths from the anchor outwards, which is not counted itself.

        Args:
            distance: of a query position and a reference frame, (A, B).
            anchor: where all paths begin.
            way: -1 or 1, from one query frame to the next.
            steps: query frames on this way.

        Returns:
            (A, B) float32 of the paths whose first step goes on, and of those whose first step rests, None where there
            are none.
        """
        reached = self.reached(steps)
        nothing = torch.zeros_like(distance(anchor, anchor))
        gone = rested = dict.fromkeys(reached, nothing)  # what is still to pay, after a step that went on or rested
        stay = None
        for step in range(steps, 0, -1):
            here = {frame: distance(anchor + way * step, anchor + way * frame) for frame in reached}
            on, off = ({frame: here[frame] + costs[frame] for frame in reached} for costs in (gone, rested))
            reached = self.reached(step - 1)
            rested = {frame: least([on[to] for to in (frame + 1, frame + 2) if to in on]) for frame in reached}
            stay = off.get(0)
            gone = {frame: least([rested[frame], *([off[frame]] if frame in off else [])]) for frame in reached}
        return rested[0], stay

    def reached(self, steps: int) -> range:
        """How many reference frames a path may have gone on in so many steps."""
        first, last = steps // 2, 2 * steps
        if self.band is None:
            return range(first, last + 1)
        return range(max(first, steps - self.band), min(last, steps + self.band) + 1)


def least(costs: list[torch.Tensor]) -> torch.Tensor:
    """The smallest of each entry; a tensor of its own where there are several."""
    return reduce(torch.minimum, costs)
