"""From videos and ROS bags to descriptors."""

import numpy as np
import pytest

from opticornet.datasets.catalogue import load_dataset
from opticornet.options.modes import ExtractOptions, PrepareOptions
from opticornet.steps.extract import extract
from opticornet.steps.prepare import prepare


def textures(count=30):
    generator = np.random.default_rng(0)
    return [np.kron(generator.integers(0, 255, (6, 8)), np.ones((8, 8))).astype(np.uint8) for _ in range(count)]


def video(path):
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for grey in textures():
        writer.write(np.repeat(grey[..., None], 3, axis=2))
    writer.release()


def described(root, folder, **options):
    given = {"source": "folders", "root": str(root), "output": str(folder), "quiet": True, "fractions": (0, 0, 1)}
    prepare(PrepareOptions.of(**given | {"gap": 0.0} | options))
    extract(ExtractOptions.of(dataset=str(folder), desc_type="thumbnail", quiet=True, threads=2))
    return load_dataset(str(folder)).splits["test"].query


def test_videos(tmp_path):
    for name in ("ref", "query"):
        (tmp_path / "root").mkdir(exist_ok=True)
        video(tmp_path / "root" / f"{name}.mp4")
    query = described(tmp_path / "root", tmp_path / "data")
    alone = ExtractOptions.of(
        images=str(tmp_path / "root" / "query.mp4"), output=str(tmp_path / "a.npy"), desc_type="thumbnail", quiet=True
    )
    np.testing.assert_array_equal(np.asarray(query.descriptors), np.load(extract(alone)))
    assert query.names[:2] == ("frame-000000", "frame-000001")
    np.testing.assert_allclose(query.timestamps, 0.1 * np.arange(30), atol=2e-3)
    every_third = described(tmp_path / "root", tmp_path / "third", fps=10 / 3)
    np.testing.assert_array_equal(np.asarray(every_third.descriptors), np.asarray(query.descriptors)[::3])


@pytest.mark.parametrize("kind", ["bag", "db3", "mcap"])
def test_bags(tmp_path, write_bag, kind):
    start = 1_600_000_000 * 10**9
    for name in ("ref", "query"):
        frames = [(start + i * 10**8, start + i * 10**8, "mono8", grey) for i, grey in enumerate(textures())]
        write_bag(tmp_path / "root" / name, kind, {"/cam": frames, "/other": frames[:2]})
    query = described(tmp_path / "root", tmp_path / "data", topic="/cam")
    path = next(one for one in (tmp_path / "root").iterdir() if one.stem == "query")
    alone = {"images": str(path), "output": str(tmp_path / "a.npy"), "desc_type": "thumbnail", "topic": "cam"}
    np.testing.assert_array_equal(
        np.asarray(query.descriptors), np.load(extract(ExtractOptions.of(**alone, quiet=True)))
    )
    assert query.names[1] == f"cam/{start + 10**8}"
