"""The command line: ``python main.py --mode train|test|check ...``. It reads options and calls one step."""

import importlib
import os
import signal
import sys

from opticornet.options.modes import parse
from opticornet.utils.errors import UserError
from opticornet.utils.signals import Interrupted


def main(arguments: list[str]) -> int:
    """Run one step. Returns the exit status: 0; 2 after one line on stderr that says what to put right; 128
    plus the signal's number where a signal stopped the step and its work is saved, or nobody reads the output."""
    try:
        try:
            mode, options = parse(arguments)
            getattr(importlib.import_module(f"opticornet.steps.{mode}"), mode)(options)
            return 0
        finally:  # --help leaves by SystemExit
            sys.stdout.flush()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.status
    except KeyboardInterrupt:
        print("stopped: finished files are kept, none is half written; the same command starts again", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # as with "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it exits
        return 128 + signal.SIGPIPE


def entry() -> int:
    """The console script."""
    return main(sys.argv[1:])
