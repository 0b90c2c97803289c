"""Sequence matching against the one matrix product it cannot do without, and how it grows.

    python benchmarks/matching.py [--frames 3000] [--repeats 5] [--cores 2] [--limit 1.5]

``match`` ranks all references for all queries by the diagonal matcher; ``normalised`` does so from frames that are
scaled to unit length as they are read; ``product`` is the bare float32 product of the two sets of frames. The exit
status is 1 where ``match`` takes more than ``--limit`` times the product. From N/2 to 2N both
sides grow, so 16 is the growth of the work.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import interleave, parse

LENGTH, DIMS, K = 5, 4096, 100
COLUMNS = ("product", "match", "normalised")


def main() -> int:
    arguments = parse(__doc__, frames=3000, repeats=5, limit=1.5)
    print(f"sequence matching, L = {LENGTH}, D = {DIMS}, best {K}, {arguments.cores} cores: median seconds")
    print(f"{'N x N':>12}" + "".join(f"{name:>12}" for name in COLUMNS) + f"{'ratio':>8}{'normalised':>12}")
    timings = {}
    growth = arguments.frames // 2, arguments.frames * 2
    for size in (arguments.frames, *growth):
        timing = timings[size] = measure(size, arguments.repeats)
        seconds = "".join(f"{timing.median(name):>12.3f}" for name in COLUMNS)
        ratios = f"{timing.ratio('match', 'product'):>8.2f}{timing.ratio('normalised', 'product'):>12.2f}"
        print(f"{f'{size} x {size}':>12}{seconds}{ratios}", flush=True)
    ratio = timings[arguments.frames].ratio("match", "product")
    small, large = (timings[size] for size in growth)
    grown = "".join(f"{large.median(name) / small.median(name):>11.1f}x" for name in COLUMNS)
    print(f"{'N/2 to 2N':>12}{grown}")
    print(f"match / product at {arguments.frames} x {arguments.frames}: {ratio:.2f}, limit {arguments.limit}")
    return 0 if ratio <= arguments.limit else 1


def measure(size: int, repeats: int):
    """Time the product and both matches of ``size`` reference and query frames."""
    import numpy as np
    import torch

    from opticornet.datasets.windows import window_starts
    from opticornet.matching.sequences.diagonal import Diagonal
    from opticornet.matching.sequences.match import match
    from opticornet.matching.sequences.windows import SequenceSet

    generator = torch.Generator().manual_seed(0)
    place = torch.randn(DIMS, generator=generator)
    query, reference = (
        torch.nn.functional.normalize(place + torch.randn(size, DIMS, generator=generator), dim=1) for _ in range(2)
    )
    bounds = np.tile([0, size], (size, 1))
    starts = window_starts(np.arange(size), bounds, LENGTH)
    unit, scaled = (
        [SequenceSet(frames.numpy(), starts, LENGTH, bounds, normalise) for frames in (reference, query)]
        for normalise in (False, True)
    )
    return interleave(
        {
            "product": lambda: query @ reference.T,
            "match": lambda: match(Diagonal(), *unit, K),
            "normalised": lambda: match(Diagonal(), *scaled, K),
        },
        repeats,
    )


if __name__ == "__main__":
    sys.exit(main())
