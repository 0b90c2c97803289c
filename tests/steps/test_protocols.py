"""A published protocol from the command line: training, test, what their records say, what is refused."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.evaluation.records import load_record
from opticornet.inference.runs import read_flags
from opticornet.reports.protocols import describe
from opticornet.reports.results import read_result

QUICK = ("--device", "cpu", "--quiet", "--adapt", "none")


@dataclass(frozen=True)
class Prepared:
    """A dataset folder prepared from names as published, with descriptors."""

    path: Path

    def run(self, mode: str, *line: object) -> int:
        return main(["--mode", mode, "--dataset", str(self.path), *map(str, line)])

    def record(self, *line: object) -> dict:
        results = self.path / f"results{len([*self.path.iterdir()])}"
        tail = ("--bootstrap", 0, "--latencyQueries", 0, "--resultsPath", results)
        assert self.run("test", *QUICK, *tail, *line) == 0
        (path,) = results.glob("*.json")
        return load_record(path)


@pytest.fixture
def prepared(tmp_path) -> Prepared:
    """Two drives of 40 frames, 4 m apart, that miss frame 20 and the last two of which no reference is near."""
    rng = np.random.default_rng(0)
    numbers = [number for number in range(43) if number != 20]
    for part in ("train", "val", "test"):
        for role, some in (("database", numbers[:-4]), ("queries", numbers)):
            folder = tmp_path / "root" / part / role / "s1"
            folder.mkdir(parents=True)
            for number in some:
                (folder / f"@{300000 + 4 * number}.30@6170000.10@s1@{number}@key@cph@1@.jpg").touch()
    assert main(["--mode", "prepare", "--source", "utm-sequences", "--root", str(tmp_path / "root"), "--output",
                 str(tmp_path / "set"), "--quiet"]) == 0  # fmt: skip
    route = np.cumsum(rng.standard_normal((43, 8)), axis=0)
    for part in ("train", "val", "test"):
        for role, some in (("database", numbers[:-4]), ("queries", numbers)):
            rows = route[some] + 0.1 * rng.standard_normal((len(some), 8))
            np.save(
                tmp_path / "set" / f"{part}-{role}.npy",
                (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32),
            )
    return Prepared(tmp_path / "set")


def test_a_test_counts_and_says_what_it_did(prepared):
    record = prepared.record("--pooling", "smooth", "--seqL", 5, "--protocol", "sta")
    protocol = record["protocol"]
    assert protocol["name"] == "sta"
    assert protocol["window_rule"] == "as released with STA: whole windows of consecutive frames"
    assert (record["data"]["reference"]["kept"], protocol["queries"]) == (16 + 14, 16 + 18)
    assert (protocol["counted"], protocol["without_positive"]) == (16 + 14 + 2, 2)
    assert record["options"]["protocol"] == "sta"
    assert record["method"]["label"] == "smooth S5 (protocol sta)"


def test_our_own_rule_is_the_default_and_results_of_the_two_are_kept_apart(prepared):
    ours = prepared.record("--pooling", "smooth", "--seqL", 5, "--seqL_filterData", 5)
    assert ours["protocol"]["name"] == "opticornet"
    assert ours["data"]["reference"]["kept"] == 16 + 14
    prepared.record("--pooling", "smooth", "--seqL", 4, "--protocol", "sta", "--cutLastFrame", "--reverseFrames")
    paths = sorted(str(path) for path in prepared.path.glob("results*/*.json"))
    texts = [describe(read_result(Path(path))) for path in paths]
    assert sum("as released with STA" in text for text in texts) == 1
    rule = json.loads(Path(paths[-1]).read_text())["protocol"]["window_rule"]
    assert rule.endswith("consecutive frames; the last of one frame more cut; references read backwards")


def test_a_run_is_trained_by_it_and_says_so(prepared):
    line = ("--pooling", "seqnet", "--outDims", 4, "--seqL", 5, "--nEpochs", 1, "--runsPath", prepared.path / "runs")
    assert prepared.run("train", *QUICK, *line, "--protocol", "sta") == 0
    (run,) = (prepared.path / "runs").iterdir()
    assert read_flags(run, "checkpoints")["protocol"] == "sta"
    record = prepared.record("--resume", run)
    assert record["protocol"]["name"] == "opticornet"
    assert prepared.record("--resume", run, "--protocol", "sta")["protocol"]["name"] == "sta"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--seqL_filterData", 5), "--seqL_filterData changes nothing here: --protocol sta says which windows"),
        (("--windows", "trailing"), "--windows changes nothing here: --protocol sta says which windows there are"),
        (("--direction", "reverse"), "--direction changes nothing here: --protocol sta takes drives as they"),
        (("--cutLastFrame",), "--cutLastFrame is for even lengths, and --seqL is 5; leave it out"),
        (
            ("--rerank", "single+seqmatch", "--rerankSeqL", 7),
            "windows of --protocol sta and 5 frames are not those of 7 around each frame, which --rerank compares",
        ),
        (("--protocol", "published"), "invalid choice: 'published'"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it_is_one_line(prepared, capsys, line, message):
    protocol = () if "--protocol" in line else ("--protocol", "sta")
    assert prepared.run("test", *QUICK, "--pooling", "smooth", "--seqL", 5, *protocol, *line) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_options_of_the_protocol_are_refused_without_it(prepared, capsys):
    assert prepared.run("test", *QUICK, "--pooling", "smooth", "--reverseFrames") == 2
    assert "--reverseFrames changes nothing here: it is an option of --protocol sta" in capsys.readouterr().err


def test_its_windows_of_five_frames_are_re_ranked_and_others_are_not(prepared, capsys):
    line = ("--pooling", "smooth", "--protocol", "sta", "--rerank", "single+seqmatch", "--rerankWeight", 0)
    assert prepared.record(*line, "--seqL", 5)["method"]["rerank_length"] == 5
    capsys.readouterr()
    assert prepared.run("test", *QUICK, *line, "--seqL", 3) == 2
    assert "sta and 3 frames are not those of 3 around each frame" in capsys.readouterr().err
