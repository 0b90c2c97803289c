"""The testing step, against what seqNet's own evaluation computes, and what it says to bad input."""

import hashlib
import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import spatial

import opticornet
from opticornet.cli import main
from opticornet.datasets.catalogue import load_dataset
from opticornet.evaluation.metrics import block_length, recall_intervals
from opticornet.evaluation.records import FileRecord
from opticornet.evaluation.scene import Scene
from opticornet.inference.encode import encode
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.averages import SingleOptions
from opticornet.options.modes import TestOptions
from opticornet.steps.test import test as run_test
from opticornet.steps.testing.runs import load_compared
from opticornet.utils.errors import UserError
from opticornet.utils.options import flag_of, option_fields
from opticornet.utils.registry import entry

METHODS = {  # golden case -> options beside the dataset
    "single": {"pooling": "single", "sequence_length": 1},
    "smooth5": {"pooling": "smooth", "sequence_length": 5},
    "smooth4": {"pooling": "smooth", "sequence_length": 4},
    "delta5": {"pooling": "delta", "sequence_length": 5},
    "delta6": {"pooling": "delta", "sequence_length": 6},
    "seqmatch5": {"pooling": "single+seqmatch", "sequence_length": 5},
    "seqmatch10": {"pooling": "single+seqmatch", "sequence_length": 10},
    "seqnet_s5": {"pooling": "seqnet", "sequence_length": 5, "run": "s5"},
    "seqnet_s1": {"pooling": "seqnet", "sequence_length": 1, "run": "s1"},
    "s1seqmatch5": {"pooling": "s1+seqmatch", "sequence_length": 5, "run": "s1"},
    "hvpr_s5_to_s1": {"pooling": "seqnet", "sequence_length": 5, "run": "s5", "rerank": "s1+seqmatch"},
}


class Golden:
    """One of seqNet's tiny datasets as a dataset folder, with its two trained encoders as seqNet's run folders."""

    def __init__(self, shared: Path, folder: Path, name: str) -> None:
        self.values = np.load(shared / "golden" / "seqnet" / f"{name}.npz", allow_pickle=False)
        self.folder = folder
        lines = [f'name = "{name}"', 'units = "metres"']
        for side, key in (("reference", "db"), ("query", "q")):
            utm = self.values["utmDb" if key == "db" else "utmQ"]
            np.save(folder / f"{side}.npy", self.values[f"{key}Desc"])
            bounds = self.values.get(f"seqBounds_{key}", np.zeros((len(utm), 2)))
            rows = [f"{x!r},{y!r},s{b:.0f}" for (x, y), b in zip(utm.tolist(), bounds[:, 0], strict=True)]
            (folder / f"{side}.csv").write_text("\n".join(["x,y,sequence", *rows]))
            lines.append(f'[traverses.{side}]\ndescriptors = "{side}.npy"\nframes = "{side}.csv"')
        lines.append('[splits.test]\nreference = "reference"\nquery = "query"\npositive_radius = 5')
        (folder / "dataset.toml").write_text("\n".join(lines))
        self.runs = {"s5": self._run("s5", 5, 3), "s1": self._run("s1", 1, 1)}

    def _run(self, name: str, length: int, w: int) -> str:
        checkpoints = self.folder / "runs" / f"Jun03_15-22-44_l{length}_{name}" / "checkpoints"
        checkpoints.mkdir(parents=True)
        weights = {
            f"pool.0.conv.{part}": torch.from_numpy(self.values[f"weights_seqnet_{name}/pool.0.conv.{part}"])
            for part in ("weight", "bias")
        }
        torch.save(
            {
                "epoch": 7,
                "state_dict": weights,
                "recalls": {1: np.float64(0.5), 5: np.float64(0.75)},
                "best_score": np.float64(0.75),
                "optimizer": {},
                "parallel": False,
            },
            checkpoints / "model_best.pth.tar",
        )
        out_dims = len(weights["pool.0.conv.bias"])
        flags = {"pooling": "seqnet", "seqL": length, "w": w, "outDims": out_dims, "lr": 0.0001, "nGPU": 1}
        (checkpoints / "flags.json").write_text(json.dumps(flags))
        return str(checkpoints.parent)

    def options(self, case: str, **more) -> TestOptions:
        """Of a case, quick; None takes a default out."""
        given = dict(METHODS[case])
        run = given.pop("run", None)
        if run:
            given["resume"] = self.runs[run]
        if given.get("rerank"):
            given |= {"rerank_resume": self.runs["s1"], "rerank_weight": "0"}
        quick = {"bootstrap": 0, "latency_queries": 0, "device": "cpu", "adapt": "none"}
        if given["sequence_length"] > 1 and not more.get("extract_only"):
            quick["equal_windows"] = "each"  # SeqNet's
        where = {"dataset": str(self.folder), "results_path": str(self.folder / "results")}
        chosen = where | quick | given | more
        return TestOptions.of(**{name: value for name, value in chosen.items() if value is not None})


@pytest.fixture(params=["plain", "bounded"])
def golden(request, shared, tmp_path) -> Golden:
    return Golden(shared, tmp_path, request.param)


@pytest.fixture
def plain(shared, tmp_path) -> Golden:
    return Golden(shared, tmp_path, "plain")


def saved(golden: Golden, record) -> dict[str, np.ndarray]:
    return np.load(golden.folder / "results" / record.predictions, allow_pickle=False)


def assert_same_predictions(ours: np.ndarray, distances: np.ndarray, theirs: np.ndarray) -> None:
    """Identical wherever scores differ by more than 1e-6: runs of closer scores hold the same set."""
    runs = np.cumsum(np.diff(distances, axis=1, prepend=distances[:, :1]) > 1e-6, axis=1)
    for a, b, run in zip(ours, theirs, runs, strict=True):
        whole = run < run[-1]  # the last run may go on beyond K
        order = [np.lexsort((x[whole], run[whole])) for x in (a, b)]
        assert np.array_equal(a[whole][order[0]], b[whole][order[1]])


@pytest.mark.parametrize("suffix", ["", "_filter10"])
@pytest.mark.parametrize("case", METHODS)
def test_every_method_equals_seqnets_evaluation(golden, case, suffix):
    if f"{case}{suffix}/recall" not in golden.values:
        pytest.skip("seqNet's numbers hold this filter for the dataset with bounds only")
    options = golden.options(case, **({"filter_length": 10} if suffix else {}))
    length = METHODS[case]["sequence_length"]
    if length > 5 and "seqBounds_db" in golden.values and not suffix:  # seqNet reads over their ends
        with pytest.raises(UserError, match=f"`sequence_length` {length} is above the shortest sequence of reference"):
            run_test(options)
        options = golden.options(case, short_sequences="shorten")
    record = run_test(options)
    arrays = saved(golden, record)
    expected = {what: golden.values[f"{case}{suffix}/{what}"] for what in ("recall", "preds", "rAtL")}
    assert_same_predictions(arrays["preds"], arrays["distances"], expected["preds"])
    # Border frames share one window, so their order is anybody's: only queries with such ties may count differently.
    slack = (arrays["preds"] != expected["preds"]).any(axis=1).mean() + 1e-12
    assert np.abs(np.array(list(record.recall.values())) - expected["recall"]).max() <= slack
    assert np.abs(arrays["rAtL"] - expected["rAtL"]).max() <= slack


def test_hierarchical_matching_in_seqnets_two_steps(golden):
    first = run_test(golden.options("seqnet_s5"))
    predictions = golden.folder / "results" / first.predictions
    second = run_test(golden.options("s1seqmatch5", predictions_file=str(predictions)))
    assert list(second.recall.values()) == pytest.approx(golden.values["hvpr_s5_to_s1/recall"], abs=1e-12)
    arrays = saved(golden, second)
    assert_same_predictions(arrays["preds"], arrays["distances"], golden.values["hvpr_s5_to_s1/preds"])


@pytest.mark.parametrize("case", ["smooth5", "delta5", "seqnet_s5", "seqnet_s1"])
def test_descriptors_equal_seqnets(golden, case):
    run_test(golden.options(case, extract_only=True, bootstrap=None, latency_queries=None))
    (path,) = (golden.folder / "results").glob("*.npz")
    arrays = np.load(path, allow_pickle=False)
    descriptors = np.concatenate([arrays["dbDesc"], arrays["qDesc"]])
    assert np.abs(descriptors - golden.values[f"{case}/desc"]).max() < 1e-5
    distances = np.linalg.norm(golden.values["utmQ"][:, None] - golden.values["utmDb"], axis=2)
    assert np.array_equal(arrays["gt"], np.argwhere(distances <= 5))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pooling": "single", "sequence_length": 1}, (0.085, 0.205)),
        ({"pooling": "smooth", "sequence_length": 5}, (0.035, 0.115)),
        ({"pooling": "delta", "sequence_length": 5}, (0.150, 0.340)),
        ({"pooling": "single+seqmatch", "sequence_length": 5}, (0.140, 0.290)),
        ({"pooling": "single+seqmatch", "sequence_length": 10}, (0.265, 0.385)),
    ],
)
def test_parameter_free_methods_on_real_descriptors(nordland, options, expected):
    rule = {"adapt": "none"} | ({"equal_windows": "each"} if options["sequence_length"] > 1 else {})
    record = run_test(TestOptions.of(dataset=str(nordland), bootstrap=0, latency_queries=0, **rule, **options))
    assert (record.recall["1"], record.recall["5"]) == pytest.approx(expected, abs=1e-12)


def test_the_record_says_what_its_numbers_mean(plain):
    record = run_test(plain.options("hvpr_s5_to_s1", seed=5))
    written = json.loads((plain.folder / "results" / record.predictions).with_suffix(".json").read_text())
    assert written["recall"] == record.recall
    assert set(written["recall"]) == {"1", "5", "10", "20", "100"}
    assert written["data"]["positive_radius"] == 5
    assert written["data"]["units"] == "metres"
    assert written["method"]["top_k"] == 20
    assert written["method"]["weights"]["path"].endswith("l5_s5/checkpoints/model_best.pth.tar")
    assert len(written["method"]["rerank_weights"]["sha256"]) == 64
    assert written["protocol"]["seed"] == 5
    assert written["protocol"]["queries"] == 150
    assert written["protocol"]["counted"] + written["protocol"]["without_positive"] == 150
    assert {"torch", "numpy", "python"} <= set(written["versions"])


def test_the_record_holds_every_option_by_its_flag(plain):
    record = run_test(plain.options("seqnet_s5", seed=5, radii=(1.0, 5.0)))
    known = [option_fields(TestOptions), option_fields(entry(SEQUENCE_ENCODERS, "seqnet"))]
    flags = {flag_of(f)[2:] for fields in known for f in fields.values()} - {"config"}
    assert record.options.keys() == flags
    assert (record.options["seed"], record.options["w"], record.options["radii"]) == (5, 3, [1.0, 5.0])
    assert record.versions["opticornet"] == opticornet.__version__
    assert record.timing.processor


def test_bfloat16_and_an_approximate_index_are_told_from_the_exact(plain, capsys):
    exact = run_test(plain.options("seqnet_s5"))
    rounded = run_test(plain.options("seqnet_s5", amp=True))
    assert (exact.method.amp, rounded.method.amp) == (False, True)
    assert (exact.method.label, rounded.method.label) == ("seqnet S5", "seqnet S5 (bfloat16)")
    index = run_test(plain.options("seqnet_s5", index="IVF32,Flat"))
    assert index.method.label == "seqnet S5 (IVF32,Flat)"
    assert index.method.index_settings == {"nlist": 32, "nprobe": 2}
    assert exact.method.index_settings == {}


@pytest.mark.parametrize("case", ["seqnet_s5", "s1seqmatch5", "hvpr_s5_to_s1"])
def test_bfloat16_moves_the_distances(plain, case):
    exact, rounded = (saved(plain, run_test(plain.options(case, amp=amp)))["distances"] for amp in (False, True))
    difference = np.abs(np.sort(exact, axis=1) - np.sort(rounded, axis=1))
    assert 0 < np.median(difference) < 0.01  # a few candidates are others


def test_nprobe_decides_how_many_lists_are_visited(plain):
    few, all_lists = (run_test(plain.options("single", index="IVF8,Flat", nprobe=count)) for count in (1, 8))
    assert [record.method.index_settings["nprobe"] for record in (few, all_lists)] == [1, 8]
    assert all_lists.recall == all_lists.recall_exact_index
    assert few.recall != few.recall_exact_index


def test_the_record_names_the_plugins_of_the_test_and_of_its_runs(plain, registries_as_before):
    here, of_the_run = plain.folder / "here.py", plain.folder / "of_the_run.py"
    for path in (here, of_the_run):
        path.write_text(f"from {SingleOptions.__module__} import SingleOptions\n")
        path.write_text(path.read_text() + f'SEQUENCE_ENCODERS = {{"{path.stem}": SingleOptions}}\n')
    digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (here, of_the_run)}
    flags = Path(plain.runs["s5"], "checkpoints", "flags.json")
    remembered = {str(of_the_run): digests[str(of_the_run)]}
    flags.write_text(json.dumps(json.loads(flags.read_text()) | {"plugins": remembered}))
    record = run_test(plain.options("seqnet_s5", plugin=(str(here),)))
    assert {plugin.path: plugin.sha256 for plugin in record.plugins} == digests


def test_a_test_leaves_the_threads_of_the_process_as_they_were(plain):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        record = run_test(plain.options("single", threads=1))
        assert (record.timing.threads, torch.get_num_threads()) == (1, 2)
    finally:
        torch.set_num_threads(before)


def test_memory_is_shown_in_the_unit_it_is_recorded_in(plain, capsys):
    record = run_test(plain.options("single", latency_queries=2))
    assert f"peak memory {record.peak_memory_mib:.0f} MiB" in capsys.readouterr().out


def test_candidates_of_a_file_are_told_from_a_search(plain):
    first = run_test(plain.options("seqnet_s5"))
    path = plain.folder / "results" / first.predictions
    second = run_test(plain.options("seqmatch5", predictions_file=str(path)))
    assert second.method.predictions == FileRecord(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    assert second.method.label == f"single+seqmatch L5 (candidates of {path.name})"
    assert first.method.predictions is None


def test_a_package_without_metadata_does_not_stop_a_test(plain, monkeypatch):
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"faiss": ["faiss-gpu"]})
    record = run_test(plain.options("single"))
    assert record.versions["torch"] == torch.__version__
    assert "faiss" in record.versions


def test_the_nearest_references_are_found_once(plain, monkeypatch):
    trees, tree = [], spatial.cKDTree
    monkeypatch.setattr(spatial, "cKDTree", lambda *arguments: trees.append(1) or tree(*arguments))
    run_test(plain.options("single"))
    assert len(trees) == 1


def cut_reference(plain) -> None:
    """Leave the end of the reference out, so that queries there have no positive."""
    toml = plain.folder / "dataset.toml"
    toml.write_text(toml.read_text() + "\nreference_rows = [0, 120]")


def test_average_precision_is_over_all_queries_however_they_are_counted(plain):
    cut_reference(plain)
    dropped, counted = (run_test(plain.options("single", no_positive=how)) for how in ("drop", "count"))
    assert dropped.protocol.without_positive > 0
    assert dropped.average_precision == counted.average_precision
    arrays = saved(plain, dropped)
    distances, correct, positive = arrays["distances"][:, 0], arrays["correct"][:, 0], arrays["hasPositive"]
    order = np.argsort(distances)
    right = np.cumsum(correct[order])
    precision = right / np.arange(1, len(order) + 1)  # the plain sum over queries; no two distances are equal
    assert dropped.average_precision == pytest.approx(precision[correct[order]].sum() / positive.sum())
    without = np.cumsum(correct[order][positive[order]]) / np.arange(1, positive.sum() + 1)
    assert dropped.average_precision < without[correct[order][positive[order]]].sum() / positive.sum()


def test_radii_say_how_many_queries_they_count(plain):
    cut_reference(plain)
    record = run_test(plain.options("single", radii=(0.0, 5.0, 1000.0)))
    arrays = saved(plain, record)
    nearest = np.linalg.norm(arrays["queryPositions"][:, None] - arrays["referencePositions"], axis=2).min(axis=1)
    assert record.counted_at_radius == {
        "0": int((nearest <= 0).sum()), "5": record.protocol.counted, "1000": 150,
    }  # fmt: skip


def test_queries_without_a_positive_may_be_counted(plain):
    cut_reference(plain)
    dropped, counted = (run_test(plain.options("single", no_positive=how)) for how in ("drop", "count"))
    share = dropped.protocol.counted / counted.protocol.counted
    assert share < 1
    assert counted.recall["1"] == pytest.approx(dropped.recall["1"] * share)


def test_latencies_and_intervals_are_reported(plain):
    record = run_test(plain.options("hvpr_s5_to_s1", bootstrap=200, latency_queries=3))
    assert set(record.timing.latency_ms) == {"encode", "search", "rerank", "total"}
    assert record.timing.latency_queries == 3
    low, high = record.recall_interval["1"]
    assert low <= record.recall["1"] <= high
    assert low < high


def test_intervals_are_of_blocks_inside_sequences(golden, capsys):
    record = run_test(replace(golden.options("smooth5"), bootstrap=300))
    arrays = saved(golden, record)
    hits, sequences = arrays["correct"][arrays["counted"]], arrays["querySequences"][arrays["counted"]]
    block = record.protocol.bootstrap_block
    assert block == block_length(hits[:, 0], 5, sequences) >= 5
    everyone, generator = np.full(len(hits), True), np.random.default_rng(record.protocol.seed)
    expected = recall_intervals(hits, everyone, [1, 5], generator, block=block, sequences=sequences, samples=300)
    assert [tuple(record.recall_interval[k]) for k in ("1", "5")] == [expected[1], expected[5]]
    assert f"300 resamplings, blocks of {block} neighbouring queries" in capsys.readouterr().out
    assert (len(np.unique(sequences)) > 1) == ("seqBounds_q" in golden.values)
    assert run_test(golden.options("smooth5")).protocol.bootstrap_block == 0


def test_blocks_are_at_least_the_longest_window(plain):
    options = plain.options("smooth5", rerank="single+seqmatch", rerank_length=40)
    assert run_test(replace(options, bootstrap=9)).protocol.bootstrap_block == 40


def test_the_encoding_of_matched_frames_is_timed_too(plain, monkeypatch):
    encoded = []

    def counting(encoder, frames, starts, *rest, **more):
        encoded.append(len(starts))
        return encode(encoder, frames, starts, *rest, **more)

    for room in ("matching", "search"):
        monkeypatch.setattr(f"opticornet.evaluation.answering.{room}.encode", counting)
    record = run_test(replace(plain.options("s1seqmatch5"), latency_queries=2))
    assert set(record.timing.latency_ms) == {"encode", "search", "total"}
    assert encoded == [160, 150, 5, 5, 5, 5]  # both traverses; then the frames of a window, two of them unmeasured
    encoded.clear()
    record = run_test(replace(plain.options("hvpr_s5_to_s1"), latency_queries=2))
    assert encoded == [1, 1, 1, 1, 160, 150, 5, 5, 5, 5]


def test_an_approximate_index_reports_what_it_lost(plain, capsys):
    record = run_test(plain.options("single", index="IVF8,Flat"))
    assert record.recall_exact_index["1"] == pytest.approx(plain.values["single/recall"][0])
    assert "lost against exact search" in capsys.readouterr().out


@pytest.mark.parametrize("matcher", ["seqslam", "dtw"])
def test_other_matchers_find_places_too(plain, matcher):
    record = run_test(plain.options("seqmatch5", matcher=matcher))
    assert record.method.matcher == matcher
    assert record.recall["1"] > plain.values["single/recall"][0]


def test_one_velocity_is_the_diagonal(plain):
    diagonal = saved(plain, run_test(plain.options("seqmatch5", exp_name="diagonal")))
    line = plain.options("seqmatch5", matcher="seqslam", velocities=(1.0, 1.0, 0.1), exp_name="line")
    assert np.allclose(saved(plain, run_test(line))["distances"], diagonal["distances"], atol=1e-6)


def test_reversed_queries_are_found_when_matched_backwards(plain):
    np.save(plain.folder / "query.npy", plain.values["qDesc"][::-1])
    lines = (plain.folder / "query.csv").read_text().splitlines()
    (plain.folder / "query.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    forwards, backwards = (run_test(plain.options("seqmatch5", reverse=reverse)) for reverse in (False, True))
    assert backwards.recall["1"] > forwards.recall["1"]
    again = {"rerank": "single+seqmatch", "rerank_length": 5, "top_k": 160}  # of all: as the search by frames
    forwards, backwards = (run_test(plain.options("single", reverse=reverse, **again)) for reverse in (False, True))
    assert backwards.recall["1"] > forwards.recall["1"]
    assert (backwards.method.direction, backwards.method.backwards) == ("reverse", 1)


def test_recalls_beyond_the_reference_are_left_out_with_a_note(plain, capsys):
    toml = plain.folder / "dataset.toml"
    toml.write_text(toml.read_text() + "\nreference_rows = [0, 60]")
    record = run_test(plain.options("single"))
    assert set(record.recall) == {"1", "5", "10", "20"}
    assert "recall@100 left out: there are only 60 references" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["single", "seqmatch5", "hvpr_s5_to_s1"])
def test_recalls_are_counted_at_the_k_asked_for(plain, capsys, case):
    usual = run_test(plain.options(case))
    record = run_test(plain.options(case, recall_at=(150, 25, 5, 500), top_k=150 if "hvpr" in case else None))
    assert record.protocol.ks == [1, 5, 25, 150]
    assert list(record.recall) == ["1", "5", "25", "150"]
    assert saved(plain, record)["preds"].shape[1] == (150 if "hvpr" in case else 160)
    if "hvpr" not in case:
        assert (record.recall["1"], record.recall["5"]) == (usual.recall["1"], usual.recall["5"])
    assert record.options["recallAt"] == [150, 25, 5, 500]
    shown = capsys.readouterr()
    assert "recall@500 left out: there are only 160 references" in shown.err
    assert "R@1     R@5    R@25   R@150" in shown.out


def test_nothing_is_written_unless_asked(plain, monkeypatch, tmp_path):
    before = set(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    run_test(TestOptions.of(dataset=str(plain.folder), pooling="single", sequence_length=1, latency_queries=0))
    assert set(tmp_path.rglob("*")) == before


def command(plain, *arguments: str) -> list[str]:
    fixed = ["--mode", "test", "--dataset", str(plain.folder), "--runsPath", str(plain.folder / "none")]
    return [*fixed, "--adapt", "none", *arguments]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pooling", "dsdnet"], "name its run with --resume"),
        (["--pooling", "seqnet", "--resume"], "no run in"),
        (["--pooling", "seqnet", "--resume", "elsewhere"], "no such folder"),
        (["--pooling", "seqnet", "--resume", "{s5}", "--w", "2"], "--w 2 contradicts --w 3 of the resumed run"),
        (["--pooling", "seqnet", "--resume", "{s5}", "--seqL", "2"], "--seqL 2 is below 3"),
        (["--pooling", "smooth", "--resume", "{s5}"], "has no weights"),
        (["--pooling", "seqnet", "--resume", "{s5}", "--ckpt", "latest"], "no checkpoint"),
        (["--pooling", "s1+seqmatch", "--resume", "{s5}"], "name a run trained with --seqL 1"),
        (["--pooling", "smooth", "--seqL", "161"], "--seqL 161 is above the shortest sequence"),
        (["--pooling", "single", "--seqL_filterData", "161"], "leaves no frame"),
        (["--pooling", "smooth", "--seqL", "0"], "--seqL 0: wanted a number of at least 1"),
        (
            ["--pooling", "smooth", "--rerank", "s1+seqmatch"],
            "name its run with --rerankResume RUN, one of --seqL 1 or of dsdnet with --w 1",
        ),
        (["--pooling", "smooth", "--rerank", "single+seqmatch", "--topK", "161"], "--topK 161 is above the 160"),
        (["--pooling", "smooth", "--rerank", "single+seqmatch", "--rerankSeqL", "200"], "--rerankSeqL 200 is above"),
        (["--pooling", "single+seqmatch", "--predictionsFile", "none.npz"], "--predictionsFile none.npz: no such file"),
        (
            ["--pooling", "single", "--predictionsFile", "none.npz"],
            "--predictionsFile changes nothing here: it is re-ordered by",
        ),
        (["--pooling", "single", "--index", "Bogus7"], "--index"),
        (["--pooling", "single", "--split", "val"], "val"),
        (["--pooling", "single", "--extractOnly"], "--resultsPath"),
        (["--pooling", "single+seqmatch", "--matchMemory", "0"], "--matchMemory 0"),
        (["--pooling", "single+seqmatch", "--matcher", "seqslam", "--velocities", "0.8"], "wanted three numbers"),
        (["--pooling", "single+seqmatch", "--matcher", "seqslam", "--velocities", "2", "1", "1"], "--velocities"),
        (["--pooling", "single", "--device", "cuda"], "--device cuda"),
        (["--pooling", "single+seqmatch", "--extractOnly", "--resultsPath", "x"], "has none"),
        (["{rerank}", "elsewhere"], "--rerankResume elsewhere: no such folder"),
        (["{rerank}", "{s5}"], "--rerankResume {s5} cannot describe single frames"),
        (["{rerank}", "{s5}"], "name a run trained with --seqL 1"),
        (["{rerank}", "{s1}", "--ckpt", "latest"], "--rerankResume {s1} cannot describe single frames"),
        (["--pooling", "single", "--rerank", "single+seqmatch", "--rerankResume", "{s1}"], "--rerankResume changes"),
        (["--pooling", "single", "--rerankSeqL", "3"], "--rerankSeqL changes nothing here"),
        (["--pooling", "single", "--reverse"], "--reverse changes nothing here"),
        (["--pooling", "single", "--topK", "5"], "--topK changes nothing here"),
        (["--pooling", "s1+seqmatch", "--resume", "{s1}", "--w", "4"], "--w changes nothing here"),
        (["--pooling", "single", "--seed", "-1"], "--seed -1"),
        (["--pooling", "single", "--bootstrap", "-5"], "--bootstrap -5"),
        (["--pooling", "single", "--radii", "nan"], "--radii nan"),
        (["--pooling", "single", "--expName", "../out"], "--expName ../out: wanted a plain name"),
        (["--pooling", "single", "--savePath", "a/b"], "--savePath a/b: wanted a plain name"),
    ],
)
def test_bad_options_are_one_line_and_exit_status_2(plain, capsys, arguments, message):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    rerank = ["--pooling", "smooth", "--rerank", "s1+seqmatch", "--rerankResume"]
    filled = [
        a for argument in arguments for a in (rerank if argument == "{rerank}" else [argument.format(**plain.runs)])
    ]
    assert main(command(plain, *filled)) == 2
    error = capsys.readouterr().err
    assert message.format(**plain.runs) in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"index": "Bogus7"},
            "`index` Bogus7: index 'Bogus7' cannot be built for 24 dimensions: could not parse.*IVF64,Flat",
        ),
        ({"index": "PQ7"}, "`index` PQ7: .*should be a multiple"),
        ({"rerank": "single+seqmatch", "matcher": "seqslam", "velocities": (2.0, 1.0, 1.0)}, "`velocities`"),
        ({"rerank": "local"}, "`rerank` local: .*has no local features"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_encoded(plain, monkeypatch, options, message):
    monkeypatch.setattr("opticornet.evaluation.answering.search.encode_side", lambda *_: pytest.fail("encoded"))
    with pytest.raises(UserError, match=message):
        run_test(plain.options("single", **options))


@pytest.mark.parametrize("run", ["elsewhere", "{s5}"])
def test_the_run_to_re_rank_by_is_looked_at_before_anything_is_encoded(plain, monkeypatch, run):
    monkeypatch.setattr("opticornet.steps.testing.maps.describe", lambda *_, **__: pytest.fail("encoded"))
    with pytest.raises(UserError, match="`rerank_resume`"):
        run_test(plain.options("smooth5", rerank="s1+seqmatch", rerank_resume=run.format(**plain.runs)))


def test_the_run_to_re_rank_by_must_be_of_the_same_descriptors(plain):
    checkpoint = Path(plain.runs["s1"]) / "checkpoints" / "model_best.pth.tar"
    torch.save(torch.load(checkpoint, weights_only=False) | {"in_dims": 20}, checkpoint)
    with pytest.raises(UserError, match=r"`rerank_resume` .*s1 cannot describe single frames \(.*20-D descriptors"):
        run_test(plain.options("smooth5", rerank="s1+seqmatch", rerank_resume=plain.runs["s1"]))


def test_options_of_the_first_method_are_not_those_of_the_encoder_to_re_rank_by(plain):
    flags = Path(plain.runs["s1"]) / "checkpoints" / "flags.json"
    flags.write_text(json.dumps(json.loads(flags.read_text()) | {"w": 3}))
    split = load_dataset(str(plain.folder), splits=("test",)).splits["test"]
    scene = Scene.of("plain", split, 5, 0, torch.device("cpu"))
    with pytest.raises(UserError, match="`sequence_length` 1 is below 3"):  # the run's, not the 1 given
        load_compared(plain.options("hvpr_s5_to_s1", w=1), scene, Path(plain.runs["s1"]))


def test_a_checkpoint_of_other_data_is_refused(plain, capsys):
    for side in ("reference", "query"):
        np.save(plain.folder / f"{side}.npy", np.load(plain.folder / f"{side}.npy")[:, :20].copy())
    assert main(command(plain, "--pooling", "seqnet", "--resume", plain.runs["s5"])) == 2
    assert "pool.0.conv.weight is (16, 24, 3), wanted (16, 20, 3)" in capsys.readouterr().err


def test_predictions_of_another_split_are_refused(plain, capsys):
    path = plain.folder / "other.npz"
    np.savez(path, preds=np.zeros((7, 5), np.int64))
    arguments = ["--pooling", "single+seqmatch", "--predictionsFile", str(path)]
    assert main(command(plain, *arguments)) == 2
    assert "it was made on another split" in capsys.readouterr().err


def test_a_results_path_that_cannot_be_written_is_one_line(plain, capsys):
    (plain.folder / "file").write_text("")
    assert main(command(plain, "--pooling", "single", "--resultsPath", str(plain.folder / "file"))) == 2
    assert "is a file, not a folder" in capsys.readouterr().err


def test_tensorboard_gets_recalls_curve_and_places(plain):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = run_test(plain.options("seqnet_s5", projector=40))
    folder = Path(plain.runs["s5"]) / "tests" / Path(record.predictions).stem
    events = EventAccumulator(str(folder)).Reload()
    assert events.Scalars("test/recall_at_1")[0].value == pytest.approx(record.recall["1"])
    assert "test/first_match" in events.Tags()["tensors"]
    (metadata,) = folder.rglob("metadata.tsv")
    lines = metadata.read_text().splitlines()
    assert lines[0].startswith("place\ttraverse\tposition_0")
    assert len(lines) == 1 + 40 + 40


def test_a_report_may_be_written_at_once(plain):
    record = run_test(plain.options("smooth5", report=str(plain.folder / "report")))
    assert "smooth S5" in (plain.folder / "report" / "index.html").read_text()
    assert (plain.folder / "results" / record.predictions).is_file()


def test_latitude_and_longitude_are_kept_for_the_map(plain):
    for side, frames in (("reference", 160), ("query", 150)):
        lines = [f"{60 + 1e-5 * i:.6f},10.5" for i in range(frames)]
        (plain.folder / f"{side}.csv").write_text("\n".join(["lat,lon", *lines]))
    arrays = saved(plain, run_test(plain.options("single")))
    assert arrays["referenceLatLon"].shape == (160, 2)
    assert arrays["queryLatLon"][3].tolist() == [60.00003, 10.5]
    assert np.array_equal(arrays["queryStarts"], np.arange(150))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken"])
def test_a_broken_predictions_file_is_one_line(plain, capsys, content):
    path = plain.folder / "broken.npz"
    path.write_bytes(content)
    assert main(command(plain, "--pooling", "single+seqmatch", "--predictionsFile", str(path))) == 2
    error = capsys.readouterr().err
    assert "not a results file" in error
    assert error.count("\n") == 1


def test_results_of_one_second_do_not_overwrite_each_other(plain, monkeypatch):
    monkeypatch.setattr("opticornet.options.shared.run_name", lambda *_: "Jan01_00-00-00_l1_")
    for _ in range(2):
        run_test(plain.options("single"))
    results = plain.folder / "results"
    assert {path.name for path in results.glob("*.json")} == {"Jan01_00-00-00_l1_.json", "Jan01_00-00-00_l1_-2.json"}
    second = json.loads((results / "Jan01_00-00-00_l1_-2.json").read_text())
    assert (results / second["predictions"]).is_file()


def test_recall_before_re_ranking_is_that_of_the_whole_search(plain):
    search = run_test(plain.options("single"))
    options = plain.options("single", rerank="single+seqmatch", top_k=5)
    assert run_test(options).recall_before_rerank == search.recall


def test_descriptors_of_nothing_but_zeros_are_refused(plain, capsys):
    frames = np.load(plain.folder / "query.npy")
    frames[7] = 0
    np.save(plain.folder / "query.npy", frames)
    assert main(command(plain, "--pooling", "single")) == 2
    assert "nothing but zeros in 1 of 150 descriptors, first in row 7" in capsys.readouterr().err
