import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from opticornet.models.images.base import Preprocess, box_resize, load_state, read_state_dict, resize
from opticornet.utils.errors import UserError


@pytest.fixture
def image():
    """A smooth image of odd size, as photographs are."""
    noise = np.random.default_rng(0).integers(0, 255, (13, 11, 3), np.uint8)
    return np.array(Image.fromarray(noise).resize((91, 67), Image.Resampling.BICUBIC))


def test_preprocess_normalises_as_totensor_and_normalize(image):
    found = Preprocess(None, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))(image)
    wanted = (image / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2.0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("interpolation", "method"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
@pytest.mark.parametrize("size", [(20, 30), (100, 200)])
def test_with_antialias_images_are_resized_as_pillow_does(image, interpolation, method, size):
    found = resize(image, size, interpolation, antialias=True)
    wanted = np.asarray(Image.fromarray(image).resize(size[::-1], method))
    assert found.dtype == np.uint8
    assert abs(found.astype(int) - wanted).max() <= 2  # both round twice
    assert (found != wanted).mean() < 0.01


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 30), (100, 200)])
def test_without_antialias_images_are_resized_as_tensors_are(image, interpolation, size):
    found = Preprocess(size, interpolation=interpolation, antialias=False)(image)
    tensor = torch.from_numpy(Preprocess(None)(image))[None]  # normalised first, as published evaluations do
    wanted = functional.interpolate(tensor, size, mode=interpolation, align_corners=False, antialias=False)[0]
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_area_averages_what_a_pixel_covers(image):
    whole = image[:64, :88, 0]
    wanted = whole.reshape(8, 8, 8, 11).mean((1, 3))
    np.testing.assert_allclose(box_resize(whole, (8, 8)), wanted, atol=1)


def test_preprocess_travels_to_workers(image):
    prepare = Preprocess((14, 14), interpolation="bicubic")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(prepare))(image), prepare(image))


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_of_all_layouts_load(tmp_path, key, prefix):
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    state = {prefix + name: value for name, value in source.state_dict().items()}
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / "w.pth")
    load_state(target, read_state_dict(tmp_path / "w.pth"), tmp_path / "w.pth")
    assert torch.equal(target.weight, source.weight)


def test_a_checkpoint_that_does_not_fit_lists_its_first_keys(tmp_path):
    torch.save({"weight": torch.zeros(5, 3), "scale": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError) as error:
        load_state(nn.Linear(3, 2), read_state_dict(tmp_path / "w.pth"), tmp_path / "w.pth")
    assert "1 missing (first: bias)" in str(error.value)
    assert "1 unexpected (first: scale)" in str(error.value)
    assert "1 mismatching (first: weight is (5, 3), wanted (2, 3))" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("old_format", [False, True])
def test_training_checkpoints_hold_numpy_numbers_and_arrays(tmp_path, old_format):
    state = nn.Linear(3, 2).state_dict()
    torch.save(
        {"state_dict": state, "best_score": np.float64(0.5), "recalls": np.array([0.5, 0.75])},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=not old_format,
    )
    assert torch.equal(read_state_dict(tmp_path / "w.pth")["weight"], state["weight"])


class Trap:
    def __reduce__(self):
        return print, ("code of the checkpoint ran",)


def test_files_that_are_no_checkpoints(tmp_path, capsys):
    with pytest.raises(UserError, match=r"no weights at .*none.pth"):
        read_state_dict(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match=r"text.pth is not a checkpoint"):
        read_state_dict(tmp_path / "text.pth")
    torch.save({"epoch": 1}, tmp_path / "empty.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        read_state_dict(tmp_path / "empty.pth")
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(UserError, match=r"trap.pth is not a checkpoint") as error:
        read_state_dict(tmp_path / "trap.pth")
    assert "it holds print" in str(error.value)
    assert "\n" not in str(error.value)
    assert "ran" not in capsys.readouterr().out
