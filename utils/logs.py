"""What a run prints and keeps as text: ``log.txt``, ``environment.json``."""

import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from opticornet.utils.files import write_json, writing
from opticornet.utils.versions import versions

LOG = "log.txt"
ENVIRONMENT = "environment.json"
_PACKAGES = ("torch", "numpy", "scipy", "faiss", "pytorch_metric_learning", "tensorboardX", "torchvision", "timm")
_COLOURS = {"green": "32", "bold": "1"}


class RunLog:
    """Lines for the terminal, each also kept with its time in the run's ``log.txt``; as a context manager it also keeps
    the line that the step ends with where it is stopped.

    Args:
        run: folder of the log, or None to keep none.
        quiet: show results only.
        verbose: show details too.
        stream: where lines go; standard output by default.
    """

    def __init__(
        self, run: Path | None = None, *, quiet: bool = False, verbose: bool = False, stream: IO[str] | None = None
    ) -> None:
        self.path = None if run is None else run / LOG
        self.quiet, self.verbose, self.stream = quiet, verbose, stream or sys.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._write(f"{kind.__name__}: {error}".removesuffix(": "), shown=False)  # shown by the caller

    def result(self, line: str) -> None:
        """What the user ran the step for: always shown."""
        self._write(line, shown=True)

    def say(self, line: str, colour: str | None = None) -> None:
        """How the step progresses: not shown with ``quiet``. ``colour``: "green" or "bold", where colours are."""
        self._write(line, shown=not self.quiet, colour=colour)

    def detail(self, line: str) -> None:
        """What helps to find out why: shown with ``verbose``."""
        self._write(line, shown=self.verbose and not self.quiet)

    def _write(self, line: str, shown: bool, colour: str | None = None) -> None:
        if shown:
            print(coloured(line, colour, self.stream), file=self.stream, flush=True)
        if self.path is not None:
            with writing(self.path), open(self.path, "a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def coloured(line: str, colour: str | None, stream: IO[str]) -> str:
    """``line`` in a colour, where ``stream`` is a terminal that wants any (https://no-color.org)."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{_COLOURS[colour]}m{line}\033[0m" if colour and wanted else line


def duration(seconds: float | None) -> str:
    """Seconds in a reader's units."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def write_environment(run: Path) -> None:
    """Add this start to the run's ``environment.json``, which has one entry per start or resumption."""
    path = run / ENVIRONMENT
    starts = []
    if path.is_file():
        try:
            starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
        except (ValueError, KeyError, TypeError):
            starts = []  # damaged: what was known of earlier starts is lost, the run is not
    write_json(path, {"starts": [*starts, environment()]})


def environment() -> dict[str, Any]:
    """What the program runs on and how it was called."""
    import torch

    packages = versions(*_PACKAGES)
    cuda = torch.cuda.is_available()
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": shlex.join(sys.argv),
        "python": packages.pop("python"),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": {"version": torch.version.cuda, "device": torch.cuda.get_device_name()} if cuda else None,
        "packages": packages,
    }
