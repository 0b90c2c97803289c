"""Recalls on real images, from image files to a table: prepare, extract, train, test.

    python benchmarks/images_accuracy.py --nordland FOLDER [--corridor FOLDER] [--imageSize 32 64] [--seeds 1 2 3]

``--nordland`` takes season folders with a ``frames.csv`` (``--source nordland``), ``--corridor`` folders with a
``ground_truth.csv`` (``--source vpr-bench``). Descriptors are HOG. Each row is R@1, 5, 10 on the test split: untrained
methods, then ``dsdnet`` with default options trained with each seed, and HVPR, its answer re-ranked by matching the
frames of an encoder of single frames (``s1+seqmatch``); of trained rows the mean over the seeds, and in brackets the
R@1 of each. ``--epochs`` shortens training.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

UNTRAINED = (("single", 1), ("single", 5), ("smooth", 5), ("delta", 5), ("single+seqmatch", 5), ("single+seqmatch", 10))
KS = ("1", "5", "10")


@dataclass(frozen=True)
class Row:
    """Recalls of one method on one dataset, a dict by K for each seed (untrained: one)."""

    dataset: str
    method: str
    recalls: tuple[dict[str, float], ...]

    def mean(self, k: str) -> float:
        """Mean over the seeds of the recall at ``k``."""
        return statistics.mean(recall[k] for recall in self.recalls)

    def __str__(self) -> str:
        seeds = ", ".join(f"{recall['1']:.3f}" for recall in self.recalls)
        means = "".join(f"{self.mean(k):8.3f}" for k in KS)
        return f"{self.dataset:<28}{self.method:<32}{means}" + (f"  ({seeds})" if len(self.recalls) > 1 else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nordland", help="folder of seasons")
    parser.add_argument("--corridor", help="folder of ref, query and ground_truth.csv")
    parser.add_argument("--imageSize", type=int, nargs=2, default=(), help="height and width; default HOG's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--epochs", type=int, default=0, help="0: the default")
    arguments = parser.parse_args()
    print(f"{'dataset':<28}{'method':<32}" + "".join(f"{'R@' + k:>8}" for k in KS), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for source, root in (("vpr-bench", arguments.corridor), ("nordland", arguments.nordland)):
            if root is None:
                continue
            for standardise in ("none", "traverse") if source == "vpr-bench" else ("none",):
                data = described(source, root, Path(folder, f"{source}-{standardise}"), standardise,
                                 tuple(arguments.imageSize))
                split = "test" if source == "vpr-bench" else arguments.split
                for row in rows(data, arguments.seeds if source == "nordland" else [], split, arguments.epochs):
                    print(row, flush=True)
    return 0


def described(source: str, root: str, folder: Path, standardise: str, image_size: tuple[int, ...]) -> Path:
    """The dataset folder of ``root`` with HOG descriptors."""
    from extract import extract
    from prepare import prepare
    from utils.options import ExtractOptions, PrepareOptions

    name = f"{Path(root).name}{' (standardised)' if standardise == 'traverse' else ''}"
    prepare(PrepareOptions.of(source=source, root=root, output=str(folder), name=name, quiet=True))
    extract(ExtractOptions.of(dataset=str(folder), desc_type="hog", standardise=standardise, image_size=image_size,
                              quiet=True))
    return folder


def rows(folder: Path, seeds: list[int], split: str = "test", epochs: int = 0) -> Iterator[Row]:
    """A row a method; trained ones only where there are ``seeds``."""
    for pooling, length in UNTRAINED:
        yield row(folder, split, [{"pooling": pooling, "sequence_length": length}])
    runs = [(trained(folder, seed, epochs, sequence_length=5),
             trained(folder, seed, epochs, sequence_length=1, w=1)) for seed in seeds]
    if seeds:
        yield row(folder, split, [{"resume": s5} for s5, _ in runs])
        yield row(folder, split, [{"resume": s5, "rerank": "single+seqmatch"} for s5, _ in runs])
        yield row(folder, split, [{"resume": s5, "rerank": "s1+seqmatch", "rerank_resume": s1} for s5, s1 in runs])


def trained(folder: Path, seed: int, epochs: int, **options: object) -> str:
    """The run folder of ``dsdnet`` trained with default options but these."""
    from train import train
    from utils.options import TrainOptions

    if epochs:
        options["n_epochs"] = epochs
    name = f"seed{seed}-{options['sequence_length']}"
    return str(train(TrainOptions.of(dataset=str(folder), seed=seed, runs_path=str(folder / "runs"), exp_name=name,
                                     quiet=True, **options)))


def row(folder: Path, split: str, methods: list[dict]) -> Row:
    """Test each of ``methods`` (options) and put them into one row."""
    import contextlib
    import io

    from test import test
    from utils.options import TestOptions

    records = []
    for options in methods:
        with contextlib.redirect_stdout(io.StringIO()):
            records.append(test(TestOptions.of(dataset=str(folder), split=split, bootstrap=0, latency_queries=0,
                                               quiet=True, **options)))
    return Row(records[0].data.dataset, records[0].method.label, tuple(record.recall for record in records))


if __name__ == "__main__":
    raise SystemExit(main())
