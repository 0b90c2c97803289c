"""The same as ``python main.py --mode train``."""

import sys

from opticornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["--mode", "train", *sys.argv[1:]]))
