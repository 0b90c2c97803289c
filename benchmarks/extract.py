"""Images per second of ``--mode extract``, against what bounds it on the same machine: the bare network, bare decoding.

    python benchmarks/extract.py [--encoders netvlad dinov2_vits14 thumbnail hog] [--images 48] [--cores 2]

Each encoder runs on JPEG photographs of 1280x720 pixels (smoothed noise, made here), ``--images`` of them for a
network, 8 times as many without one. ``network`` is the encoder alone on a ready batch with all cores; ``decoding`` is
Pillow alone, one process per core, from file to RGB array. ``share`` is extraction's part of the lower of the two, the
limit; at least ``--wanted`` is asked for. It may exceed 1 where luma is all that an encoder takes, for then colours are
never decoded. ``cpu share`` is the same without the clock: processor seconds per image of the limit alone over
those it costs extraction, workers included.

Rates of extraction leave out its start (workers, imports): they are measured between an early batch and the last. The
speed of a shared machine drifts, so each extraction is set between two measurements of its bounds, and what is printed
is the median over ``--repeats`` of such pairs.

The first lines are the peak memory of a whole run (its main process) over few and over many images: descriptors of the
many would take the amount in brackets, and are not to show.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import parse

NETWORK_SIZE = (224, 224)


def main() -> int:
    encoders = ["netvlad", "dinov2_vits14", "thumbnail", "hog"]
    arguments = parse(__doc__, encoders=encoders, images=48, batch=8, repeats=5, wanted=0.85)
    with tempfile.TemporaryDirectory() as folder:  # first: a process inherits the peak of the one that started it
        flat = report_memory(Path(folder, "tiny"))
    columns = {"extract/s": 11, "network/s": 11, "decoding/s": 12, "limit": 10, "share": 8, "cpu share": 11}
    print(f"{'encoder':<16}" + "".join(f"{name:>{width}}" for name, width in columns.items()))
    shares = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.encoders:
            costs = measure(name, Path(folder), arguments)
            bounds = {what: (cost[1:] + cost[:-1]) / 2 for what, cost in costs.items() if what != "extract"}
            limit = max(bounds, key=lambda what: np.median(bounds[what][:, 0]))
            share, cpu_share = np.median(bounds[limit] / costs["extract"], axis=0)
            shares[name] = share
            rates = {what: 1 / np.median(cost[:, 0]) for what, cost in costs.items()}
            network = f"{rates['network']:.1f}" if "network" in rates else "none"
            print(
                f"{name:<16}{rates['extract']:>11.1f}{network:>11}{rates['decoding']:>12.1f}{limit:>10}{share:>8.0%}"
                f"{cpu_share:>11.0%}",
                flush=True,
            )
    for name, share in shares.items():
        print(f"{name}, of what bounds its extraction: {share:.2f}, limit at least {arguments.wanted}")
    return 0 if min(shares.values()) >= arguments.wanted and flat else 1


def measure(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, np.ndarray]:
    """Seconds and processor seconds per image, rows of (repeats, 2); of the bounds (repeats + 1, 2)."""
    from opticornet.models.images import IMAGE_ENCODERS
    from opticornet.utils.registry import entry

    has_network = entry(IMAGE_ENCODERS, name).published is not None
    count = arguments.images * (1 if has_network else 8)
    photos = make_photos(folder / str(count), count)
    seconds: dict[str, list[tuple[float, float]]] = {"extract": [], "decoding": []}
    if has_network:
        seconds["network"] = []
    for repeat in range(arguments.repeats + 1):
        if repeat:
            seconds["extract"].append(extract_seconds(name, photos, folder / f"{name}-{repeat}.npy", arguments))
        seconds["decoding"].append(decoding_seconds(photos, arguments.cores))
        if has_network:
            seconds["network"].append(network_seconds(name, arguments.batch))
    return {what: np.array(measured) for what, measured in seconds.items()}


def make_photos(folder: Path, count: int) -> Path:
    """A folder of JPEG photographs with the detail of real ones: about 200 kB each."""
    import cv2

    if not folder.exists():
        folder.mkdir()
        generator = np.random.default_rng(0)
        for i in range(count):
            noise = generator.integers(0, 255, (720, 1280, 3), np.uint8)
            cv2.imwrite(str(folder / f"{i}.jpg"), cv2.GaussianBlur(noise, (0, 0), 1.5), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folder


def network_seconds(name: str, batch: int, seconds: float = 4.0) -> tuple[float, float]:
    """Seconds and processor seconds per image in the encoder alone, on one ready batch."""
    import torch

    from opticornet.models.images.build import build_image_encoder

    encoder = build_image_encoder(name, weights="random", image_size=NETWORK_SIZE)
    images = torch.randn(batch, 3, *NETWORK_SIZE)
    with torch.inference_mode():
        encoder(images)
        start, cpu, done = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - start < seconds:
            encoder(images)
            done += batch
        return (time.perf_counter() - start) / done, (time.process_time() - cpu) / done


def read_all(paths: list[Path]) -> float:
    """Decode images; processor seconds it took."""
    from PIL import Image

    begun = time.process_time()
    for path in paths:
        with Image.open(path) as image:
            np.array(image.convert("RGB"))
    return time.process_time() - begun


def decoding_seconds(photos: Path, cores: int) -> tuple[float, float]:
    """Seconds and processor seconds per image from file to RGB array, in as many processes as cores."""
    paths = sorted(photos.iterdir())
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(read_all, [paths[:2]] * cores))  # start them
        start = time.perf_counter()
        cpu = sum(pool.map(read_all, [paths[i::cores] for i in range(cores)]))
        return (time.perf_counter() - start) / len(paths), cpu / len(paths)


def extract_seconds(name: str, photos: Path, output: Path, arguments: argparse.Namespace) -> tuple[float, float]:
    """Seconds and processor seconds per image in the whole step, between an early and the last batch written.

    Those of the workers are of all their work, their start included.
    """
    from opticornet.models.images import IMAGE_ENCODERS
    from opticornet.steps.extract import ExtractOptions, extract
    from opticornet.utils import rows
    from opticornet.utils.registry import entry

    written: list[tuple[float, float, int]] = []
    append = rows.RowWriter.append

    def timed(writer: rows.RowWriter, block: object) -> None:
        append(writer, block)
        written.append((time.perf_counter(), time.process_time(), writer.rows))

    network = {"weights": "random", "image_size": NETWORK_SIZE} if entry(IMAGE_ENCODERS, name).published else {}
    rows.RowWriter.append = timed
    workers_before = children_seconds()
    try:
        extract(
            ExtractOptions.of(
                images=str(photos),
                desc_type=name,
                output=str(output),
                batch_size=arguments.batch,
                threads=arguments.cores,
                quiet=True,
                **network,
            )
        )
    finally:
        rows.RowWriter.append = append
    # Workers are ahead by the batches that wait; the first few rows would flatter the rate.
    first = min(len(written) // 3, 2 * arguments.cores)
    (begun, cpu_begun, before), (ended, cpu_ended, after) = written[first], written[-1]
    workers = (children_seconds() - workers_before) / after
    return (ended - begun) / (after - before), (cpu_ended - cpu_begun) / (after - before) + workers


def children_seconds() -> float:
    """Processor seconds of the processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


MEASURED = """
import sys
from opticornet.steps.extract import ExtractOptions, extract
from opticornet.utils.device import peak_memory_mib
extract(ExtractOptions.of(images=sys.argv[1], desc_type="thumbnail", output=sys.argv[2], threads=2, quiet=True))
print(peak_memory_mib())
"""


def report_memory(folder: Path, few: int = 500, many: int = 10_000) -> bool:
    """Print peak memory over few and many images; whether the difference is below half of the descriptors' size."""
    import cv2

    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8))
    for i in range(1, many):
        os.link(folder / "0.png", folder / f"{i}.png")
    peaks = {}
    for count in (few, many):
        (folder / "list.txt").write_text("\n".join(f"{i}.png" for i in range(count)))
        command = [sys.executable, "-c", MEASURED, str(folder / "list.txt"), str(folder / f"{count}.npy")]
        root = Path(__file__).resolve().parent.parent
        out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
        peaks[count] = float(out.split()[-1])
        size_mib = (folder / f"{count}.npy").stat().st_size / 2**20
        print(f"thumbnail, {count} images: peak {peaks[count]:.0f} MiB ({size_mib:.0f} MiB of descriptors)")
    return peaks[many] - peaks[few] < size_mib / 2


if __name__ == "__main__":
    raise SystemExit(main())
