import subprocess
import sys

import pytest
import torch

from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.build import build_image_encoder
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

NAMES = [name for name in IMAGE_ENCODERS if name != "hub:"]


def test_the_registry_is_read_without_the_libraries_of_its_encoders(root):
    code = (
        "import sys, opticornet.models.images; "
        "print([m for m in ('torchvision', 'timm', 'cv2', 'PIL') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_can_be_built(name):
    with torch.device("meta"):  # shapes without the memory
        encoder = build_image_encoder(name, weights="random" if entry(IMAGE_ENCODERS, name).has_weights() else "")
    assert encoder.out_dims > 0
    assert callable(encoder.preprocess)
    assert not encoder.training
    assert encoder.weights.kind == ("random" if entry(IMAGE_ENCODERS, name).has_weights() else "none")


@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if entry(IMAGE_ENCODERS, name).published and not name.startswith("efficientnet")],
)
def test_missing_weights_say_what_who_and_where(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    published = entry(IMAGE_ENCODERS, name).published
    with pytest.raises(UserError) as error:
        build_image_encoder(name)
    message = str(error.value)
    assert published.file in message
    assert published.project in message
    assert "put it at" in message
    assert "\n" not in message


def test_weights_that_nobody_publishes_have_to_be_trained():
    with pytest.raises(UserError, match="no weights for fol-small, which nobody publishes: train it and name the run"):
        build_image_encoder("fol-small")


def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone():
    torch.manual_seed(5)
    first = build_image_encoder("resnet18", weights="random")
    drawn = torch.rand(1)
    second = build_image_encoder("resnet18", weights="random", pool="gmp")
    assert all(torch.equal(a, b) for a, b in zip(first.layers.parameters(), second.layers.parameters(), strict=True))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)


def test_a_file_is_loaded_and_recorded(tmp_path):
    from opticornet.utils.files import sha256

    trained = build_image_encoder("resnet18", weights="random")
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(2)
    torch.save(trained.layers.state_dict(), tmp_path / "mine.pth")
    loaded = build_image_encoder("resnet18", weights=tmp_path / "mine.pth")
    assert torch.equal(loaded.layers.conv1.weight, trained.layers.conv1.weight)
    assert loaded.weights.name == "mine.pth"
    assert loaded.weights.sha256 == sha256(tmp_path / "mine.pth")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vlad"}, "unknown name 'vlad'.*; choose one of thumbnail, hog"),
        ({"name": "hog", "pool": "gem"}, "`pool` is no option of hog, which has image_size"),
        ({"name": "resnet18", "pool": "cls", "weights": "random"}, "choose one of gem, gmp, avg"),
        ({"name": "hog", "weights": "a.pth"}, "hog has no weights"),
        ({"name": "hog", "image_size": (30, 30)}, "hog: HOG is made of 8x8 cells"),
        ({"name": "hog", "image_size": (0, 0)}, "this encoder has to resize images"),
        ({"name": "scicevpr", "image_size": (322, 322)}, "`image_size` is no option of scicevpr, which has none"),
        ({"name": "netvlad", "weights": "nowhere.pth"}, "no weights at nowhere.pth"),
    ],
)
def test_bad_choices(arguments, message):
    with pytest.raises(UserError, match=message):
        build_image_encoder(**arguments)
