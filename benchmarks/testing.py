"""``--mode test`` as a whole process: memory, the share of the search, and the first answer of the command line.

    python benchmarks/testing.py [--frames 3000] [--dims 4096] [--cores 2]

Memory is the peak resident set above that of an interpreter with torch loaded; the limit is
1.5 x (N_ref + N_query) x O x 4 bytes + 300 MB, O being the dimensions of what is compared: of the encoding, or of a
frame where frames are matched. The share of the search is that of the seconds between the last import and the end, for
``single``: all queries at once, and those that are searched again one by one for the latency. Learned methods run with
untrained weights, in checkpoints as training leaves them. The exit status is 1 where a limit is missed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from timing import parse  # noqa: E402

HELP_LIMIT_S, SHARE_LIMIT, SLACK_MB, FACTOR = 0.5, 0.5, 300, 1.5
LENGTH = 5
SIZES = {"seqnet": {"w": 3, "out_dims": 4096}, "dsdnet": {"w": 1, "out_dims": 1024}}  # dsdnet: 5 steps of these
LATENCY_QUERIES = 50
CASES = {  # what: flags
    "single": ["--pooling", "single"],
    "single+seqmatch": ["--pooling", "single+seqmatch"],
    "single, re-ranked by single+seqmatch": ["--pooling", "single", "--rerank", "single+seqmatch"],
    "seqnet": ["--resume", "seqnet"],
    "dsdnet": ["--resume", "dsdnet"],
    "dsdnet, re-ranked by single+seqmatch": ["--resume", "dsdnet", "--rerank", "single+seqmatch"],
}
# Runs the command line in this process and says what it took, as the last line.
MEASURED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import torch
import opticornet.steps.test
from opticornet.cli import main
from opticornet.utils.device import peak_memory_mib
begun = time.perf_counter()
status = main(sys.argv[2:])
seconds = time.perf_counter() - begun
print(json.dumps([status, seconds, peak_memory_mib() * 2**20 / 1e6]))
"""


def main() -> int:
    arguments = parse(__doc__, frames=3000, dims=4096)
    passed = help_in_time()
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), arguments.frames, arguments.dims)
        for name in ("seqnet", "dsdnet"):
            make_run(Path(folder), name, arguments.dims)
        floor = float(
            run_python(
                "import torch; from opticornet.utils.device import peak_memory_mib as p; print(p() * 2**20 / 1e6)"
            )
        )
        print(f"{arguments.frames} x {arguments.frames} frames of {arguments.dims}-D, L = {LENGTH}; torch alone "
              f"{floor:.0f} MB\n{'test of':<40}{'seconds':>9}{'search':>9}{'MB above':>10}{'limit':>8}")  # fmt: skip
        limits = [run_case(what, flags, Path(folder), arguments, floor) for what, flags in CASES.items()]
    for lines in limits:
        for what, value, unit, limit, kept in lines:
            print(f"{what}: {value}{unit}, limit {limit}")
            passed &= kept
    return 0 if passed else 1


def help_in_time() -> bool:
    """Time ``python main.py --help``, the best of several; True within the limit."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, ROOT / "main.py", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    print(f"main.py --help: {min(seconds):.2f} s, limit {HELP_LIMIT_S}")
    return min(seconds) <= HELP_LIMIT_S


def run_case(what: str, flags: list[str], folder: Path, arguments: argparse.Namespace, floor: float) -> list[tuple]:
    """Run one test in a process of its own and print its line; what, value, unit, limit, kept of each limit."""
    flags = [str(folder / flag) if flag in ("seqnet", "dsdnet") else flag for flag in flags]
    fixed = ["--mode", "test", "--dataset", folder, "--seqL", str(LENGTH), "--resultsPath", folder / "results" / what]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, ROOT, *fixed, *flags, "--quiet", "--device", "cpu",
         "--latencyQueries", str(LATENCY_QUERIES)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    status, seconds, peak = json.loads(done.stdout.splitlines()[-1])
    if status:
        raise SystemExit(f"{what}: {done.stderr}")
    (record,) = (json.loads(path.read_text()) for path in (folder / "results" / what).glob("*.json"))
    dims = record["method"]["out_dims"] or arguments.dims
    above = peak - floor
    limit = FACTOR * 2 * arguments.frames * dims * 4 / 1e6 + SLACK_MB
    timing = record["timing"]
    alone_s = timing["latency_ms"].get("search", {}).get("median", 0.0) * LATENCY_QUERIES / 1000
    share = (timing["search_s"] + alone_s) / seconds
    print(f"{what:<40}{seconds:>9.2f}{share:>9.0%}{above:>10.0f}{limit:>8.0f}", flush=True)
    limits = [(f"memory of testing {what}", round(above), " MB", round(limit), above <= limit)]
    if what != "single":
        return limits
    encoding = timing["encode_reference_s"] + timing["encode_query_s"]
    print(f"  of single's seconds: encoding {encoding:.2f}, search {timing['search_s']:.2f}, "
          f"one query alone {timing['latency_ms']['search']['median']:.2f} ms")  # fmt: skip
    share_kept = share >= SHARE_LIMIT
    return [*limits, ("share of search in testing single", f"{share:.2f}", "", f"at least {SHARE_LIMIT}", share_kept)]


def run_python(code: str) -> str:
    """What ``code`` prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout


def make_data(folder: Path, frames: int, dims: int) -> None:
    """A dataset folder of two random traverses along one route."""
    import numpy as np

    rng = np.random.default_rng(0)
    places = rng.standard_normal((frames, dims), dtype=np.float32)
    lines = ['name = "random"', 'units = "frames"']
    for name in ("reference", "query"):
        seen = places + rng.standard_normal((frames, dims), dtype=np.float32)
        np.save(folder / f"{name}.npy", seen / np.linalg.norm(seen, axis=1, keepdims=True))
        lines.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"')
    lines.append('[splits.test]\nreference = "reference"\nquery = "query"\npositive_radius = 1')
    (folder / "dataset.toml").write_text("\n".join(lines))


def make_run(folder: Path, name: str, dims: int) -> None:
    """A run folder with untrained weights and an optimizer's state of their size."""
    import torch

    from opticornet.inference.load import build_encoder
    from opticornet.inference.runs import write_flags
    from opticornet.options.modes import TrainOptions
    from opticornet.utils.checkpoints import BEST, save_checkpoint

    options = TrainOptions.of(
        pooling=name, sequence_length=LENGTH, dataset=str(folder), save_path="checkpoints", **SIZES[name]
    )
    encoder = build_encoder(options.part("pooling"), name, dims, LENGTH)
    moments = [[torch.zeros_like(p) for p in encoder.parameters()] for _ in range(2)]
    state = {"epoch": 1, "state_dict": encoder.state_dict(), "optimizer": moments}
    run = folder / name
    (run / options.save_path).mkdir(parents=True, exist_ok=True)
    save_checkpoint(state, run / options.save_path / BEST)
    write_flags(run, options.record(), options.save_path)


if __name__ == "__main__":
    sys.exit(main())
