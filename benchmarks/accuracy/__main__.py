"""Accuracy of every method on real descriptors, real images and the simulator: the tables of docs/results.md.

    python benchmarks/accuracy --tables methods ablations --descriptors FOLDER [--write]

``--descriptors`` holds ``summer.npy``, ``fall.npy`` and ``winter.npy``, row i the same place (nordland-1k: 1000 x 64,
real NetVLAD); ``--thumbnails`` and ``--corridor`` are folders of images, described by HOG, and
thumbnails by tokens of ``--backbone``, a vision transformer, too. Finished cells are kept
below ``--cache``, so that an interrupted run continues; what other sources of the package made is not used. ``--write``
puts the tables into docs/results.md and README.md.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from cells import ROOT, Bench
from page import insert
from sources import Sources
from tables import TABLES, Seeds

PAGES = {"summary": "README.md"}  # of the others: docs/results.md
NEEDS = {
    "descriptors": ("methods", "summary", "ablations", "dimensions", "kernels"),
    "thumbnails": ("images", "stress", "sta", "tokens"),
    "corridor": ("images",),
    "backbone": ("tokens",),
}
LONG = ("sta", "tokens")  # made where they are asked for


def main() -> None:
    parser = argparse.ArgumentParser(prog="python benchmarks/accuracy", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        default=[name for name in TABLES if name not in LONG],
        help=f"default: all but {', '.join(LONG)}",
    )
    for source in NEEDS:
        parser.add_argument(f"--{source}", type=Path, metavar="FILE" if source == "backbone" else "FOLDER")
    parser.add_argument("--seeds", type=int, default=5, help="on the split")
    parser.add_argument("--foldSeeds", type=int, default=1, help="on each fold")
    parser.add_argument("--processes", type=int, default=2, help="at a time")
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "accuracy")
    parser.add_argument("--write", action="store_true", help="into the pages")
    arguments = parser.parse_args()
    for source, tables in NEEDS.items():
        if getattr(arguments, source) is None and (wanting := set(tables) & set(arguments.tables)):
            parser.error(f"--{source} is missing, which {', '.join(sorted(wanting))} needs")
    sys.path.insert(0, str(ROOT))
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes to come
    sources = Sources(arguments.descriptors, arguments.thumbnails, arguments.corridor, arguments.backbone)
    bench = Bench(arguments.cache.resolve(), sources.open, arguments.processes)
    seeds = Seeds(arguments.seeds, arguments.foldSeeds)
    for name in arguments.tables:
        begun = time.monotonic()
        lines = TABLES[name](bench, seeds)
        print("\n".join(["", *lines]), flush=True)
        print(f"{name}: {(time.monotonic() - begun) / 60:.1f} minutes", file=sys.stderr)
        if arguments.write:
            insert(ROOT / PAGES.get(name, "docs/results.md"), name, lines)


if __name__ == "__main__":
    main()
