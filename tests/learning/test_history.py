"""The epochs of a run as text."""

import json

from opticornet.learning.history import EpochHistory, EpochReport, read_epochs
from opticornet.learning.selection import recall_name, recalls_of


def report(epoch: int, metrics: dict[str, float] | None) -> EpochReport:
    return EpochReport(epoch, 3, {"loss": 0.5}, samples=8, seconds=2.0, lr=0.1, metrics=metrics, is_best=True)


def test_a_line_holds_what_readers_of_the_file_look_for(tmp_path):
    history = EpochHistory(tmp_path, 0)
    history.add(report(0, {"recall@1": 0.25, "recall@5": 0.75}))
    history.add(report(1, None))
    first, second = (tmp_path / "epochs.jsonl").read_text().splitlines()
    assert first == (
        '{"epoch": 0, "epochs": 3, "means": {"loss": 0.5}, "tuples": 8, "seconds": 2.0, "lr": 0.1, '
        '"recalls": {"1": 0.25, "5": 0.75}, "is_best": true}'
    )
    assert json.loads(second)["recalls"] is None


def test_other_metrics_stand_by_their_names(tmp_path):
    EpochHistory(tmp_path, 0).add(report(0, {"recall@1": 0.25, "error": 3.0}))
    (epoch,) = read_epochs(tmp_path)
    assert epoch["recalls"] == {"1": 0.25}
    assert epoch["metrics"] == {"error": 3.0}


def test_recalls_are_found_among_metrics():
    assert recalls_of({recall_name(10): 0.5, "error": 1.0}) == {10: 0.5}


def test_a_resumed_run_drops_what_it_does_again(tmp_path):
    history = EpochHistory(tmp_path, 0)
    for epoch in range(3):
        history.add(report(epoch, None))
    EpochHistory(tmp_path, 1).add(report(1, {"recall@1": 1.0}))
    assert [epoch["recalls"] for epoch in read_epochs(tmp_path)] == [None, {"1": 1.0}]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    line = json.dumps({"epoch": 0, "recalls": None})
    (tmp_path / "epochs.jsonl").write_text(line + "\n" + line[:8])
    assert read_epochs(tmp_path) == [{"epoch": 0, "recalls": None}]
