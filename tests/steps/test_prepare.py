import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from opticornet import api
from opticornet.cli import main
from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.prepare.prepared import Source
from opticornet.datasets.prepare.sources import SOURCES
from opticornet.options.modes import PrepareOptions
from opticornet.options.parsing import in_flags
from opticornet.steps.extract import ExtractOptions, extract
from opticornet.steps.prepare import prepare
from opticornet.utils.errors import UserError
from opticornet.utils.options import flag_of, option_fields
from opticornet.utils.program import program


def drives(root, count=30):
    """Two drives past the same textures, the second darker."""
    for name, gain in (("day", 1.0), ("night", 0.5)):
        (root / name).mkdir(parents=True)
        generator = np.random.default_rng(0)
        for i in range(count):
            texture = np.kron(generator.integers(0, 255, (6, 8)), np.ones((8, 8)))
            Image.fromarray((gain * texture).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def options(root, output, **changes):
    given = {"source": "folders", "root": str(root), "output": str(output), "reference": "day", "query": "night"}
    return PrepareOptions.of(**given | {"quiet": True} | changes)


def test_from_images_to_a_dataset(tmp_path):
    folder = prepare(options(drives(tmp_path / "root"), tmp_path / "data", fractions=(0.5, 0.25, 0.25), gap=1.0))
    for name in ("day", "night"):
        extract(
            ExtractOptions(
                images=str(folder / f"{name}.txt"),
                desc_type="hog",
                output=str(folder / f"{name}.npy"),
                threads=-1,
                quiet=True,
            )
        )
    dataset = load_dataset(str(folder))
    assert dataset.name == "data"
    assert sorted(dataset.splits) == ["test", "train", "val"]
    for split in dataset.splits.values():
        reference, query = (np.asarray(side.descriptors) for side in (split.reference, split.query))
        distances = np.linalg.norm(reference[None] - query[:, None], axis=2)
        nearest = split.reference.positions[distances.argmin(axis=1), 0]
        assert nearest.tolist() == split.query.positions[:, 0].tolist()  # HOG does not see the darkness
        for side in (split.reference, split.query):
            listed = json.loads((folder / f"{side.name}.json").read_text())["names"]
            assert all(os.path.isfile(image) and image in listed for image in side.images)
            assert [f"{int(frame)}.png" for frame in side.positions[:, 0]] == list(side.names)


@pytest.mark.parametrize("column", ["filename", "Image_Name", "img", "time"])
def test_a_shuffled_table_finds_every_place(tmp_path, column):
    root = drives(tmp_path / "root")
    for number, name in enumerate(("day", "night")):
        order = np.random.default_rng(number).permutation(30)
        rows = [f"{i if column == 'time' else f'{i}.png'},{4e5 + 50 * i},5e6" for i in order]
        (root / f"{name}.csv").write_text("\n".join([f"{column},EASTING,northing", *rows]))
    folder = prepare(options(root, tmp_path / "data", fractions=(0.0, 0.0, 1.0)))
    extract(ExtractOptions(dataset=str(folder), desc_type="hog", threads=-1, quiet=True))
    record = api.test(dataset=str(folder), pooling="single", seqL=1, runsPath=str(tmp_path / "runs"), quiet=True)
    assert record is not None
    assert record.recall["1"] == 1.0


def test_the_command_line(tmp_path, capsys):
    drives(tmp_path / "root")
    line = [
        "--mode",
        "prepare",
        "--source",
        "folders",
        "--root",
        str(tmp_path / "root"),
        "--reference",
        "day",
        "--query",
        "night",
        "--output",
        str(tmp_path / "data set"),
        "--name",
        "mine",
    ]
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert "data set: written" in printed
    assert (
        "day: 30 frames in 1 sequence\n    position: the number of the image in natural order, there is no" in printed
    )
    assert f"{program()} --mode extract --dataset '{tmp_path}/data set' --descType efficientnet-lite0\n" in printed
    assert 'name = "mine"' in (tmp_path / "data set" / "dataset.toml").read_text()
    assert main(line) == 0
    assert "finished already, nothing to do" in capsys.readouterr().out
    assert main([*line, "--seed", "5", "--fractions", "0.3", "0.3", "0.4"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "exists and would change: choose another --output, or give --overwrite" in error
    assert main([*line, "--fractions", "0.3", "0.3", "0.4", "--overwrite"]) == 0


def test_descriptors_of_an_earlier_dataset_are_never_tested(tmp_path, capsys):
    """As many images as before, other ones: nothing but their names tells."""
    for name in ("root", "other"):
        prepare(options(drives(tmp_path / name), tmp_path / "data", overwrite=True))
        line = ["--mode", "test", "--dataset", str(tmp_path / "data"), "--pooling", "single", "--seqL", "1", "--quiet"]
        if name == "root":
            extract(ExtractOptions(dataset=str(tmp_path / "data"), desc_type="thumbnail", threads=-1, quiet=True))
            assert main([*line, "--runsPath", str(tmp_path / "runs")]) == 0
    capsys.readouterr()
    assert main([*line, "--runsPath", str(tmp_path / "runs")]) == 2
    assert "extracted from other images than day.csv lists (first " in capsys.readouterr().err
    extract(
        ExtractOptions(dataset=str(tmp_path / "data"), desc_type="thumbnail", threads=-1, quiet=True, overwrite=True)
    )
    assert main([*line, "--runsPath", str(tmp_path / "runs")]) == 0


def test_frames_left_out_are_said(tmp_path, capsys):
    drives(tmp_path / "root")
    (tmp_path / "root" / "day.csv").write_text("\n".join(["name,frame", *(f"{i}.png,{i}" for i in range(25))]))
    prepare(options(tmp_path / "root", tmp_path / "data"))
    assert "day: 5 of 30 images left out: day.csv has no row for 5" in capsys.readouterr().err
    (tmp_path / "root" / "day.csv").write_text(
        "\n".join(["name,frame", *(f"{i}.png,{i}" for i in range(30) if i != 9)])
    )
    prepare(options(tmp_path / "root", tmp_path / "data", overwrite=True, quiet=False))
    printed = capsys.readouterr()
    assert "day: 1 hole of more than --maxHole 0 frames where sequences end" in printed.err
    assert (
        "day: 29 frames in 2 sequences\n    position: frame of day.csv, by name; 29 of 30 images have one"
        in printed.out
    )


def test_a_drive_whose_splits_have_gaps_is_listed_once(tmp_path, capsys):
    """Views of panoramas lie by direction, so that a stretch of the route is a part of each direction."""
    for name in ("day", "night"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for i in range(30):
            Image.new("RGB", (16, 8), (8 * i, 0, 0)).save(tmp_path / "root" / name / f"{i}.png")
    prepare(options(tmp_path / "root", tmp_path / "data", quiet=False, cut=2, gap=1.0))
    printed = capsys.readouterr().out
    assert printed.count("position: ") == 2
    assert "day: 60 frames in 2 sequences\n" in printed
    assert " queries of night-test in " in printed


def test_every_source_is_a_choice_whose_options_become_flags(capsys):
    assert PrepareOptions.flags()["source"].metadata["choices"] is SOURCES
    with pytest.raises(SystemExit):
        main(["--mode", "prepare", "--help"])
    shown = capsys.readouterr().out
    for _, name, kind in PrepareOptions.entries():
        assert issubclass(kind, Source), name
        assert all(flag_of(f) in shown for f in option_fields(kind).values()), name


@pytest.mark.slow
def test_the_benchmark_times_every_source(root):
    command = [sys.executable, str(root / "benchmarks" / "prepare.py"), "--frames", "1000"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    timed = {line.split()[0]: int(line.split()[1]) for line in printed.splitlines()[1:] if "prepare of" not in line}
    assert timed.keys() == SOURCES.keys()
    assert (
        timed["vpr-bench"]
        == timed["gsv-cities"]
        == timed["place-folders"]
        == timed["place-table"]
        == timed["place-sets"]
        == 1000
    )


def test_labelled_places_and_what_comes_next(gsv_cities, tmp_path, capsys):
    output = tmp_path / "data"
    flags = ["--mode", "prepare", "--source", "gsv-cities", "--root", str(gsv_cities), "--output", str(output)]
    assert main([*flags, "--cities", "London", "Boston"]) == 0
    printed = capsys.readouterr().out
    assert "  places train: 53 images of 11 places in 2 groups\n" in printed
    assert f" --mode train --dataset {output} --descType efficientnet-lite0" in printed
    assert "--mode extract" not in printed
    assert main([*flags, "--cities", "London", "Boston"]) == 0
    assert f"{output}: finished already, nothing to do" in capsys.readouterr().out
    assert main([*flags, "--valGroups", "London", "--overwrite"]) == 0
    printed = capsys.readouterr().out
    assert "  val: 13 queries of val-query in 16 frames of val-reference\n" in printed
    assert f" --mode extract --dataset {output} --descType efficientnet-lite0" in printed
    assert main([*flags, "--cut", "8"]) == 2
    assert "--cut is for drives, and gsv-cities gives places; leave it out" in capsys.readouterr().err
    assert main([*flags, "--heldOut", "alternate"]) == 2
    assert "--heldOut changes nothing here: no groups are held out" in capsys.readouterr().err


def refused(**given):
    with pytest.raises(UserError) as error:
        prepare(PrepareOptions.of(**given))
    return in_flags(str(error.value), PrepareOptions)


def test_bad_options(tmp_path):
    drives(tmp_path / "root", 3)
    root = {"source": "folders", "root": str(tmp_path / "root"), "output": str(tmp_path / "out")}
    for name in root:
        assert f"--{name} is missing" in refused(**{k: v for k, v in root.items() if k != name})
    assert "no such folder; give the one" in refused(**root | {"root": str(tmp_path / "none")})
    assert "--trainCity changes nothing here: it is an option of --source msls, not of folders" in refused(
        **root, train_city="x"
    )
    for inside in ("root", "root/data"):
        assert "lies in --root" in refused(**root | {"output": str(tmp_path / inside)})
    flags = {"gap": "--gap", "positive_radius": "--positiveRadius", "reach": "--reach"}
    assert "--seed -2: wanted a number of at least 0" in refused(**root, seed=-2)
    for name, flag in flags.items():
        for value in (-2.0, float("inf"), float("nan")):
            assert f"{flag} {value:g}: wanted a number of at least 0" in refused(**root, **{name: value})
    assert sorted(os.listdir(tmp_path)) == ["root"]


def test_a_traverse_is_named_by_a_folder_and_is_not_compared_with_itself(tmp_path):
    root = drives(tmp_path / "root")
    folder = prepare(options(root, tmp_path / "data", reference="day/"))
    assert (folder / "day.csv").is_file()
    for name in ("root/day", "/", "..", str(root / "day")):
        with pytest.raises(UserError, match="wanted the name of a folder"):
            prepare(options(root, tmp_path / "out", reference=name))
    with pytest.raises(UserError, match="`reference` and `query` are both night"):
        prepare(options(root, tmp_path / "out", reference="night"))
    (root / "frames.csv").write_text("name,frame,split\n0.png,0,test\n1.png,1,test\n")
    with pytest.raises(UserError, match="`reference` and `query` are both night"):
        prepare(options(root, tmp_path / "out", source="nordland", reference="night"))
    assert not (tmp_path / "out").exists()


def test_a_map_of_several_drives(tmp_path, capsys):
    """Image i of all three drives is one place."""
    root = drives(tmp_path / "root")
    shutil.copytree(root / "day", root / "noon")
    folder = prepare(options(root, tmp_path / "data", reference=("day/", "noon"), quiet=False))
    assert "test: 6 queries of night in 12 frames of day and noon" in capsys.readouterr().out
    text = (folder / "dataset.toml").read_text()
    assert text.count('reference = ["day", "noon"]\nquery = "night"') == 3
    for name in ("day", "noon", "night"):
        np.save(folder / f"{name}.npy", np.eye(30, dtype=np.float32))
    assert [drive.name for drive in load_dataset(str(folder)).splits["train"].reference.drives] == ["day", "noon"]
    with pytest.raises(UserError, match="`reference` names day twice; name each drive once"):
        prepare(options(root, tmp_path / "out", reference=("day", "day")))


def test_negatives_lie_beyond_positives(tmp_path):
    root = drives(tmp_path / "root")
    with pytest.raises(UserError, match=r"negative radius 5 lies below the positive radius 9; .* `negative_radius`"):
        prepare(options(root, tmp_path / "out", positive_radius=9.0))
    prepare(options(root, tmp_path / "out", positive_radius=2.0, negative_radius=2.0))


def test_a_folder_without_images(tmp_path):
    for name in ("day", "night"):
        (tmp_path / "root" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=r"no images in .*day"):
        prepare(options(tmp_path / "root", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_made(tmp_path):
    drives(tmp_path / "root")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a part of the path is a file"):
        prepare(options(tmp_path / "root", tmp_path / "file" / "out"))
    with pytest.raises(UserError, match="a part of the path is a file"):
        prepare(options(tmp_path / "root", tmp_path / "file"))
