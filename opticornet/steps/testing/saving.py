"""What a test writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from opticornet.evaluation.answering.search import Described
from opticornet.evaluation.records import ResultRecord, save_result
from opticornet.evaluation.scene import Scene
from opticornet.evaluation.validated import EncodedSide
from opticornet.options.modes import ReportOptions, TestOptions
from opticornet.utils.files import atomic_path, writing


def make_folders(options: TestOptions) -> None:
    """Make the folders that are written to: one that cannot be is reported before any work is done."""
    folders = [options.results_path, options.report, str(Path(options.answers).parent) if options.answers else ""]
    for folder in filter(None, folders):
        with writing(folder):
            Path(folder).mkdir(parents=True, exist_ok=True)


def save(
    options: TestOptions,
    run: Path | None,
    record: ResultRecord,
    arrays: dict[str, np.ndarray],
    shown: tuple[EncodedSide, ...],
) -> ResultRecord:
    """Write what was asked for: record and arrays, TensorBoard events (to the run, else to the results).

    Returns the record, which knows where its arrays are.
    """
    name = Path(record.predictions).stem
    folder = options.results_path or options.report
    if folder:
        path = save_result(record, arrays, Path(folder), name)
        name = path.stem
        record = replace(record, predictions=f"{name}.npz")
        print(f"record: {path}")
    if run is not None or options.results_path:
        from opticornet.reports.tensorboard import write_result

        events = run / "tests" / name if run is not None else Path(options.results_path) / name
        with writing(events):
            write_result(events, record, arrays, shown, options.projector)
    return record


def extract_only(options: TestOptions, scene: Scene, described: Described) -> None:
    """Write ``dbDesc``, ``qDesc`` and ``gt`` (pairs of query and correct reference window) to ``--resultsPath``."""
    path = Path(options.results_path) / f"{options.new_name()}.npz"
    positives = scene.positives()
    pairs = np.stack([positives.queries, positives.rows], axis=1)  # (E, 2)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, dbDesc=described.reference, qDesc=described.query, gt=pairs)
    print(f"descriptors: {path}")


def write_report(options: TestOptions, records: dict[str, ResultRecord]) -> None:
    """Write the report of all results."""
    from opticornet.steps.report import report

    folder = Path(options.results_path or options.report)
    paths = tuple(str((folder / record.predictions).with_suffix(".json")) for record in records.values())
    report(ReportOptions.of(results=paths, output=options.report, quiet=options.quiet))
