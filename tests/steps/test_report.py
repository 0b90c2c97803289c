import csv
import sys

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.options.modes import ReportOptions
from opticornet.steps.report import report
from opticornet.utils.errors import UserError


@pytest.fixture
def tested(tmp_path, capsys):
    """Records of a quick test on built-in data, as the command line writes them."""
    results = tmp_path / "results"
    common = [
        "--mode",
        "test",
        "--dataset",
        "synthetic",
        "--latencyQueries",
        "2",
        "--bootstrap",
        "50",
        "--device",
        "cpu",
    ]
    assert main([*common, "--pooling", "smooth", "--seqL", "5", "--resultsPath", str(results)]) == 0
    capsys.readouterr()
    return list(results.glob("*.json"))


@pytest.mark.slow
def test_report_of_a_test(tested, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["--mode", "report", "--results", *map(str, tested), "--output", str(out)]) == 0
    printed = capsys.readouterr()
    assert f"report: {out / 'index.html'} (1 result, " in printed.out
    assert printed.err == ""
    page = (out / "index.html").read_text()
    assert "smooth S5" in page
    assert 'src="http' not in page
    (row,) = csv.DictReader((out / "table.csv").open())
    assert row["dataset"] == "synthetic"
    assert 0 < float(row["recall@1"]) < 1
    names = {path.name for path in out.iterdir()}
    for figure in (
        "recall_at_k",
        "precision_recall",
        "recall_radius",
        "recall_latency",
        "map_1",
        "route_1",
        "matrix_1",
    ):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert {"table.md", "table.tex"} <= names


def test_no_matrix_where_none_is_wanted(tested, tmp_path):
    report(ReportOptions.of(results=tuple(map(str, tested)), output=str(tmp_path / "out"), matrix_side=0, quiet=True))
    assert not list((tmp_path / "out").glob("matrix_*"))
    assert "left out by --matrixSide 0" in (tmp_path / "out" / "index.html").read_text()


def test_errors_are_one_line(tmp_path, capsys):
    assert main(["--mode", "report", "--results", str(tmp_path / "none.json")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "none.json" in line
    with pytest.raises(UserError, match="`matrix_side`"):
        report(ReportOptions.of(results=("a.json",), matrix_side=-1))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_three_thousand_queries_fit_into_time_and_size(tmp_path):
    """3000 x 3000 places with 4096-D frames: under 10 MB of page and 2 GB of memory."""
    import json
    import subprocess

    from opticornet.options.modes import TestOptions
    from opticornet.steps.test import test as run_test

    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    places = rng.standard_normal((3000, 4096), dtype=np.float32)
    for name in ("summer", "winter"):
        np.save(folder / f"{name}.npy", places + 0.5 * rng.standard_normal(places.shape, dtype=np.float32))
    (folder / "dataset.toml").write_text(
        'name = "large"\nunits = "frames"\n[traverses.summer]\ndescriptors = "summer.npy"\n'
        '[traverses.winter]\ndescriptors = "winter.npy"\n'
        '[splits.test]\nreference = "summer"\nquery = "winter"\npositive_radius = 1\n'
    )
    results = tmp_path / "results"
    run_test(TestOptions.of(
        dataset=str(folder), pooling="smooth", results_path=str(results), latency_queries=0, bootstrap=0, device="cpu",
        quiet=True,
    ))  # fmt: skip
    (record,) = results.glob("*.json")
    arguments = ["--mode", "report", "--results", record, "--output", tmp_path / "out", "--quiet"]
    script = (
        "import json, sys\nfrom opticornet.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "from opticornet.utils.device import peak_memory_mb\n"
        "print(json.dumps([status, peak_memory_mb()]))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    status, megabytes = json.loads(done.stdout)
    assert status == 0
    assert megabytes < 2000
    assert (tmp_path / "out" / "index.html").stat().st_size < 10e6
