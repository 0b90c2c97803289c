import io
import json

import pytest

from opticornet.utils.logs import RunLog, coloured, duration, write_environment


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, ["result", "progress"]),
        ({"quiet": True}, ["result"]),
        ({"verbose": True}, ["result", "progress", "detail"]),
    ],
)
def test_levels_decide_what_is_shown_but_not_what_is_kept(tmp_path, settings, shown):
    stream = io.StringIO()
    log = RunLog(tmp_path, stream=stream, **settings)
    log.result("result")
    log.say("progress", colour="green")
    log.detail("detail")
    assert stream.getvalue().split() == shown
    assert [line.split()[-1] for line in (tmp_path / "log.txt").read_text().splitlines()] == [
        "result",
        "progress",
        "detail",
    ]


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured("best", "green", Terminal()) == "\033[32mbest\033[0m"
    assert coloured("best", None, Terminal()) == "best"
    assert coloured("best", "green", io.StringIO()) == "best"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("best", "green", Terminal()) == "best"


def test_environment_keeps_every_start(tmp_path):
    write_environment(tmp_path)
    write_environment(tmp_path)
    first, second = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert first["packages"]["torch"] == second["packages"]["torch"]
    assert first["cores"] >= 1
    assert "opticornet" in first["packages"]
    assert "python" in first


def test_the_log_keeps_the_line_that_stops_a_step(tmp_path):
    with pytest.raises(ValueError, match="broken"), RunLog(tmp_path, stream=(stream := io.StringIO())) as log:  # noqa: PT012
        log.say("first")
        raise ValueError("broken")
    assert stream.getvalue() == "first\n"
    assert (tmp_path / "log.txt").read_text().splitlines()[-1].endswith("ValueError: broken")


def test_durations_in_a_readers_units():
    assert [duration(s) for s in (None, 3.25, 600, 9000)] == ["-", "3.2 s", "10 min", "2.5 h"]
