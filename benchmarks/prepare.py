"""Seconds that ``--mode prepare`` takes for many frames: at most 60 for 100 000.

    python benchmarks/prepare.py [--frames 100000] [--limit 60]

One dataset a kind of work: names alone (``nordland``), tables joined by name (``folders`` with a CSV, ``msls``), poses
interpolated at times and thinned by distance (``oxford``), positions in names (``utm-names``, ``utm-sequences``),
places in tables (``gsv-cities``, ``place-table``, ``place-sets``) and in folders (``place-folders``). Images are empty
files, as prepare opens none; ``--frames`` counts those of both traverses. ``tables`` is what it costs to list those
files and to write as many rows once, the least there is to do.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import parse

START_US = 1_400_000_000_000_000


def main() -> int:
    arguments = parse(__doc__, frames=100_000, limit=60.0)
    spent = {}
    print(f"{'source':<14}{'frames':>9}{'seconds':>9}{'tables':>9}")
    for source, (make, flags) in SOURCES.items():
        with tempfile.TemporaryDirectory() as folder:
            root, output = Path(folder, "root"), Path(folder, "out")
            make(root, arguments.frames // 2)
            seconds = prepare_seconds(source, root, output, flags)
            least = table_seconds(root, output)
            frames = sum(path.read_text().count("\n") for path in output.glob("*.txt"))
            frames += sum(path.read_text().count("\n") - 1 for path in output.glob("*-places.csv"))
            print(f"{source:<14}{frames:>9}{seconds:>9.1f}{least:>9.1f}", flush=True)
            spent[source] = seconds
    for source, seconds in spent.items():
        print(f"prepare of {source}, {arguments.frames} frames: {seconds:.1f} s, limit {arguments.limit:g}")
    return 0 if max(spent.values()) <= arguments.limit else 1


def prepare_seconds(source: str, root: Path, output: Path, flags: dict) -> float:
    """Seconds of the whole step."""
    from opticornet.options.modes import PrepareOptions
    from opticornet.steps.prepare import prepare

    begun = time.perf_counter()
    prepare(PrepareOptions.of(source=source, root=str(root), output=str(output), quiet=True, **flags))
    return time.perf_counter() - begun


def table_seconds(root: Path, output: Path) -> float:
    """Seconds to list the files below ``root`` and to read and write the frame tables of ``output`` once."""
    begun = time.perf_counter()
    sum(1 for _ in root.rglob("*"))
    for path in output.glob("*.csv"):
        with open(path, newline="") as file, open(path.with_suffix(".copy"), "w", newline="") as copy:
            csv.writer(copy).writerows(csv.reader(file))
    return time.perf_counter() - begun


def touch(folder: Path, names: list[str]) -> None:
    """Empty files."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def make_nordland(root: Path, count: int) -> None:
    names = [f"images-{i:06d}.png" for i in range(count)]
    for season in ("summer", "winter"):
        touch(root / season, names)
    splits = [("train", "val", "test", "")[4 * i // count] for i in range(count)]
    lines = [f"{name},{i},{split}" for i, (name, split) in enumerate(zip(names, splits, strict=True))]
    (root / "frames.csv").write_text("\n".join(["name,frame,split", *lines]))


def make_folders(root: Path, count: int) -> None:
    for drive in ("day", "night"):
        touch(root / drive, [f"{i:06d}.jpg" for i in range(count)])
        lines = [f"{i:06d}.jpg,{0.5 * i},{i % 7}" for i in range(count)]
        (root / f"{drive}.csv").write_text("\n".join(["name,x,y", *lines]))


def make_oxford(root: Path, count: int) -> None:
    for drive in ("a", "b"):
        times = [START_US + 62_500 * i for i in range(count)]
        touch(root / drive / "stereo" / "left", [f"{t}.png" for t in times])
        lines = [f"{t},{5_700_000 + 2.1 * i},{620_000 + i % 11}" for i, t in enumerate(times)]
        (root / drive / "gps").mkdir()
        (root / drive / "gps" / "ins.csv").write_text("\n".join(["timestamp,northing,easting", *lines]))


def make_utm_names(root: Path, count: int) -> None:
    for role in ("database", "queries"):
        touch(root / role, [f"@{500_000 + i:.2f}@{4_000_000 + i % 13:.2f}@10@S@{i}@.jpg" for i in range(count)])


def make_utm_sequences(root: Path, count: int) -> None:
    for role in ("database", "queries"):
        for first in range(0, count, 200):
            frames = range(first, min(first + 200, count))
            names = [f"@{500_000 + i:.2f}@{4_000_000 + i % 13:.2f}@s{first}@{i}@.jpg" for i in frames]
            touch(root / "test" / role / f"s{first}", names)


def make_msls(root: Path, count: int) -> None:
    for role in ("database", "query"):
        folder = root / "train_val" / "city" / role
        keys = [f"{role[0]}{i:021d}" for i in range(count)]
        touch(folder / "images", [f"{key}.jpg" for key in keys])
        tables = {
            "seq_info": ("key,sequence_key,frame_number", lambda i: f"s{i // 200},{i % 200}"),
            "postprocessed": ("key,easting,northing", lambda i: f"{500_000 + i},{4_000_000 + i % 13}"),
            "raw": ("key,pano", lambda i: "False"),
        }
        for name, (header, cells) in tables.items():
            lines = [f"{key},{cells(i)}" for i, key in enumerate(keys)]
            (folder / f"{name}.csv").write_text("\n".join([header, *lines]))


def make_vpr_bench(root: Path, count: int) -> None:
    for role in ("ref", "query"):
        touch(root / role, [f"{i:06d}.jpg" for i in range(count)])
    lines = [f"{i},{max(0, i - 2)},{min(count - 1, i + 2)}" for i in range(count)]
    (root / "ground_truth.csv").write_text("\n".join(["query,first_reference,last_reference", *lines]))


def make_gsv_cities(root: Path, count: int) -> None:
    (root / "Dataframes").mkdir(parents=True)
    for city in ("Boston", "London"):
        places = [(i // 8, 2010 + i % 8, 1 + i % 12, 42.0 + i / 1e6, f"pano{i}") for i in range(count)]
        touch(
            root / "Images" / city,
            [f"{city}_{p:07d}_{y}_{m:02d}_090_{lat}_0.5_{key}.jpg" for p, y, m, lat, key in places],
        )
        lines = [f"{p},{y},{m},90,{city},{lat},0.5,{key}" for p, y, m, lat, key in places]
        header = "place_id,year,month,northdeg,city_id,lat,lon,panoid"
        (root / "Dataframes" / f"{city}.csv").write_text("\n".join([header, *lines]))


def make_place_folders(root: Path, count: int) -> None:
    for first in range(0, 2 * count, 8):
        touch(root / f"g{first % 5}" / f"p{first}", [f"{i}.jpg" for i in range(first, min(first + 8, 2 * count))])


def make_place_table(root: Path, count: int) -> None:
    names = [f"{i}.jpg" for i in range(2 * count)]
    touch(root, names)
    lines = [f"{name},{i // 8},{50 + i / 1e6},8.5" for i, name in enumerate(names)]
    (root / "places.csv").write_text("\n".join(["image,place,lat,lon", *lines]))


def make_place_sets(root: Path, count: int) -> None:
    for name in ("one", "other"):
        names = [f"{i}.jpg" for i in range(count)]
        touch(root / name, names)
        lines = [f"{image},{i // 8},{i},0" for i, image in enumerate(names)]
        (root / name / "places.csv").write_text("\n".join(["image,place,x,y", *lines]))
        (root / name / "dataset.toml").write_text('[places.train]\ntable = "places.csv"\nseparation = 5\n')


SOURCES: dict[str, tuple[Callable[[Path, int], None], dict]] = {
    "nordland": (make_nordland, {}),
    "folders": (make_folders, {"reference": "day", "query": "night"}),
    "msls": (make_msls, {"test_city": "city"}),
    "oxford": (make_oxford, {"reference": "a", "query": "b", "splits": "all"}),
    "utm-names": (make_utm_names, {}),
    "utm-sequences": (make_utm_sequences, {}),
    "vpr-bench": (make_vpr_bench, {}),
    "gsv-cities": (make_gsv_cities, {}),
    "place-folders": (make_place_folders, {}),
    "place-table": (make_place_table, {}),
    "place-sets": (make_place_sets, {}),
}


if __name__ == "__main__":
    raise SystemExit(main())
