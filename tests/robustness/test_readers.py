"""Every reader of files, given damaged ones: a :class:`UserError` of one line, or a result; nothing is ever unpickled.

A reader is added by one function, which writes a good file and says how it is read.
"""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from PIL import Image
from PIL.ExifTags import IFD
from scipy.io import savemat

from opticornet.datasets.columns import read_columns
from opticornet.datasets.descriptors.arrays import open_descriptors
from opticornet.datasets.descriptors.files import read_identity, read_usable
from opticornet.datasets.descriptors.image_features import open_image_features
from opticornet.datasets.folder.object_lists import read_object_lists
from opticornet.datasets.folder.positives import read_positives
from opticornet.datasets.folder.scored import read_scored
from opticornet.datasets.folder.tables import read_frames
from opticornet.datasets.folder.toml import read_toml
from opticornet.datasets.images.decoding import BadImageError, decode
from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.datasets.prepare.drives.exif import read_exif
from opticornet.datasets.prepare.drives.image_times import image_times
from opticornet.datasets.prepare.sources.gsv_cities import GsvCities
from opticornet.datasets.prepare.sources.place_table import PlaceTable
from opticornet.datasets.prepare.tracks import read_track
from opticornet.datasets.prepare.tracks.recorders import read_recorder
from opticornet.datasets.seqnet.structs import read_bounds, read_image_names, read_split_indices, read_struct
from opticornet.evaluation.records import load_record
from opticornet.inference.load import load_run
from opticornet.inference.runs import read_flags
from opticornet.learning.history import read_epochs
from opticornet.learning.images.sampling import PlaceSampler
from opticornet.models.images.pca import Projection
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.options.config import read_config
from opticornet.reports.results import read_result
from opticornet.utils.array_files import map_npy, read_npz
from opticornet.utils.checkpoints import load_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

Read = Callable[[], object]
ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)


def saved(path: Path, write: Callable[..., object], *arrays: object, **named: object) -> Path:
    """A file that NumPy wrote."""
    with open(path, "wb") as file:
        write(file, *arrays, **named)
    return path


def descriptors_npy(folder: Path) -> tuple[Path, Read]:
    path = saved(folder / "a.npy", np.save, ROWS)
    return path, lambda: np.array(open_descriptors(path))


def local_features(folder: Path) -> tuple[Path, Read]:
    path = saved(folder / "l.npy", np.save, ROWS.reshape(2, 3, 4))
    return path, lambda: np.array(map_npy(path))


def descriptors_npz(folder: Path) -> tuple[Path, Read]:
    path = saved(folder / "a.npz", np.savez, features=ROWS)
    return path, lambda: np.array(open_descriptors(f"{path}:features"))


def descriptors_compressed(folder: Path) -> tuple[Path, Read]:
    path = saved(folder / "c.npz", np.savez_compressed, features=ROWS)
    return path, lambda: np.array(open_descriptors(f"{path}:features"))


def descriptors_h5(folder: Path) -> tuple[Path, Read]:
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["features"] = ROWS
    return path, lambda: np.array(open_descriptors(f"{path}:features"))


def descriptors_h5_chunks(folder: Path) -> tuple[Path, Read]:
    path = folder / "b.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=ROWS, chunks=(2, 4), compression="gzip")
    return path, lambda: np.asarray(open_descriptors(f"{path}:features"))


def arrays_npz(folder: Path) -> tuple[Path, Read]:
    path = saved(folder / "r.npz", np.savez, preds=np.arange(6).reshape(2, 3), names=np.array(["a", "bc"]))
    return path, lambda: read_npz(path)


def usable(folder: Path) -> tuple[Path, Read]:
    path = saved(folder / "a.usable.npy", np.save, np.array([True, False, True]))
    return path, lambda: read_usable(folder / "a.npy", 3)


def identity(folder: Path) -> tuple[Path, Read]:
    path, _ = descriptors_npy(folder)
    record = {"encoder": "hog", "weights": {"kind": "none"}, "rows": 6, "dims": 4, "images": {"count": 6}}
    (folder / "a.json").write_text(json.dumps(record))
    return folder / "a.json", lambda: read_identity(path)


def descriptors_of_identity(folder: Path) -> tuple[Path, Read]:
    identity(folder)
    return folder / "a.npy", lambda: read_identity(folder / "a.npy")


def frame_table(folder: Path) -> tuple[Path, Read]:
    path = folder / "frames.csv"
    path.write_text("image,x,y,time,sequence\n" + "".join(f'"{i}.png",{i},{2 * i},{i}.5,s\n' for i in range(5)))
    return path, lambda: read_frames(path)


def columns(folder: Path) -> tuple[Path, Read]:
    path = folder / "columns.csv"
    path.write_text("lat,lon,id\n1.5,2.5,a\n3,4,b\n")
    return path, lambda: read_columns(path, ("lat", "lon"))


def positives_table(folder: Path) -> tuple[Path, Read]:
    path = folder / "positives.csv"
    path.write_text("query,first,last\n0,0,2\n1,3,3\n2,4,5\n")
    return path, lambda: read_positives(path, 6, 6)


def positives_lists(folder: Path) -> tuple[Path, Read]:
    rows = np.empty((2, 2), object)
    rows[:] = [[0, [1, 2]], [1, [3]]]
    path = saved(folder / "ground_truth_new.npy", np.save, rows)
    return path, lambda: (read_positives(path, 6, 6), read_object_lists(path))


def dataset_toml(folder: Path) -> tuple[Path, Read]:
    path = folder / "dataset.toml"
    path.write_text(
        'name = "d"\nunits = "metres"\n[traverses.day]\ndescriptors = "day.npy"\nframes = "day.csv"\n'
        '[splits.test]\nreference = "day"\nquery = "day"\npositive_radius = 5\nreference_rows = [0, 3]\n'
    )
    return path, lambda: read_toml(folder)


def places_toml(folder: Path) -> tuple[Path, Read]:
    place_table(folder)
    return folder / "dataset.toml", lambda: open_places(folder)


def place_table(folder: Path) -> tuple[Path, Read]:
    (folder / "dataset.toml").write_text('[places.train]\ntable = "places.csv"\nseparation = 5.5\n')
    path = folder / "places.csv"
    rows = [f"{row}.jpg,p{row // 2},g{row // 4},{row % 2},{row},{2 * row}" for row in range(8)]
    path.write_text("\n".join(["image,place,group,rank,x,y", *rows]))

    def read() -> None:
        places = open_places(folder)
        list(PlaceSampler(places, 2, 2, "published", "first").batches(0))
        with suppress(UserError):
            check_place_images(places)

    return path, read


def gsv_table(folder: Path) -> tuple[Path, Read]:
    (folder / "Dataframes").mkdir()
    (folder / "Images" / "Oslo").mkdir(parents=True)
    (folder / "Images" / "Oslo" / "Oslo_0000003_2012_05_090_59.9_10.7_key.jpg").touch()
    path = folder / "Dataframes" / "Oslo.csv"
    path.write_text("place_id,year,month,northdeg,city_id,lat,lon,panoid\n3,2012,5,90,Oslo,59.9,10.7,key\n")
    return path, lambda: GsvCities().read(folder)


def table_of_places(folder: Path) -> tuple[Path, Read]:
    for row in range(4):
        (folder / f"{row}.jpg").touch()
    path = folder / "list.csv"
    path.write_text("path,label,split,lat\n" + "".join(f"{row}.jpg,{row // 2},train,50\n" for row in range(4)))
    return path, lambda: PlaceTable(split_column="split").read(folder)


def options_toml(folder: Path) -> tuple[Path, Read]:
    path = folder / "options.toml"
    path.write_text('mode = "test"\nseqL = 5\nradii = [1.0, 2.5]\npooling = "smooth"\n')
    return path, lambda: read_config(path)


def struct(folder: Path) -> tuple[Path, Read]:
    path = folder / "made.db"
    fields = {
        "whichSet": "test",
        "dataset": "made",
        "dbImageFns": np.array(["a", "b", "c"], dtype=object).reshape(-1, 1),
        "qImageFns": np.array(["d", "e"], dtype=object).reshape(-1, 1),
        "numImages": 3,
        "numQueries": 2,
        "posDistThr": 5.0,
        "posDistSqThr": 25.0,
        "nonTrivPosDistSqThr": 100.0,
        "utmDb": np.arange(6.0).reshape(2, 3),
        "utmQ": np.arange(4.0).reshape(2, 2),
    }
    with open(path, "wb") as file:
        savemat(file, {"dbStruct": fields})
    return path, lambda: read_struct(path)


def split_indices(folder: Path) -> tuple[Path, Read]:
    path = folder / "splitInds.npz"
    pair = np.empty(2, object)
    pair[:] = [np.arange(3), np.arange(4)]
    saved(path, np.savez, testInds=pair)
    return path, lambda: read_split_indices(path, "testInds")


def bounds(folder: Path) -> tuple[Path, Read]:
    path = folder / "bounds.txt"
    path.write_text("0 2\n0 2\n2 5\n2 5\n2 5\n")
    return path, lambda: read_bounds(path)


def image_names(folder: Path) -> tuple[Path, Read]:
    path = folder / "names.txt"
    path.write_text("a/1.jpg\na/2.jpg\n")
    return path, lambda: read_image_names(path)


def poses(folder: Path) -> tuple[Path, Read]:
    path = folder / "poses.txt"
    path.write_text("# time x y z\n" + "".join(f"{i}.5 {i} 0 0 0 0 0 1\n" for i in range(4)))
    return path, lambda: read_track(path)


def poses_in_order(folder: Path) -> tuple[Path, Read]:
    path = folder / "poses.kitti"
    path.write_text("".join(f"1 0 0 {i} 0 1 0 0 0 0 1 2\n" for i in range(4)))
    return path, lambda: read_track(path)


def recorder_table(folder: Path) -> tuple[Path, Read]:
    path = folder / "data.csv"
    head = "#timestamp [ns],p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m]\n"
    path.write_text(head + "".join(f"14036365790{i}0000000,{i},0.5,1\n" for i in range(5)))
    return path, lambda: read_recorder(path)


def times_file(folder: Path) -> tuple[Path, Read]:
    path = folder / "times.txt"
    path.write_text("".join(f"{i}.25\n" for i in range(1, 6)))
    images = tuple(f"{i:06d}.png" for i in range(5))
    return path, lambda: image_times(images, folder)


def photograph(folder: Path) -> tuple[Path, Read]:
    path = folder / "a.jpg"
    exif = Image.Exif()
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 7.0, 30.0), 3: "E", 4: (11.0, 30.0, 0.0)})
    exif.get_ifd(IFD.Exif)[36867] = "2024:01:01 10:00:00"
    Image.new("RGB", (16, 8), (200, 10, 60)).save(path, exif=exif)

    def read() -> object:
        with suppress(BadImageError):  # which every reader of images turns into a line that names the image
            decode(path)
        return read_exif((str(path),))

    return path, read


def score_list(folder: Path) -> tuple[Path, Read]:
    path = folder / "score.txt"
    path.write_text("0\n2\n4\n")
    return path, lambda: read_scored(path, None, 5)


def features_per_image(folder: Path) -> tuple[Path, Read]:
    path = folder / "feats.h5"
    with h5py.File(path, "w") as file:
        for i in range(3):
            file[f"day/{i}.png/global_descriptor"] = ROWS[i]
    return path, lambda: np.array(open_image_features(path, [[f"day/{i}.png" for i in range(3)]])[0:3])


def gpx(folder: Path) -> tuple[Path, Read]:
    path = folder / "drive.gpx"
    points = "".join(f'<trkpt lat="60.{i}" lon="10.5"><time>2024-01-01T00:00:0{i}Z</time></trkpt>' for i in range(4))
    path.write_text(f'<gpx version="1.1" creator="c"><trk><trkseg>{points}</trkseg></trk></gpx>')
    return path, lambda: read_track(path)


def nmea(folder: Path) -> tuple[Path, Read]:
    path = folder / "drive.nmea"
    path.write_text("$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\n" * 3)
    return path, lambda: read_track(path)


def run_folder(folder: Path) -> Path:
    checkpoints = folder / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.manual_seed(0)
    encoder = entry(SEQUENCE_ENCODERS, "seqnet")(out_dims=4, w=2).build(4, 3)
    state = {"epoch": 1, "state_dict": encoder.state_dict(), "recalls": {1: 0.5}, "best_score": 0.5, "in_dims": 4}
    torch.save(state, checkpoints / "model_best.pth.tar")
    (checkpoints / "flags.json").write_text(json.dumps({"pooling": "seqnet", "seqL": 3, "w": 2, "outDims": 4}))
    return folder / "run"


def checkpoint(folder: Path) -> tuple[Path, Read]:
    path = run_folder(folder) / "checkpoints" / "model_best.pth.tar"
    return path, lambda: (load_checkpoint(path), load_checkpoint(path, mapped=True))


def checkpoint_of_a_run(folder: Path) -> tuple[Path, Read]:
    run = run_folder(folder)
    return run / "checkpoints" / "model_best.pth.tar", lambda: load_run(run).encode(ROWS)


def flags(folder: Path) -> tuple[Path, Read]:
    run = run_folder(folder)
    return run / "checkpoints" / "flags.json", lambda: (read_flags(run, "checkpoints"), load_run(run).encode(ROWS))


def epochs(folder: Path) -> tuple[Path, Read]:
    path = folder / "epochs.jsonl"
    path.write_text("".join(json.dumps({"epoch": i, "loss": 0.5, "is_best": True}) + "\n" for i in range(3)))
    return path, lambda: read_epochs(folder)


def record(folder: Path) -> tuple[Path, Read]:
    path = folder / "r.json"
    method = {"label": "m", "pooling": "single", "sequence_length": 1, "out_dims": 4}
    data = {"dataset": "d", "split": "test", "units": "frames", "positive_radius": 1}
    path.write_text(
        json.dumps({"format": 1, "recall": {"1": 0.5}, "method": method, "data": data, "predictions": "r.npz"})
    )
    result_arrays(folder)
    return path, lambda: (load_record(path), read_result(path))


def result_arrays(folder: Path) -> tuple[Path, Read]:
    some, rows = np.zeros((2, 3), np.int64), np.arange(2)
    places = {f"{side}{what}": rows for side in ("reference", "query") for what in ("Rows", "Positions")}
    arrays = {"preds": some, "distances": some * 0.5, "errors": some * 1.0, "correct": some > 0}
    arrays |= {"counted": rows > 0, "hasPositive": rows > 0} | places
    path = saved(folder / "r.npz", np.savez, **arrays)
    if not (folder / "r.json").exists():
        (folder / "r.json").write_text(json.dumps({"format": 1, "recall": {"1": 0.5}, "predictions": "r.npz"}))
    return path, lambda: read_result(folder / "r.json")


def projection(folder: Path) -> tuple[Path, Read]:
    path = folder / "pca.npz"
    Projection(np.zeros(4, np.float32), np.eye(2, 4, dtype=np.float32), False, "somewhere").save(path)
    return path, lambda: Projection.load(path)


READERS = [
    *(descriptors_npy, descriptors_npz, descriptors_compressed, descriptors_h5, descriptors_h5_chunks, local_features),
    *(arrays_npz, usable, identity, descriptors_of_identity, projection),
    *(frame_table, columns, positives_table, positives_lists, dataset_toml, options_toml),
    *(places_toml, place_table, gsv_table, table_of_places),
    *(struct, split_indices, bounds, image_names, poses, poses_in_order, recorder_table, gpx, nmea),
    *(times_file, photograph, score_list, features_per_image),
    *(checkpoint, checkpoint_of_a_run, flags, epochs, record, result_arrays),
]


def read_or_one_line(read: Read) -> None:
    """Anything but a UserError is a fault, and so is one of several lines."""
    said = "fine"
    try:
        read()
    except UserError as error:
        said = str(error)
    assert said.strip()
    assert "\n" not in said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_damaged_files_are_one_line_or_right(reader, damaged, tmp_path):
    path, read = reader(tmp_path)
    read()
    content = path.read_bytes()

    @given(damaged(content))
    def check(bytes_):
        path.unlink()  # what still maps the last one keeps that
        path.write_bytes(bytes_)
        read_or_one_line(read)

    check()


def objects_npz(pickled: bytes, content: bytes) -> bytes:
    """An archive with the names of ``content``'s, each a .npy of objects."""
    names = (
        zipfile.ZipFile(io.BytesIO(content)).namelist() if zipfile.is_zipfile(io.BytesIO(content)) else ["preds.npy"]
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, objects_npy(pickled, content))
    return out.getvalue()


def objects_npy(pickled: bytes, content: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickled


def pickles_in_a_checkpoint(pickled: bytes, content: bytes) -> bytes:
    """A file of ``torch.save``, its pickle another one."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return b"PK" + pickled
    out, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(content))
    with zipfile.ZipFile(out, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, pickled if name.endswith("data.pkl") else source.read(name))
    return out.getvalue()


HOSTILE = [lambda pickled, content: pickled, objects_npy, objects_npz, pickles_in_a_checkpoint]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_nothing_is_unpickled(reader, bomb, tmp_path):
    path, read = reader(tmp_path)
    content, (pickled, touched) = path.read_bytes(), bomb
    for hostile in HOSTILE:
        path.unlink()
        path.write_bytes(hostile(pickled, content))
        read_or_one_line(read)
        assert not touched.exists()
