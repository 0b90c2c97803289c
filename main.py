"""The command line: ``python main.py --mode train|test|check ...``. It reads options and calls one step."""

import importlib
import sys

from utils.errors import UserError
from utils.options import parse


def main(arguments: list[str]) -> int:
    """Run one step. Returns the exit status: 0, or 2 after one line on stderr that says what to put right."""
    try:
        mode, options = parse(arguments)
        step = getattr(importlib.import_module(mode), mode)
        return step(options) or 0
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
