import pytest
import torch

from models.images import build_image_encoder
from models.images.hub import _value, state_sha256
from utils.errors import UserError

HUBCONF = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, dims, several):
        super().__init__()
        self.map = nn.Linear(3, dims)
        nn.init.constant_(self.map.weight, 0.5)
        self.several = several
    def forward(self, x):
        out = self.map(x.mean((2, 3)))
        return (out, x) if self.several else out

def small(dims=4, several=False):
    return Small(dims, several)

def maps():
    return nn.Conv2d(3, 2, 1)

def picky():
    class Picky(nn.Module):
        def forward(self, x):
            raise ValueError("wanted 128 pixels")
    return Picky()

def number():
    return 3
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    return tmp_path


def test_a_local_repository_becomes_an_encoder(repository, normal):
    encoder = build_image_encoder(f"hub:{repository}:small?dims=5&several=True", image_size=(8, 8))
    images = normal(1, 3, 3, 8, 8)
    descriptors = encoder(images)
    assert descriptors.shape == (3, encoder.out_dims) == (3, 5)
    torch.testing.assert_close(descriptors, torch.nn.functional.normalize(encoder.network.map(images.mean((2, 3)))))
    assert encoder.weights.kind == "hub"
    assert encoder.weights.sha256 == state_sha256(encoder.network)
    with torch.no_grad():
        encoder.network.map.bias += 1
    assert encoder.weights.sha256 != state_sha256(encoder.network)


def test_arguments_are_read_as_python_would():
    assert [_value(text) for text in ("3", "0.5", "True", "False", "ResNet50")] == [3, 0.5, True, False, "ResNet50"]


@pytest.mark.parametrize(("entry", "message"), [
    ("maps", r"returns shape \(1, 2, 322, 322\): wanted a descriptor"),
    ("picky", r"fails on an image of 322x322 pixels \(wanted 128 pixels\)"),
    ("number", "gives a int"),
    ("absent", "cannot load .*absent"),
    ("small?size=3", "cannot load .*TypeError"),
])
def test_entries_that_are_no_encoders(repository, entry, message):
    with pytest.raises(UserError, match=message):
        build_image_encoder(f"hub:{repository}:{entry}")


def test_names_that_lead_nowhere(tmp_path):
    with pytest.raises(UserError, match="wanted hub:<owner/name or folder>:<entry>"):
        build_image_encoder("hub:megaloc")
    with pytest.raises(UserError, match="neither an existing folder nor owner/name"):
        build_image_encoder("hub:/no/such/folder:entry")
    with pytest.raises(UserError, match=r"holds no hubconf.py"):
        build_image_encoder(f"hub:{tmp_path}:entry")
    with pytest.raises(UserError, match="brings its own weights"):
        build_image_encoder("hub:a/b:c", weights="random")
