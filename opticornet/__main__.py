"""``python -m opticornet``: the command line."""

import sys

from opticornet.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
