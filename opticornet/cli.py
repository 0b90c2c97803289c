"""The command line: arguments to one step to an exit status."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise

from opticornet.options.modes import MODES
from opticornet.options.parsing import in_flags, parse
from opticornet.utils.errors import UserError
from opticornet.utils.program import missing_library
from opticornet.utils.signals import Interrupted


def main(arguments: Sequence[str]) -> int:
    """Run one step. Returns the exit status: 0; 2 after one line on stderr that says what to put right; 128
    plus the signal's number where a signal stopped the step and its work is saved, or nobody reads the output."""
    mode = next((value for flag, value in pairwise(arguments) if flag == "--mode"), "train")
    try:
        try:
            mode, options = parse(arguments)
            getattr(importlib.import_module(f"opticornet.steps.{mode}"), mode)(options)
            return 0
        finally:  # --help leaves by SystemExit
            sys.stdout.flush()
    except UserError as error:
        print(f"error: {' '.join(in_flags(str(error), MODES.get(mode)).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if not (missing := missing_library(error)):
            raise
        print(f"error: {missing}", file=sys.stderr)
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
