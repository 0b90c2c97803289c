import os
import signal

import pytest

from opticornet.cli import main
from opticornet.utils.signals import Interrupted, StopRequest


def test_the_first_signal_asks_and_the_second_stops_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"stopped at once.*to resume: do it again") as caught:  # noqa: SIM117, PT012
        with StopRequest("do it again") as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signum == signal.SIGINT
            os.kill(os.getpid(), signal.SIGINT)
    assert caught.value.status == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_steps_that_save_nothing_midway_end_in_one_line(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("opticornet.steps.report.read_results", interrupted)
    assert main(["--mode", "report", "--results", "a.json"]) == 130
    said = capsys.readouterr().err
    assert said.startswith("stopped: ")
    assert said.count("\n") == 1
