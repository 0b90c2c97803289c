"""STA at 384 x 384: its work over its products alone, its stacks, a traverse with shared frames, memory of a step.

    python benchmarks/sta.py [--windows 200] [--repeats 3] [--cores 2] [--limit 1.5]

``products`` are the model's convolutions, linear layers and both products of every attention, bare, for one window of
5 frames. ``temporal`` and ``spatial`` are the stacks of 4 blocks on the same tokens. Of a traverse of ``--windows``
windows ``shared`` describes each frame once, by tokenizer and spatial stack, ``alone`` those of every window anew. The
memory is the peak of a process in one training step on one window, above what it had before. The exit status is 1 where
a limit is missed.
"""

import multiprocessing
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import interleave, once, parse

LENGTH, SIDE, TEMPORAL_LIMIT, SHARING_LIMIT, MEMORY_LIMIT = 5, 384, 1.3, 4.0, 1.0


def main() -> int:
    arguments = parse(__doc__, windows=200, repeats=3, limit=1.5)
    model = make_model()
    timing = interleave(stages(model), arguments.repeats)
    print(f"STA, {SIDE} x {SIDE}, a window of {LENGTH} frames: median seconds")
    for name in timing.seconds:
        print(f"{name:<12}{timing.median(name):>8.3f}", flush=True)
    sharing = once(traverse(model, arguments.windows))  # it takes long enough, and all is warm
    print(f"frames of a traverse of {arguments.windows} windows: "
          f"shared {sharing.median('shared'):.1f} s, alone {sharing.median('alone'):.1f} s")  # fmt: skip
    plain, checkpointed = (peak_mib(checkpointing) for checkpointing in (False, True))
    print(f"peak memory of a training step above the model's: {plain:.0f} MiB, checkpointed {checkpointed:.0f} MiB")
    measured = (
        timing.ratio("model", "products"),
        timing.ratio("temporal", "spatial"),
        sharing.ratio("alone", "shared"),
        checkpointed / plain,
    )
    print(f"sequences of STA per second: {1 / timing.median('model'):.2f}")
    print(f"STA / its products: {measured[0]:.2f}, limit {arguments.limit}")
    print(f"temporal / spatial stack: {measured[1]:.2f}, limit {TEMPORAL_LIMIT}")
    print(f"frames of a traverse, alone / shared: {measured[2]:.2f}, limit at least {SHARING_LIMIT}")
    print(f"memory of a step, checkpointed / not: {measured[3]:.2f}, limit {MEMORY_LIMIT}")
    kept = measured[0] <= arguments.limit and measured[1] <= TEMPORAL_LIMIT
    return 0 if kept and measured[2] >= SHARING_LIMIT and measured[3] <= MEMORY_LIMIT else 1


def make_model():
    """STA as published, random weights, in evaluation mode."""
    from opticornet.models.sequences.sta.options import STAOptions

    return STAOptions().build(0, LENGTH).eval()


def stages(model):
    """The model, its stacks and its products, each on one window."""
    import torch

    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(LENGTH, 3, SIDE, SIDE, generator=generator)
    tokens = torch.randn(LENGTH, model.grid[0] * model.grid[1], model.aggregator.centroids.shape[1])
    spatial, temporal = model.spatial_blocks, model.encoder.temporal
    run = {
        "model": lambda: model(frames[None]),
        "products": products(model, frames, tokens),
        "spatial": lambda: spatial(tokens, model.grid),
        "temporal": lambda: temporal(tokens[None], model.grid),
    }
    return {name: torch.inference_mode()(function) for name, function in run.items()}


def products(model, frames, tokens):
    """Every convolution, linear layer and attention of the model as bare products of the same shapes."""
    import torch
    from torch import nn

    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    planes, images = [], frames
    for stage in model.encoder.spatial.tokenizer.conv_layers:
        planes.append(images)
        with torch.inference_mode():
            images = stage(images)
    flat = tokens.flatten(0, 1)
    linears = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features > 1]
    wide = torch.randn(len(flat), max(linear.in_features for linear in linears))
    heads, layers = model.spatial_blocks.blocks[0].self_attn.heads, len(model.spatial_blocks.blocks)
    width, count = tokens.shape[2] // heads, tokens.shape[1]
    framewise = torch.randn(LENGTH * heads, count, width)
    windowed = torch.randn(49 * heads, 36 * LENGTH, width)
    gathered, clusters = nn.functional.normalize(flat, dim=1), model.aggregator.conv.weight[:, :, 0]

    def bare() -> None:
        for plane, conv in zip(planes, convolutions, strict=True):
            conv(plane)
        for linear in linears:
            torch.mm(flat if linear.in_features == flat.shape[1] else wide, linear.weight.T)
        for each in (framewise, windowed):
            for _ in range(layers):
                for part in each.split(heads):  # as many logits as a cache holds
                    torch.bmm(torch.bmm(part, part.transpose(1, 2)), part)
        torch.mm((gathered @ clusters.T).T, gathered)

    return bare


def traverse(model, windows: int):
    """Describing the frames of a traverse once, and once per window that they are in."""
    import torch

    frames = torch.randn(windows + LENGTH - 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def shared() -> None:
        for part in frames.split(LENGTH):
            model.describe_frames(part)

    def alone() -> None:
        for start in range(windows):
            model.describe_frames(frames[start : start + LENGTH])

    return {name: torch.inference_mode()(function) for name, function in {"shared": shared, "alone": alone}.items()}


def peak_mib(checkpointing: bool) -> float:
    """Peak of a process that makes one training step on one window, above its memory before."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=step, args=(checkpointing, sending))
    process.start()
    grown = receiving.recv()
    process.join()
    return grown


def step(checkpointing: bool, sending) -> None:
    """Forwards and backwards through the model; sends by how many MiB the process grew at its peak."""
    import torch

    from opticornet.utils.device import baseline_memory_mib, peak_memory_mib

    torch.set_num_threads(1)
    model = make_model().train()
    for stack in model.parts.stacks:
        stack.checkpointing = checkpointing
    frames = torch.randn(1, LENGTH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    before = baseline_memory_mib()
    model(frames).square().sum().backward()
    sending.send(peak_memory_mib() - before)


if __name__ == "__main__":
    sys.exit(main())
