"""Re-ranking by local features against the matrix products it cannot do without.

    python benchmarks/local_reranking.py [--queries 4] [--candidates 10] [--features 3600 500] [--limit 1.5]

Neighbouring queries, whose candidates overlap, and float16 features of 128 dimensions in a memory-mapped file, of which
96 % are used; ``rerank`` reads, converts, multiplies, looks for mutual matches and orders. ``products`` are the bare
float32 products of the used features of each pair, converted before, into one matrix that is there.
The exit status is 1 where ``rerank`` takes more than ``--limit`` times as long.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import interleave, parse

CHANNELS, USED = 128, 0.96


def main() -> int:
    arguments = parse(__doc__, queries=4, candidates=10, features=["3600", "500"], repeats=5, limit=1.5)
    queries, candidates = arguments.queries, arguments.candidates
    print(f"{queries} queries x {candidates} candidates, {arguments.cores} cores: median milliseconds a pair")
    print(f"{'features':>10}{'MB a frame':>12}{'products':>10}{'rerank':>10}{'ratio':>8}")
    ratios = {}
    for features in map(int, arguments.features):
        with tempfile.TemporaryDirectory() as folder:
            timing = measure(Path(folder), queries, candidates, features, arguments.repeats)
        ratios[features] = timing.ratio("rerank", "products")
        pair = "".join(f"{1e3 * timing.median(name) / (queries * candidates):>10.2f}" for name in timing.seconds)
        print(f"{features:>10}{2 * CHANNELS * features / 1e6:>12.2f}{pair}{ratios[features]:>8.2f}", flush=True)
    for features, ratio in ratios.items():
        print(f"re-ranking by {features} local features over its products: {ratio:.2f}, limit {arguments.limit}")
    return 0 if max(ratios.values()) <= arguments.limit else 1


def measure(folder: Path, queries: int, candidates: int, features: int, repeats: int):
    """Time both for consecutive queries, each with the candidates around it."""
    import numpy as np
    import torch

    from opticornet.matching.rerankers.local_features import rerank

    generator = torch.Generator().manual_seed(0)
    used = int(USED * features)
    references = queries + candidates
    scene = torch.randn(used, CHANNELS, generator=generator)
    local = torch.zeros(queries + references, features, CHANNELS)
    noise = torch.randn(len(local), used, CHANNELS, generator=generator)
    local[:, :used] = torch.nn.functional.normalize(scene + 0.5 * noise, dim=2)  # as alike as frames of one place
    np.save(folder / "local.npy", local.half().numpy())
    stored = np.load(folder / "local.npy", mmap_mode="r")
    query, reference = stored[:queries], stored[queries:]
    wanted = np.arange(queries)[:, None] + np.arange(candidates)
    cosines = torch.empty(used, used)

    def products() -> None:
        for own, row in zip(local[:queries], wanted + queries, strict=True):
            for other in local[row]:
                torch.mm(own[:used], other[:used].T, out=cosines)

    return interleave({"products": products, "rerank": lambda: rerank(query, reference, wanted)}, repeats)


if __name__ == "__main__":
    sys.exit(main())
