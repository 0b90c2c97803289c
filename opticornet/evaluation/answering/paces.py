"""A map at several paces: each place as it looks from a drive that is faster, slower, standing or backwards.

A query is as far from a place as from the nearest of its paces. The more paces, the more often a wrong place is near by
chance; hence the cost of every pace but the recorded one.
"""

import math
from dataclasses import dataclass

PACE_COST = 0.035
SLOWEST = 1 / 4  # slower than that costs as much as standing
FASTEST = 16


@dataclass(frozen=True)
class MapPaces:
    """The paces of a map.

    Attributes:
        paces: how many times as fast as recorded, the first 1: 0 stands, -1 is driven backwards.
        cost: by which share of itself a distance to a place grows for each doubling or halving of its pace.
    """

    paces: tuple[float, ...] = (1.0,)
    cost: float = 0.0

    @property
    def factors(self) -> tuple[float, ...]:
        """What distances at each pace are multiplied by."""
        return tuple(1 + self.cost * doublings(pace) for pace in self.paces)


AS_RECORDED = MapPaces()


def doublings(pace: float) -> float:
    """How many doublings or halvings a pace is away from the recorded one: two where it stands or nearly does, and
    backwards one more than forwards."""
    return abs(math.log2(max(abs(pace), SLOWEST))) + (pace < 0)
