import importlib
import sys

import pytest
import torch

from opticornet.models.images.build import build_image_encoder
from opticornet.models.images.hub import _argument_value, state_sha256
from opticornet.utils.errors import UserError

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

def careless():
    class Careless(nn.Module):
        def forward(self, x):
            return {}["descriptor"]
    return Careless()

def fixed():
    class Fixed(nn.Module):
        def forward(self, x):
            return x.flatten(1) @ torch.ones(3 * 224 * 224, 4)
    return Fixed()

def wide():
    class Wide(nn.Module):
        def forward(self, x):
            return x.mean((1, 2))
    return Wide()

def together():
    class Together(Small):
        def forward(self, x):
            out = super().forward(x)
            return out + out.mean(0)
    return Together(4, False)

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
    assert [_argument_value(text) for text in ("3", "0.5", "True", "False", "ResNet50")] == [
        3,
        0.5,
        True,
        False,
        "ResNet50",
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("maps", r"returns shape \(1, 2, 322, 322\) for 1 images of 322x322 pixels: wanted a descriptor"),
        ("picky", r"fails on an image of 322x322 pixels \(wanted 128 pixels\)"),
        ("careless", r"fails on an image of 322x322 pixels \('descriptor'\)"),
        ("number", "gives a int"),
        ("absent", "cannot load .*absent"),
        ("small?size=3", "cannot load .*TypeError"),
    ],
)
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


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("fixed", r"fails on an image of 48x64 pixels .*mat1"),
        ("wide", r"returns shape \(2, 64\)"),
    ],
)
def test_images_of_a_size_that_the_network_cannot_take(repository, entry, message):
    encoder = build_image_encoder(f"hub:{repository}:{entry}", image_size=(0, 0))
    with pytest.raises(ValueError, match=message):
        encoder(torch.ones(2, 3, 48, 64))


@pytest.mark.parametrize("entry", ["small", "together"])
def test_batch_size_does_not_matter(repository, normal, entry):
    encoder = build_image_encoder(f"hub:{repository}:{entry}", image_size=(8, 8))
    images = normal(1, 5, 3, 8, 8)
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(encoder(images), alone, rtol=0, atol=1e-5)


def test_what_an_entry_leaves_random_is_the_same_each_time(repository):
    first, second = (build_image_encoder(f"hub:{repository}:small", image_size=(8, 8)) for _ in range(2))
    assert first.weights == second.weights  # its bias is drawn


GENERIC = {
    "hubconf.py": "from models.net import Net\nfrom utils import CHANNELS\n\n"
    "def net():\n    from datasets import loading\n    return Net(loading.dims(), CHANNELS)\n",
    "models/__init__.py": "",
    "models/net.py": """
import torch
from torch import nn
from utils import CHANNELS

class Net(nn.Module):
    def __init__(self, dims, channels):
        super().__init__()
        self.map = nn.Linear(channels, dims)
        nn.init.constant_(self.map.weight, 0.5)
        nn.init.zeros_(self.map.bias)
        self.register_buffer("ramp", torch.arange(1.0, dims + 1))

    def forward(self, images):
        from utils.later import bend
        return bend(self.ramp * self.map(images.mean((2, 3))).exp())
""",
    "utils/__init__.py": "CHANNELS = 3\n",
    "utils/later.py": "def bend(x):\n    return x ** POWER\n",
    "datasets/loading.py": "def dims():\n    return DIMS\n",
}


def generic(folder, power, dims):
    """A repository that brings models/, utils/ and datasets/ (the last without __init__.py) and imports in forward."""
    for name, text in GENERIC.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("POWER", str(power)).replace("DIMS", str(dims)))
    return folder


def described(images, power, dims):
    rows = torch.arange(1.0, dims + 1) * (0.5 * images.mean((2, 3)).sum(1, keepdim=True)).exp()
    return torch.nn.functional.normalize(rows**power)


@pytest.fixture
def foreign_datasets(tmp_path, monkeypatch):
    """Another package called datasets, imported before anything."""
    (tmp_path / "site" / "datasets").mkdir(parents=True)
    (tmp_path / "site" / "datasets" / "__init__.py").write_text("OURS = False\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield importlib.import_module("datasets")
    sys.modules.pop("datasets", None)


def test_repositories_with_generic_names_live_side_by_side(tmp_path, normal, foreign_datasets):
    before, path = dict(sys.modules), list(sys.path)
    encoders = {
        (power, dims): build_image_encoder(f"hub:{generic(tmp_path / str(power), power, dims)}:net", image_size=(8, 8))
        for power, dims in ((2, 4), (3, 5))
    }
    images = normal(1, 2, 3, 8, 8)
    for _ in range(2):
        for (power, dims), encoder in encoders.items():
            torch.testing.assert_close(encoder(images), described(images, power, dims))
    assert sys.path == path
    assert sys.modules == before
    assert sys.modules["datasets"] is foreign_datasets
    from opticornet.datasets.windows import window_starts

    assert window_starts.__module__ == "opticornet.datasets.windows"


def test_a_repository_that_fails_leaves_nothing_behind(tmp_path):
    generic(tmp_path, 2, 4)
    (tmp_path / "utils" / "__init__.py").write_text("1 / 0")
    before, path = dict(sys.modules), list(sys.path)
    with pytest.raises(UserError, match=r"cannot load .*ZeroDivisionError"):
        build_image_encoder(f"hub:{tmp_path}:net")
    assert sys.modules == before
    assert sys.path == path


def test_a_repository_that_was_downloaded_before(tmp_path, monkeypatch, normal):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    generic(tmp_path / "hub" / "someone_net_main", 2, 4)
    before = dict(sys.modules)
    encoder = build_image_encoder("hub:someone/net:main:net", image_size=(8, 8))
    images = normal(1, 2, 3, 8, 8)
    torch.testing.assert_close(encoder(images), described(images, 2, 4))
    assert sys.modules == before
    assert encoder.weights.name == "hub:someone/net:main:net"
