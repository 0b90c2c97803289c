import base64

import numpy as np
import pytest
from PIL import Image

from opticornet.reports.matrix import similarity_matrix
from opticornet.reports.pictures import FramePictures, matrix_picture, order_of_interest, thumbnail, window_rows
from opticornet.reports.results import read_result


@pytest.fixture
def pictured(record, tmp_path):
    paths = []
    for i in range(20):
        paths.append(str(tmp_path / f"frame{i}.png"))
        Image.new("RGB", (400, 200), (10 * i, 0, 0)).save(paths[-1])
    return read_result(record(images=paths, wrong=(3, 4), no_positive=(9,))), paths


def test_order_puts_the_worst_first_and_queries_without_a_positive_last(pictured):
    result, _ = pictured
    order = order_of_interest(result.answers)
    assert set(order[:2].tolist()) == {3, 4}
    assert order[-1] == 9
    assert sorted(order.tolist()) == list(range(20))


def test_images_of_the_worst_windows_come_first_until_the_budget_is_spent(pictured):
    result, paths = pictured
    size = len(thumbnail(paths[0]))
    album = FramePictures(budget=int(4.5 * size))
    album.add_images(result.answers, result.length, order_of_interest(result.answers)[:1])
    first = int(order_of_interest(result.answers)[0])
    assert set(album.images["query"]) == {first - 1, first, first + 1}
    assert len(album.images["reference"]) == 1
    assert album.full
    assert len(album.pool) == 4


def test_frames_without_a_window_are_pictured_where_windows_hold_them(record, pictured, tmp_path):
    _, paths = pictured
    path = record(name="filtered", images=paths)
    with np.load(path.with_suffix(".npz")) as arrays:
        held = {**arrays, "queryOtherRows": np.array([20]), "queryOtherImages": np.array(paths[:1])}
    held["queryStarts"] = np.arange(20)  # windows end beyond the last one
    held["referenceStarts"] = np.arange(20).clip(max=17)
    np.savez(path.with_suffix(".npz"), **held)
    result, album = read_result(path), FramePictures(budget=1 << 20)
    album.add_images(result.answers, 2, np.arange(20))
    assert set(album.images["query"]) == set(range(21))
    np.savez(path.with_suffix(".npz"), **{**held, "queryOtherImages": np.array(paths[:2])})
    assert read_result(path).answers is None


def test_missing_images_are_told_and_left_out(pictured, tmp_path):
    result, paths = pictured
    (tmp_path / "frame3.png").unlink()
    (tmp_path / "frame4.png").write_text("no image")
    album = FramePictures(budget=1 << 20)
    album.add_images(result.answers, result.length, np.arange(20))
    assert set(album.missing) == {paths[3], paths[4]}
    assert album.images["query"][3] == album.images["reference"][3] == -1
    assert album.images["query"][5] >= 0


def test_strips_hold_64_dimensions(record):
    result = read_result(record())
    descriptors = np.random.default_rng(0).standard_normal((20, 200)).astype(np.float16)
    album = FramePictures(budget=1 << 20)
    album.add_strips({"reference": descriptors, "query": descriptors}, result.answers, 3, np.arange(20))
    assert set(album.strips["query"]) == set(range(20))
    values = np.frombuffer(base64.b64decode(album.strips["query"][4]), np.uint8)
    assert len(values) == 64
    assert 0 <= values.min() < 127 < values.max() <= 255


def test_rows_of_a_long_window_are_spread_over_it():
    assert window_rows(10, 3).tolist() == [10, 11, 12]
    assert window_rows(10, 21).tolist() == [10, 15, 20, 25, 30]


def test_matrix_picture_is_a_png():
    vectors = np.eye(5, dtype=np.float32)
    uri = matrix_picture(similarity_matrix(vectors, vectors, 5, "rows"))
    assert base64.b64decode(uri.split(",")[1]).startswith(b"\x89PNG")
