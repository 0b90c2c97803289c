"""The benchmarks run: what they build of the package fits it, and one that breaks is said to have broken."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import opticornet
from opticornet.datasets.catalogue import load_dataset
from opticornet.models.sequences.sta.options import STAOptions
from opticornet.options.modes import TestOptions as OptionsOfTest
from opticornet.options.modes import TrainImagesOptions, TrainOptions
from opticornet.steps.train import check_training_options
from opticornet.steps.training.check_images import check_image_options


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
    names = ("cells", "image_sequences", "lines", "page", "rows", "sources", "tables")
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


def test_a_training_that_another_one_needs_is_done_once_and_before(accuracy, tmp_path, monkeypatch):
    cells, seen = accuracy["cells"], []
    monkeypatch.setattr(opticornet, "train", lambda **given: (seen.append(given), tmp_path / f"run{len(seen)}")[1])
    bench = cells.Bench(tmp_path / "cache", lambda name, folder: name, processes=1)
    teacher = cells.Training("split", 0, {"lr": 1.0})
    student = cells.Training("split", 0, {"lr": 2.0}, runs={"teacher": teacher})
    bench._finish("trainings", {cells.key(one): one for one in (student, teacher)})
    assert [given["lr"] for given in seen] == [1.0, 2.0]
    assert seen[1]["teacher"] == str(tmp_path / "run1")


def test_images_are_described_by_what_was_trained_and_tested_as_frames(accuracy, tmp_path, monkeypatch):
    """A sequence encoder too is trained on such frames."""
    cells = accuracy["cells"]
    monkeypatch.setattr(opticornet, "train", lambda **given: (seen.append(given), tmp_path / "run")[1])
    extracted, seen = [], []
    monkeypatch.setattr(opticornet, "extract", lambda **given: extracted.append(given))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "dataset.toml").write_text("kept")
    bench = cells.Bench(tmp_path / "cache", lambda name, folder: str(tmp_path / "made"), processes=1)
    frames = cells.Frames("drive", {"batch_size": 4}, training=cells.Training("places", 0, {"desc_type": "fol"}))
    sequences = cells.Training("drive", 0, {"sequence_length": 5}, described=frames)
    bench._finish("trainings", {cells.key(sequences): sequences})
    (given,) = extracted
    assert (given["resume"], given["batch_size"]) == (str(tmp_path / "run"), 4)
    assert Path(given["dataset"], "dataset.toml").read_text() == "kept"
    assert [one["dataset"] for one in seen] == [str(tmp_path / "made"), given["dataset"]]


def test_windows_of_an_encoder_are_described_once_and_tested_as_frames(accuracy, tmp_path, monkeypatch):
    """Without adaptation they find what the encoder finds in its own test."""
    bench, cells = small_bench(accuracy, tmp_path, monkeypatch), accuracy["cells"]
    training = cells.Training("split", 0, {"sequence_length": 3, "n_epochs": 1, "adapt": "none"})
    frames = {"pooling": "single", "sequence_length": 1}
    extract, seen = opticornet.extract, []
    monkeypatch.setattr(opticornet, "extract", lambda **given: (seen.append(given), extract(**given))[1])
    tested, *described = bench.outcomes(
        [
            cells.Cell("split", {"sequence_length": 3}, {"resume": training}),
            *(
                cells.Cell("split", frames | {"adapt": adapt}, described=cells.Described("split", training))
                for adapt in ("none", "traverse")
            ),
        ]
    )
    assert len(seen) == 1
    assert described[0]["recall_each"] == tested["recall_each"]
    assert described[0]["data"]["dims"] == tested["method"]["out_dims"] == 24
    (trained,) = described[1]["trained"]
    assert (len(trained["validated"]), len(described[1]["training_s"])) == (2, 1)
    assert trained["cpu_s"] > 0


def test_what_is_a_file_of_the_sources_is_given_as_its_path(accuracy, tmp_path, monkeypatch):
    cells, seen = accuracy["cells"], []
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr(opticornet, "train", lambda **given: (seen.append(given), run)[1])
    bench = cells.Bench(tmp_path / "cache", lambda name, folder: f"made/{name}", processes=1)
    bench._finish("trainings", {"a": cells.Training("split", 0, {}, {"sta_backbone": "backbone"})})
    assert (seen[0]["dataset"], seen[0]["sta_backbone"]) == ("made/split", "made/backbone")


def test_thumbnails_are_described_by_the_tokens_of_a_backbone(accuracy, tmp_path, monkeypatch):
    """Unit tokens side by side, and their mean."""
    sources = accuracy["sources"]
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4, 3, sources.TOKEN_DIMS))
    rows = (rows / np.linalg.norm(rows, axis=2, keepdims=True) / 3**0.5).reshape(4, -1).astype(np.float32)
    monkeypatch.setattr(sources, "prepare", lambda source, root, folder, name: folder.mkdir(parents=True))
    monkeypatch.setattr(sources, "token_rows", lambda backbone, table: rows)
    made = sources.Sources(thumbnails=tmp_path, backbone=tmp_path / "weights.pth")
    mean, grid = (np.load(Path(made.open(name, tmp_path), "winter.npy")) for name in (sources.MEAN, sources.GRID))
    wanted = rows.reshape(4, 3, -1).mean(1)
    np.testing.assert_allclose(mean, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(grid, rows)
    assert made.open(sources.BACKBONE, tmp_path) == str(tmp_path / "weights.pth")


def test_what_other_sources_made_is_not_used(accuracy, tmp_path, monkeypatch):
    bench = small_bench(accuracy, tmp_path, monkeypatch)
    monkeypatch.setattr(accuracy["cells"], "ROOT", tmp_path)
    assert small_bench(accuracy, tmp_path, monkeypatch).folder != bench.folder


def test_every_row_has_options_that_exist(accuracy):
    rows = accuracy["rows"]
    images = [row for group in rows.IMAGES.values() for row in group]
    images += [row for group in accuracy["image_sequences"].FRAMES.values() for row in group]
    for row in (*rows.METHODS, *rows.MORE_SEASONS, *rows.ABLATIONS, *rows.STRESSED, *rows.SIMULATED, *images):
        OptionsOfTest.of(**row.test)
        for encoder in filter(None, (row.encoder, row.reranker)):
            TrainOptions.of(**encoder)


def test_every_row_of_image_windows_has_options_that_change_something(accuracy):
    table = accuracy["image_sequences"]
    of_tokens = [table.ON_TOKENS | one.encoder | {"sta_backbone": "weights.pth"} for one in table.ATTENDED]
    for options in (*table.FROM_RANDOM.values(), *of_tokens):
        check_training_options(TrainOptions.of(**options))


def test_tables_of_image_windows_list_every_row(accuracy):
    """Of outcomes that are all alike."""
    table, tables = accuracy["image_sequences"], accuracy["tables"]
    trained = {"cpu_s": 90.0, "validated": [0.1, 0.2, 0.25]}
    outcome = {"recall_each": {"1": 0.25, "5": 0.5}, "method": {"out_dims": 64}, "trained": [trained]}

    class Same:
        def outcomes(self, cells):
            return [outcome for _ in cells]

    lines = tables.TABLES["sta"](Same(), None)
    assert lines[2:] == [
        "| random weights | 0.100 | 0.250 | 0.500 |  |",
        "| random weights, clusters from k-means | 0.100 | 0.250 | 0.500 |  |",
        f"| {list(table.FROM_RANDOM)[2]} | 0.200, 0.250 | 0.250 | 0.500 | 1.5 |",
    ]
    lines = tables.TABLES["tokens"](Same(), None)
    names = [row.name for rows in table.FRAMES.values() for row in rows] + [one.name for one in table.ATTENDED]
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in names]
    assert lines[-1].endswith(" | 64" + 3 * " | 0.250 ± 0.000 | 0.500 ± 0.000" + " | 1.5 |")
    assert {line.count("|") for line in lines} == {10}


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


@pytest.fixture
def places(accuracy, root, monkeypatch):
    """The modules of ``benchmarks/places``, which import those of accuracy and one another by bare names."""
    monkeypatch.syspath_prepend(str(root / "benchmarks" / "places"))
    names = ("encoders", "image_sources", "image_tables", "labelled")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def test_every_table_of_places_has_its_place(places, root):
    page = (root / "docs" / "results-images.md").read_text()
    assert re.findall(r"<!-- (?!end)(\w+) -->", page) == list(places["image_tables"].TABLES)


def test_every_image_encoder_has_options_that_exist(places):
    encoders = places["encoders"]
    for encoder in (*encoders.HEADS, *encoders.ABLATIONS):
        training = encoder.training(0)
        files = dict.fromkeys(training.files, "file") | dict.fromkeys(training.runs, "run")
        check_image_options(TrainImagesOptions.of(dataset="places", **training.options, **files))
        assert encoder.start(0) == encoder.training(0, n_epochs=0) != training


def test_a_student_has_a_teacher_that_is_trained_once(places):
    encoders = places["encoders"]
    assert encoders.STUDENT.training(3).runs == {"teacher": encoders.TEACHER.training(3)}


def test_tables_of_places_list_every_row(places, accuracy):
    """Of outcomes that are all alike but for what was chosen by the validation."""
    tables = places["image_tables"]
    trained = {"cpu_s": 90.0, "best": {"1": 0.375, "5": 0.625}}
    outcome = {"recall": {"1": 0.25, "5": 0.5}, "data": {"dims": 8, "query": {"kept": 4}}, "described": trained}
    read = {"features": 3, "bytes_per_frame": 1536}
    outcome |= {"method": {"local_features": read}, "timing": {"rerank_s": 0.5}}

    class Same:
        def outcomes(self, cells):
            return [outcome for _ in cells]

    found = {name: table(Same()) for name, table in tables.TABLES.items()}
    row = "| fol-small | trained | 8 | 0.375 | 0.625" + 5 * " | 0.250 | 0.500" + " | 1.5 |"
    assert row in found["heads"]
    for lines in found.values():
        assert len({line.count("|") for line in lines}) == 1
    assert sum("trained" in line for line in found["heads"]) == len(tables.HEADS)
    assert len(found["terms"]) == 2 + 1 + len(tables.ABLATIONS)
    assert found["local"][-1] == "| 5 | 3 | 1,536" + 2 * " | 0.250 | 0.500 | 125" + " |"
    assert len(found["sequences"]) == 2 + len(tables.DESCRIBED) * len(tables.SEQUENCES)


def test_sequences_are_trained_and_tested_on_what_one_encoder_describes(places):
    tables = places["image_tables"]
    for encoder in tables.DESCRIBED.values():
        for row in tables.SEQUENCES:
            cell = tables.on_frames(encoder, row, "corridor")
            assert cell.described.dataset == "corridor"
            for run in cell.runs.values():
                assert (run.dataset, run.described.dataset) == ("thumbnails", "thumbnails")
                assert run.described.training == cell.described.training


def camera(folder: Path, levels: list[int]) -> None:
    """Grey images that are so bright."""
    folder.mkdir(parents=True)
    for number, level in enumerate(levels):
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(folder / f"2015110{number}_000000.jpg")


def test_night_searches_day_and_dusk_is_left_out(places, tmp_path):
    camera(tmp_path / "a", [200, 10, 100, 20, 210, 120])
    shown = [(one.image.name[7], one.role) for one in places["labelled"].day_and_night(tmp_path / "a")]
    assert shown == [("0", "reference"), ("4", "reference"), ("1", "query"), ("3", "query")]


def test_what_validates_and_tests_is_of_no_place_that_is_learned_from(places, shared):
    labelled = places["labelled"]
    data = shared / "data"
    found = labelled.Labelled(data / "amos-17-cameras", data / "ie-tower", data / "nordland-thumbnails")
    trained = {(one.group, one.place) for one in found.trained()}
    held = {(one.group, one.place) for one in found.validated()}
    queries = {one.place for one in found.tested() if one.role == "query"}
    assert not {group for group, _ in trained} & {group for group, _ in held}
    assert not {place for _, place in trained | held} & queries
    assert (len(trained), len(queries)) == (111, 2)


def test_of_a_dataset_its_test_split_is_kept(places, tmp_path):
    lines = ["name,frame", *(f"{row}.png,{row}" for row in range(9))]
    for drive in ("a", "b"):
        (tmp_path / f"{drive}.csv").write_text("\n".join(lines))
        (tmp_path / f"{drive}.txt").write_text("\n".join(f"{row}.png" for row in range(9)))
    drives = "".join(f'[traverses.{d}]\ndescriptors = "{d}.npy"\nframes = "{d}.csv"\n' for d in ("a", "b"))
    rows = {"train": (0, 4), "test": (6, 8)}
    splits = "".join(
        f'[splits.{name}]\nreference = "a"\nquery = "b"\nreference_rows = {list(some)}\nquery_rows = {list(some)}\n'
        "positive_radius = 1.0\n"
        for name, some in rows.items()
    )
    (tmp_path / "dataset.toml").write_text(f'name = "x"\nunits = "frames"\n{drives}{splits}')
    places["image_sources"].keep_test_rows(tmp_path)
    for drive in ("a", "b"):
        np.save(tmp_path / f"{drive}.npy", np.eye(2, 3, dtype=np.float32))
    dataset = load_dataset(str(tmp_path))
    assert list(dataset.splits) == ["test"]
    assert dataset.splits["test"].query.names == ("6.png", "7.png")
    assert (tmp_path / "b.txt").read_text() == "6.png\n7.png\n"
