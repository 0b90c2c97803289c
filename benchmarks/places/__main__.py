"""Image encoders learned from labelled places of real images: the tables of docs/results-images.md.

    python benchmarks/places --data FOLDER --backbone FILE [--tables heads terms] [--write]

``--data`` holds ``amos-17-cameras``, ``ie-tower``, ``nordland-thumbnails`` and ``corridor``; ``--backbone`` is a state
dict of a ViT-S/14. Finished cells are kept below ``--cache``, so that an interrupted run continues. ``--write`` puts
the tables into docs/results-images.md.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "accuracy"))  # its cells, rows and lines are used

from cells import ROOT, Bench
from image_sources import Datasets
from image_tables import TABLES
from page import insert

PAGE = ROOT / "docs" / "results-images.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python benchmarks/places", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--backbone", type=Path, required=True, metavar="FILE")
    parser.add_argument("--processes", type=int, default=2, help="at a time")
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "accuracy")
    parser.add_argument("--write", action="store_true", help="into the page")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes to come
    datasets = Datasets(arguments.data.resolve(), arguments.backbone)
    made_by = [Path(__file__).with_name(f"{name}.py") for name in ("image_sources", "labelled")]
    bench = Bench(arguments.cache.resolve(), datasets.open, arguments.processes, made_by)
    for name in arguments.tables:
        begun = time.monotonic()
        lines = TABLES[name](bench)
        print("\n".join(["", *lines]), flush=True)
        print(f"{name}: {(time.monotonic() - begun) / 60:.1f} minutes", file=sys.stderr)
        if arguments.write:
            insert(PAGE, name, lines)


if __name__ == "__main__":
    main()
