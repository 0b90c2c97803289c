"""Encoding a traverse: every frame's products once, not once for each window it appears in.

    python benchmarks/encoding.py [--frames 3000] [--repeats 3] [--cores 2] [--limit 1.5]

``products`` are the bare matrix products of all frames with the w taps of the convolution; ``encode`` is what every
step calls; ``windows`` runs the convolution over each window on its own, as seqNet does. The last column is
``encode`` over ``products``. The longer the window, the more ``windows`` repeats, while seqnet's ``encode`` stays as it
is; dsdnet's grows by the steps of its LSTM, which belong to one window alone. The exit status is 1 where seqnet takes
more than ``--limit`` times the products, or dsdnet as long as its convolution window by window.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import interleave, parse

DIMS, OUT_DIMS, W, LENGTHS = 512, 512, 5, (5, 10, 20)


def main() -> int:
    arguments = parse(__doc__, frames=3000, repeats=3, limit=1.5)
    print(f"encoding {arguments.frames} frames, D = {DIMS}, outDims {OUT_DIMS}, w = {W}: median seconds")
    print(f"{'':<8}{'L':>4}{'products':>10}{'encode':>10}{'windows':>10}{'ratio':>8}")
    worst = {"seqnet": 0.0, "dsdnet": 0.0}
    for name, limit in (("seqnet", "products"), ("dsdnet", "windows")):
        for length in LENGTHS:
            timing = measure(name, arguments.frames, length, arguments.repeats)
            seconds = "".join(f"{timing.median(column):>10.3f}" for column in ("products", "encode", "windows"))
            print(f"{name:<8}{length:>4}{seconds}{timing.ratio('encode', 'products'):>8.2f}", flush=True)
            if name == "seqnet" or length > W:
                worst[name] = max(worst[name], timing.ratio("encode", limit))
    print(f"encode / products of seqnet, any L: {worst['seqnet']:.2f}, limit {arguments.limit}")
    print(f"encode / windows of dsdnet, L above w: {worst['dsdnet']:.2f}, limit 1")
    return 0 if worst["seqnet"] <= arguments.limit and worst["dsdnet"] < 1 else 1


def measure(name: str, frames: int, length: int, repeats: int):
    """Time the encoding of ``frames`` windows, its products, and the convolution of every window."""
    import numpy as np
    import torch

    from opticornet.datasets.frames import DescriptorFrames
    from opticornet.inference.encode import encode
    from opticornet.models.sequences import SEQUENCE_ENCODERS
    from opticornet.utils.options import option_fields
    from opticornet.utils.registry import entry

    kind = entry(SEQUENCE_ENCODERS, name)
    options = {"out_dims": OUT_DIMS, "w": W}
    encoder = kind(**{key: options[key] for key in options if key in option_fields(kind)}).build(DIMS, length)
    rows = torch.nn.functional.normalize(torch.randn(frames, DIMS, generator=torch.Generator().manual_seed(0)), dim=1)
    starts = np.clip(np.arange(frames) - length // 2, 0, frames - length)
    source = DescriptorFrames(rows.numpy(), torch.device("cpu"))
    taps = encoder.conv.weight.detach().permute(2, 1, 0).contiguous()  # (w, D, O)

    @torch.inference_mode()
    def products() -> None:
        for block in rows.split(128):
            for tap in taps:
                torch.mm(block, tap)

    @torch.inference_mode()
    def windows() -> None:
        for part in torch.from_numpy(starts).split(128):
            encoder.conv(rows[part[:, None] + torch.arange(length)].transpose(1, 2))

    return interleave(
        {"products": products, "encode": lambda: encode(encoder, source, starts, length), "windows": windows}, repeats
    )


if __name__ == "__main__":
    sys.exit(main())
