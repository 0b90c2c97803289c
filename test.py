"""The same as ``python main.py --mode test``."""

import sys

from opticornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["--mode", "test", *sys.argv[1:]]))
