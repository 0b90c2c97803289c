"""The benchmarks run: what they build of the package fits it, and one that breaks is said to have broken."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import opticornet
from opticornet.models.sequences.sta.options import STAOptions
from opticornet.options.modes import TestOptions as OptionsOfTest
from opticornet.options.modes import TrainOptions


def load(root, name: str, monkeypatch) -> ModuleType:
    """A benchmark as a module; they are scripts that import their neighbours by bare names."""
    monkeypatch.setattr(sys, "path", [str(root / "benchmarks"), *sys.path])
    spec = importlib.util.spec_from_file_location(f"benchmark_{name.strip('_')}", root / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["seqnet", "dsdnet"])
def test_the_runs_that_testing_times_can_be_tested(root, tmp_path, monkeypatch, name):
    testing = load(root, "testing", monkeypatch)
    testing.make_data(tmp_path, 40, 8)
    testing.make_run(tmp_path, name, 8)
    record = opticornet.test(
        dataset=str(tmp_path), resume=str(tmp_path / name), bootstrap=0, latency_queries=0, quiet=True, device="cpu"
    )
    assert record.method.weights is not None
    assert (record.method.pooling, record.method.sequence_length) == (name, testing.LENGTH)


def test_the_stages_and_products_that_sta_times_fit_its_model(root, monkeypatch):
    sta = load(root, "sta", monkeypatch)
    monkeypatch.setattr(sta, "SIDE", 96)
    model = (
        STAOptions(sta_dims=16, sta_heads=2, sta_layers=1, sta_clusters=4, sta_image_size=(96, 96)).build(0, 5).eval()
    )
    for function in (sta.stages(model) | sta.traverse(model, 2)).values():
        function()
    described = model.describe_frames
    seen = []
    monkeypatch.setattr(model, "describe_frames", lambda frames: (seen.append(len(frames)), described(frames))[1])
    for function in sta.traverse(model, 6).values():
        function()
    assert seen == [5, 5, *[5] * 6]  # of 10 frames once, of 6 windows of 5


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('a: 1, limit 2')", None),
        ("print('a: 3, limit 2'); raise SystemExit(1)", None),  # a limit that is missed is in the table
        ("print('a: 1, limit 2'); raise TypeError", "ended with status 1 before all was measured"),
        ("print('nothing')", "ended with status 0 before all was measured"),
    ],
)
def test_a_benchmark_that_breaks_is_no_success(root, tmp_path, monkeypatch, capsys, script, message):
    every = load(root, "__main__", monkeypatch)
    (tmp_path / "one.py").write_text(script)
    monkeypatch.setattr(every, "FOLDER", tmp_path)
    monkeypatch.setattr(every, "BENCHMARKS", {"one": []})
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    if message is None:
        assert every.main() == int("3" in script)
        assert ("FAIL" if "3" in script else "pass") in capsys.readouterr().out
    else:
        with pytest.raises(SystemExit, match=message):
            every.main()


@pytest.fixture
def accuracy(root, monkeypatch):
    """The modules of ``benchmarks/accuracy``, which import one another by bare names."""
    monkeypatch.syspath_prepend(str(root / "benchmarks" / "accuracy"))
    names = ("cells", "page", "rows", "sources", "tables")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def small_bench(accuracy, folder, monkeypatch):
    """Ten times fewer places than there are, all of them alike on both drives but for noise."""
    rng = np.random.default_rng(0)
    places = rng.standard_normal((100, 8))
    for season in ("summer", "fall", "winter"):
        np.save(folder / f"{season}.npy", (places + 0.3 * rng.standard_normal(places.shape)).astype(np.float32))
    monkeypatch.setitem(accuracy["sources"].BLOCKS, "train", (0, 60))
    monkeypatch.setitem(accuracy["sources"].BLOCKS, "val", (62, 78))
    monkeypatch.setitem(accuracy["sources"].BLOCKS, "test", (80, 100))
    sources = accuracy["sources"].Sources(folder)
    return accuracy["cells"].Bench(folder / "cache", sources.open, processes=1)


def test_finished_cells_are_kept_and_what_they_need_is_trained_once(accuracy, tmp_path, monkeypatch):
    bench = small_bench(accuracy, tmp_path, monkeypatch)
    train, seen = opticornet.train, []
    monkeypatch.setattr(opticornet, "train", lambda **given: (seen.append(given), train(**given))[1])
    encoder = {"sequence_length": 1, "w": 1, "n_epochs": 1}
    once = accuracy["rows"].Row("S1", {}, encoder)
    matched = accuracy["rows"].Row("S1 + seqmatch", {"pooling": "s1+seqmatch", "sequence_length": 3}, encoder)
    first = bench.outcomes([once.cell("split", 0), matched.cell("split", 0)])
    assert len(seen) == 1
    assert [outcome["method"]["out_dims"] for outcome in first] == [8, 0]
    assert first[0]["recall"]["1"] > 0.5
    monkeypatch.setattr(accuracy["cells"], "run_cell", None)
    assert bench.outcomes([matched.cell("split", 0), once.cell("split", 0)]) == first[::-1]


def test_what_other_sources_made_is_not_used(accuracy, tmp_path, monkeypatch):
    bench = small_bench(accuracy, tmp_path, monkeypatch)
    monkeypatch.setattr(accuracy["cells"], "ROOT", tmp_path)
    assert small_bench(accuracy, tmp_path, monkeypatch).folder != bench.folder


def test_every_row_has_options_that_exist(accuracy):
    rows = accuracy["rows"]
    images = [row for group in rows.IMAGES.values() for row in group]
    for row in (*rows.METHODS, *rows.MORE_SEASONS, *rows.ABLATIONS, *rows.STRESSED, *rows.SIMULATED, *images):
        OptionsOfTest.of(**row.test)
        for encoder in filter(None, (row.encoder, row.reranker)):
            TrainOptions.of(**encoder)


def test_methods_without_parameters_find_what_they_always_found(accuracy, shared, tmp_path):
    """R@1 | R@5 of real descriptors without adaptation, as tables show them: as before there was anything else."""
    sources = accuracy["sources"].Sources(shared / "data" / "nordland-1k")
    bench = accuracy["cells"].Bench(tmp_path, sources.open, processes=1)
    found = bench.outcomes(row.cell("split", 0, "none") for row in accuracy["rows"].UNTRAINED)
    shown = [accuracy["tables"].recalls([outcome]) for outcome in found]
    assert shown == ["0.085 | 0.205", "0.035 | 0.115", "0.150 | 0.340", "0.140 | 0.290", "0.265 | 0.385"]


def test_folds_share_no_row_and_lie_apart(accuracy):
    sources = accuracy["sources"]
    tested = []
    for fold in range(sources.FOLDS):
        pieces = sources.fold_pieces(fold, 1000)
        rows = {split: {row for piece in runs for row in piece} for split, runs in pieces.items()}
        near = {row + step for split in ("test", "val") for row in rows[split] for step in range(-10, 11)}
        assert not near & rows["train"]
        assert not rows["test"] & rows["val"]
        assert len(rows["val"]) == sources.VALIDATION
        tested += sorted(rows["test"])
    assert tested == list(range(1000))


def test_a_cell_of_another_season_trains_with_it(accuracy, tmp_path, monkeypatch):
    bench = small_bench(accuracy, tmp_path, monkeypatch)
    text = Path(bench.datasets("split+fall", tmp_path / "made"), "dataset.toml").read_text()
    assert re.findall(r"^reference = (.*)$", text, re.MULTILINE) == [
        '["summer-train", "fall-train"]',
        '"summer-val"',
        '"summer-test"',
    ]


def test_a_table_lists_every_row_and_adaptation(accuracy):
    """Of outcomes that are all alike but for a row's place."""
    tables, rows = accuracy["tables"], accuracy["rows"]
    latency = {step: {"median": ms} for step, ms in {"encode": 0.5, "search": 0.25, "total": 0.75}.items()}
    outcome = {"recall": {}, "recall_each": {"1": 0.25, "5": 0.5}, "method": {"out_dims": 64}, "training_s": [2.0]}
    outcome |= {"data": {"dims": 8}, "timing": {"latency_ms": latency}}

    class Same:
        def outcomes(self, cells):
            return [outcome for _ in cells]

    lines = tables.methods(Same(), tables.Seeds(2, 1))
    table = [line for line in lines if line.startswith("| dsdnet S5 ")]
    assert table == [
        "| dsdnet S5 | 64 | 0.50 | 0.25" + 3 * " | 0.250 ± 0.000 | 0.500 ± 0.000" + " |",
        "| dsdnet S5" + 3 * " | 0.250 ± 0.000 | 0.500 ± 0.000" + " |",
    ]
    assert lines[-1] == "Training one encoder took 2.0 s on one core (median)."
    names = [row.name for row in rows.METHODS + rows.MORE_SEASONS]
    places = {name: sum(line.startswith(f"| {name} |") for line in lines) for name in names}
    assert places == dict.fromkeys(names, 2)
    assert {line.count("|") for line in lines if line.startswith("| ")} == {11, 8}


def test_a_table_replaces_the_one_on_its_page(accuracy, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end -->\nbetween\n<!-- b -->\nkept\n<!-- end -->\n")
    accuracy["page"].insert(page, "a", ["new", "lines"])
    assert page.read_text() == (
        "before\n<!-- a -->\n\nnew\nlines\n\n<!-- end -->\nbetween\n<!-- b -->\nkept\n<!-- end -->\n"
    )
    with pytest.raises(SystemExit, match="has no place <!-- c -->"):
        accuracy["page"].insert(page, "c", [])


def test_every_table_has_its_place(accuracy, root):
    pages = [(root / page).read_text() for page in ("docs/results.md", "README.md")]
    places = [name for page in pages for name in re.findall(r"<!-- (?!end)(\w+) -->", page)]
    assert sorted(places) == sorted(accuracy["tables"].TABLES)


def test_the_numbers_of_the_readme_are_those_of_the_results(root):
    def rows(page: str, marker: str) -> dict[str, list[str]]:
        """Numbers of each row between the marker and the next end, of the first table that has it."""
        text = (root / page).read_text().split(f"<!-- {marker} -->")[1].split("<!-- end -->")[0]
        found = re.findall(r"^\| ([^|]+) \| (.*) \|$", text, re.MULTILINE)
        return {name: re.findall(r"\b[01]\.\d{3}\b(?<!± .{5})", numbers) for name, numbers in reversed(found)}

    shown, measured = rows("README.md", "summary"), rows("docs/results.md", "methods")
    shown.pop("method")
    assert len(shown) > 5
    for name, numbers in shown.items():
        assert len(numbers) >= 2
        assert measured[name][:2] == numbers[:2]
        assert set(numbers) <= set(measured[name])
