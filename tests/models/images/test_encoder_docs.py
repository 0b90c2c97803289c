"""docs/encoders.md against the registry."""

import re

import pytest
import torch

from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.build import build_image_encoder
from opticornet.utils.registry import entry


@pytest.fixture
def table(root):
    """Name to the other cells of the first table."""
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", (root / "docs" / "encoders.md").read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if cells.count("|") == 3}


def test_every_encoder_has_a_row(table):
    assert set(table) == {*IMAGE_ENCODERS, "hub:REPOSITORY:ENTRY"} - {"hub:"}


@pytest.mark.parametrize("name", [name for name in IMAGE_ENCODERS if name != "hub:"])
def test_the_row_says_what_the_encoder_is(table, name):
    options = entry(IMAGE_ENCODERS, name)
    published, is_network = options.published, options.has_weights()
    with torch.device("meta"):
        encoder = build_image_encoder(name, weights="random" if is_network else "")
    _, dims, resizing, file = table[name]
    height, width = encoder.preprocess.size
    method = encoder.preprocess.interpolation if is_network else "area"
    smooth = ", antialiased" if is_network and encoder.preprocess.antialias else ""
    assert dims == str(encoder.out_dims)
    assert resizing == f"{height}x{width}, {method}{smooth}"
    assert file == (f"`{published.file}`" if published else "none, to be trained" if is_network else "none")
