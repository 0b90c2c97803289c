"""Step: every step once on built-in data: train, test with re-ranking and every baseline, one table, one report."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from opticornet.evaluation.records import ResultRecord
from opticornet.options.modes import DemoOptions, ReportOptions, TestOptions, TrainOptions
from opticornet.reports.labels import labels
from opticornet.steps.test import test
from opticornet.steps.train import train
from opticornet.utils.errors import UserError
from opticornet.utils.program import program, python

BASELINES = ("single", "smooth", "delta", "single+seqmatch")


def demo(options: DemoOptions) -> None:
    """Train encoders of five frames and of one, test them and every baseline, print a table and write the report."""
    begun = time.monotonic()
    shared = {"dataset": options.dataset, "runs_path": options.runs_path, "seed": options.seed}
    s5 = train(TrainOptions.of(**shared, sequence_length=5, exp_name="demo_s5"))
    seqnet = train(TrainOptions.of(**shared, pooling="seqnet", sequence_length=5, exp_name="demo_seqnet"))
    s1 = train(TrainOptions.of(**shared, sequence_length=1, exp_name="demo_s1"))

    shared |= {"results_path": options.results_path, "latency_queries": 20}
    records = [test(TestOptions.of(**shared, pooling=pooling, exp_name=pooling)) for pooling in BASELINES]
    trained = {"resume": str(s5), "sequence_length": 5}
    records += [
        test(TestOptions.of(**shared, resume=str(s1), exp_name="dsdnet_s1")),
        test(TestOptions.of(**shared, pooling="s1+seqmatch", resume=str(s1), exp_name="s1+seqmatch")),
        test(TestOptions.of(**shared, resume=str(seqnet), exp_name="seqnet_s5")),
        test(TestOptions.of(**shared, **trained, exp_name="dsdnet_s5")),
        test(TestOptions.of(**shared, **trained, rerank="single+seqmatch", exp_name="hvpr_single")),
        test(TestOptions.of(**shared, **trained, rerank="s1+seqmatch", rerank_length=10, exp_name="hvpr")),
    ]
    found = [record for record in records if record is not None]
    page = write_report(options, found)
    print("\n" + table(found))
    print(f"\n{time.monotonic() - begun:.0f} s in total")
    print(f"results: {Path(options.results_path)} (a .json record and a .npz of predictions each)")
    print(page)
    print(f"TensorBoard: {python()} -m tensorboard.main --logdir {options.runs_path}")
    print(f"next: {program()} --mode test --resume {s5} --index IVF64,Flat")
    if python() != "python":
        print(f"python for {python()}, in this terminal: source {Path(python()).with_name('activate')}")


def write_report(options: DemoOptions, records: Sequence[ResultRecord]) -> str:
    """Write the report of the demo's results; in a line where it is and how to open it, or why there is none."""
    try:
        from opticornet.steps.report import report
    except UserError as error:  # its libraries are an extra
        return f"no report: {error}"
    paths = [str(Path(options.results_path) / record.predictions.replace(".npz", ".json")) for record in records]
    page = report(ReportOptions.of(results=paths, output=options.report, quiet=True))
    return f"report: {page}; open it: {'open' if sys.platform == 'darwin' else 'xdg-open'} {shlex.quote(str(page))}"


def table(records: Sequence[ResultRecord]) -> str:
    """One row per method, one column per recall, and the latency, marked where it is unsteady."""
    names = labels([asdict(record) for record in records], [record.predictions for record in records])
    width = max(map(len, names))
    lines = [f"{'method':<{width}}   R@1   R@5  R@10  ms/query"]
    for name, record in zip(names, records, strict=True):
        recalls = "".join(f" {record.recall[k]:.3f}" if k in record.recall else "     –" for k in ("1", "5", "10"))
        total = record.timing.latency_ms["total"]
        time_ms = f"{'~' if total.unsteady else ''}{total.median:.2f}"
        lines.append(f"{name:<{width}} {recalls}  {time_ms:>8}")
    if any(record.timing.latency_ms["total"].unsteady for record in records):
        lines.append("~ unsteady: the slowest twentieth took more than three times as long")
    return "\n".join(lines)
