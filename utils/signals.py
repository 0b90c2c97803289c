"""Stopping at a good moment: a signal asks, the step answers when its state can be saved."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None  # as :func:`signal.signal` takes it


class Interrupted(Exception):
    """A step stopped because the user or the system asked it to, with everything saved.

    Attributes:
        status: exit status as shells expect it, 128 + the signal's number.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.status = 128 + signum


class StopRequest:
    """While active, SIGINT and SIGTERM only set ``signum``; a second SIGINT interrupts at once.

    Outside the main thread, where Python allows no handlers, it does nothing.

    Args:
        resume_command: what the user types to continue from what was saved.
    """

    def __init__(self, resume_command: str = "the same command") -> None:
        self.resume_command = resume_command
        self.signum: int | None = None
        self._previous: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._ask)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def interrupt(self, what: str) -> NoReturn:
        """Answer a request: raise :class:`Interrupted`, saying ``what`` was saved and how to resume."""
        assert self.signum is not None
        raise Interrupted(f"{what}; to resume: {self.resume_command}", self.signum)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            self.interrupt("stopped at once, only what was saved before is kept")
        self.signum = signum
