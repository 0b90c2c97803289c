"""``python -m opticornet``: the command line."""

from opticornet.cli import entry

if __name__ == "__main__":
    entry()
