"""The command line: ``python main.py --mode train|test|check ...``."""

import sys

from opticornet.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
