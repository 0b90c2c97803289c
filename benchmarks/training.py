"""One training epoch of seqnet against its matrix products alone, and how both grow.

    python benchmarks/training.py [--frames 15000] [--repeats 3] [--cores 2] [--limit 2.0]

An epoch encodes all windows, mines 10 negatives per anchor by exhaustive search, and takes a step for each batch (with
a learning rate so small that every epoch mines the same tuples). ``--frames`` per side are measured, and a quarter.
``products`` is the part that cannot be left out, done with bare ``torch.mm`` of the same shapes: w products per frame
and one similarity of all windows for mining; for each batch one product forwards and one backwards over its distinct
windows (the mean over time of a convolution is one product with w means). The exit status is 1 above ``--limit``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import interleave, parse

DIMS, LENGTH, W, OUT_DIMS, N_NEG, BATCH = 512, 10, 5, 512, 10, 16


def main() -> int:
    arguments = parse(__doc__, frames=15000, repeats=3, limit=2.0)
    print(f"seqnet, D = {DIMS}, L = {LENGTH}, w = {W}, outDims {OUT_DIMS}, {N_NEG} negatives: median seconds per epoch")
    print(f"{'frames':>14}{'products':>10}{'epoch':>10}{'ratio':>8}{'GFLOP':>8}")
    timings = {}
    for size in (arguments.frames // 4, arguments.frames):
        timings[size], flops = measure(size, arguments.repeats)
        timing = timings[size]
        seconds = "".join(f"{timing.median(name):>10.2f}" for name in ("products", "epoch"))
        ratio = timing.ratio("epoch", "products")
        print(f"{f'{size} + {size}':>14}{seconds}{ratio:>8.2f}{flops / 1e9:>8.0f}", flush=True)
    small, large = timings.values()
    print(f"{'N/4 to N':>14}" + "".join(f"{large.median(n) / small.median(n):>9.1f}x" for n in ("products", "epoch")))
    ratio = large.ratio("epoch", "products")
    print(f"epoch / products at {arguments.frames} + {arguments.frames}: {ratio:.2f}, limit {arguments.limit}")
    return 0 if ratio <= arguments.limit else 1


def measure(size: int, repeats: int):
    """Time an epoch over ``size`` reference and query frames and its products; also their operations."""
    import torch

    loop = make_training(size)
    batches: list[int] = []
    encode_batch = loop.task.source.encode_batch

    def counting(batch):
        distinct = torch.cat([batch.positives, batch.negatives[batch.mask]]).unique()
        batches.append(len(batch) + len(distinct))
        return encode_batch(batch)

    loop.task.source.encode_batch = counting
    epoch(loop)
    loop.task.source.encode_batch = encode_batch
    flops = 2 * OUT_DIMS * (2 * size * W * DIMS + size * size + 2 * sum(batches) * W * DIMS)
    frames = torch.randn(size, DIMS)
    taps = torch.randn(W, DIMS, OUT_DIMS)
    encoded = torch.randn(size, OUT_DIMS)
    windows, weight = torch.randn(max(batches), W * DIMS), torch.randn(W * DIMS, OUT_DIMS)

    def products() -> None:
        for _ in ("reference", "query"):
            for tap in taps:
                torch.mm(frames, tap)
        for tile in encoded.split(1024):
            torch.mm(tile, encoded.T)
        for count in batches:
            forwards = torch.mm(windows[:count], weight)
            torch.mm(forwards.T, windows[:count])

    return interleave({"products": products, "epoch": lambda: epoch(loop)}, repeats), flops


def epoch(loop) -> None:
    """One epoch without validation and without saving."""
    from opticornet.utils.signals import StopRequest

    loop.train_epoch(StopRequest(), Path())
    loop.progress.begin_epoch()


def make_training(size: int):
    """A run over random frames, whose negatives all violate."""
    import numpy as np
    import torch

    from opticornet.datasets.traverse import Split, Traverse
    from opticornet.evaluation.scene import Scene
    from opticornet.options.modes import TrainOptions
    from opticornet.steps.train import make_loop, make_task

    rng = np.random.default_rng(0)

    def traverse(name: str) -> Traverse:
        frames = rng.standard_normal((size, DIMS), dtype=np.float32)
        frames /= np.linalg.norm(frames, axis=1, keepdims=True)
        positions = np.arange(size, dtype=np.float64)[:, None]
        return Traverse(name, frames, positions, "frames", np.tile([0, size], (size, 1)))

    split = Split("train", traverse("reference"), traverse("query"), 10.0, 40.0)
    scene = Scene.of("random", split, LENGTH, 0, torch.device("cpu"))
    options = TrainOptions.of(
        pooling="seqnet", sequence_length=LENGTH, w=W, out_dims=OUT_DIMS, n_neg=N_NEG, batch_size=BATCH,
        loss="triplet", lr=1e-12, quiet=True,
    )  # fmt: skip
    loop = make_loop(options, make_task(options, scene, scene))
    loop.start()
    return loop


if __name__ == "__main__":
    sys.exit(main())
