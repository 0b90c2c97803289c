"""How this program was started, for the commands it asks the user to type."""

import sys
from pathlib import PurePath


def program() -> str:
    """``opticornet`` or ``python -m opticornet`` where it was started so, else ``python main.py``."""
    started = PurePath(sys.argv[0])
    if started.parts[-2:] == ("opticornet", "__main__.py"):
        return "python -m opticornet"
    return "opticornet" if started.stem == "opticornet" else "python main.py"
