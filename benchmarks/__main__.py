"""Every speed benchmark, one after another, each in a process of its own, and one table of what they ask for.

    python -m benchmarks [--quick] [--cores 2]

A benchmark's own output comes first; its last words, "WHAT: VALUE, limit LIMIT", make the lines of the table.
``--quick`` takes smaller sizes and one round, which shows that everything runs, and little about limits. The exit
status is 1 where a limit is missed. See ``docs/speed.md``.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BENCHMARKS = {  # name: what --quick adds
    "matching": ["--repeats", "1", "--frames", "500"],
    "training": ["--repeats", "1", "--frames", "8000"],
    "encoding": ["--repeats", "1", "--frames", "1000"],
    "sta": ["--repeats", "1", "--windows", "24"],
    "local_reranking": ["--repeats", "1", "--features", "500"],
    "testing": ["--frames", "1000", "--dims", "1024"],
    "prepare": ["--frames", "10000"],
    "extract": ["--repeats", "1", "--images", "24", "--encoders", "thumbnail", "hog"],
}
LIMITED = re.compile(r"(?P<what>.+): (?P<value>[\d.]+)(?P<unit>.*), limit (?P<sense>at least )?(?P<limit>[\d.]+)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    lines, failed = [], False
    for name, quick in BENCHMARKS.items():
        command = [sys.executable, FOLDER / f"{name}.py", "--cores", str(arguments.cores)]
        output, status = run(command + (quick if arguments.quick else []))
        found = [match for match in map(LIMITED.fullmatch, output) if match]
        if not found or (status and all(map(is_kept, found))):  # some may come before a benchmark breaks
            raise SystemExit(f"benchmarks/{name}.py ended with status {status} before all was measured")
        lines += found
    print(f"\n{'what':<60}{'measured':>12}{'limit':>10}{'of it':>8}")
    for line in lines:
        value, limit, kept = float(line["value"]), float(line["limit"]), is_kept(line)
        failed |= not kept
        print(f"{line['what']:<60}{line['value'] + line['unit']:>12}{line['limit']:>10}{value / limit:>8.0%}"
              f"  {'pass' if kept else 'FAIL'}")  # fmt: skip
    return int(failed)


def is_kept(line: re.Match) -> bool:
    """Whether a measured value is within its limit."""
    value, limit = float(line["value"]), float(line["limit"])
    return value >= limit if line["sense"] else value <= limit


def run(command: list) -> tuple[list[str], int]:
    """The lines a command prints, which are also shown as they come, and its exit status."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return lines, process.returncode


if __name__ == "__main__":
    sys.exit(main())
