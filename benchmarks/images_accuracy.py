"""Recalls on real images, from image files to a table: prepare, extract, train, test. Run by ``accuracy.py``."""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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

    def line(self) -> str:
        """Of a markdown table."""
        seeds = ", ".join(f"{recall['1']:.3f}" for recall in self.recalls) if len(self.recalls) > 1 else ""
        means = " | ".join(f"{self.mean(k):.3f}" for k in KS)
        return f"| {self.dataset} | {self.method} | {means} | {seeds} |"


def table(corridor: Path | None, nordland: Path | None, seeds: list[int]) -> list[str]:
    """A markdown table of the recalls on the test split of the datasets given.

    Descriptors are HOG. Untrained methods come first, then ``dsdnet`` with default options trained with each seed, and
    HVPR, its answer re-ranked by matching frames, raw (``single+seqmatch``) and as an encoder of single frames sees
    them (``s1+seqmatch``); of trained rows the mean over the seeds.

    Args:
        corridor: folders ``ref`` and ``query`` with a ``ground_truth.csv`` (``--source vpr-bench``).
        nordland: season folders with a ``frames.csv`` (``--source nordland``), the one that is trained on.
        seeds: of training.
    """
    lines = [
        "",
        "| dataset | method | " + " | ".join(f"R@{k}" for k in KS) + " | R@1 of each seed |",
        "|---" * (len(KS) + 3) + "|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for source, root, adaptations, dataset_seeds in (
            ("vpr-bench", corridor, ({}, {"adapt": "traverse", "adapt_scale": True}), []),
            ("nordland", nordland, ({},), seeds),
        ):
            if root is not None:
                folder = described(source, root, Path(scratch, source))
                for row in (row for adaptation in adaptations for row in rows(folder, dataset_seeds, adaptation)):
                    lines.append(row.line())
                    print(lines[-1], file=sys.stderr, flush=True)
    return lines


def described(source: str, root: Path, folder: Path) -> Path:
    """The dataset folder of ``root`` with HOG descriptors."""
    from opticornet.options.modes import ExtractOptions, PrepareOptions
    from opticornet.steps.extract import extract
    from opticornet.steps.prepare import prepare

    prepare(PrepareOptions.of(source=source, root=str(root), output=str(folder), name=root.name, quiet=True))
    extract(ExtractOptions.of(dataset=str(folder), desc_type="hog", quiet=True))
    return folder


def rows(folder: Path, seeds: list[int], adaptation: dict[str, object]) -> Iterator[Row]:
    """One row per method, its frames adapted so; trained ones, not adapted, only where there are ``seeds``."""
    for pooling, length in UNTRAINED:
        yield row(folder, [{"pooling": pooling, "sequence_length": length} | adaptation])
    runs = [(trained(folder, seed, sequence_length=5), trained(folder, seed, sequence_length=1, w=1)) for seed in seeds]
    if seeds:
        yield row(folder, [{"resume": s5} for s5, _ in runs])
        yield row(folder, [{"resume": s5, "rerank": "single+seqmatch"} for s5, _ in runs])
        yield row(folder, [{"resume": s5, "rerank": "s1+seqmatch", "rerank_resume": s1} for s5, s1 in runs])


def trained(folder: Path, seed: int, **options: object) -> str:
    """The run folder of ``dsdnet`` trained with default options but these."""
    from opticornet.options.modes import TrainOptions
    from opticornet.steps.train import train

    name = f"seed{seed}-{options['sequence_length']}"
    return str(
        train(
            TrainOptions.of(
                dataset=str(folder), seed=seed, runs_path=str(folder / "runs"), exp_name=name, quiet=True, **options
            )
        )
    )


def row(folder: Path, methods: list[dict]) -> Row:
    """Test each of ``methods`` (options) and put them into one row."""
    import contextlib
    import io

    from opticornet.options.modes import TestOptions
    from opticornet.steps.test import test

    records = []
    for options in methods:
        with contextlib.redirect_stdout(io.StringIO()):
            records.append(
                test(TestOptions.of(dataset=str(folder), bootstrap=0, latency_queries=0, quiet=True, **options))
            )
    return Row(records[0].data.dataset, records[0].method.label, tuple(record.recall for record in records))
