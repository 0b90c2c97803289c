"""Image encoders: what turns an image into a frame descriptor. A new one is a file here and a line in the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from opticornet.models.images.base import ImageEncoder, WeightsRecord, read_state_dict
from opticornet.utils.checkpoints import sha256
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra

WEIGHTS_FOLDER = Path("data/weights")
RANDOM = "random"
RANDOM_SEED = 0


@dataclass(frozen=True)
class Published:
    """A checkpoint that an encoder's authors publish: its file name, their project, the page that links it."""

    file: str
    project: str
    page: str


@dataclass(frozen=True)
class Entry:
    """One encoder of the registry.

    Attributes:
        builder: ``module:function`` in this package, imported when first used. The function takes keyword arguments
            and returns an :class:`ImageEncoder` with random weights.
        arguments: what tells this encoder from others of the same builder.
        published: its weights; None where it has none.
        fetch: ``module:function`` that takes ``arguments`` and returns the path of weights a library brings itself.
        pools: choices of ``pool``, the default first.
        resizable: whether ``image_size`` can be chosen.
        native: whether images may keep their own size.
    """

    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None
    fetch: str = ""
    pools: tuple[str, ...] = ()
    resizable: bool = True
    native: bool = True


def _dinov2(variant: str) -> Entry:
    page = "github.com/facebookresearch/dinov2"
    published = Published(f"dinov2_{variant}_pretrain.pth", "DINOv2", page)
    return Entry("dinov2:build_dinov2", {"variant": variant}, published, pools=("cls", "gem"))


def _scicevpr(builder: str, file: str, size: str) -> Entry:
    published = Published(file, "SciceVPR", "github.com/shuimushan/SciceVPR")
    return Entry(f"scicevpr:{builder}", {"size": size}, published, resizable=False, native=False)


def _fol(size: str) -> Entry:
    return Entry("fol:build_fol", {"size": size}, Published(f"FoL_{size}.pth", "FoL", "github.com/chenshunpeng/FoL"))


def _backbone(network: str, file: str) -> Entry:
    published = Published(file, "torchvision", "its page 'Models and pre-trained weights'")
    return Entry(
        "torchvision_backbones:build_backbone",
        {"network": network},
        published,
        fetch="torchvision_backbones:fetch_weights",
        pools=("gem", "gmp", "avg"),
    )


IMAGE_ENCODERS: dict[str, Entry] = {
    "thumbnail": Entry("thumbnail:build_thumbnail", native=False),
    "hog": Entry("hog:build_hog", native=False),
    "netvlad": Entry(
        "netvlad:build_netvlad",
        published=Published("pittsburgh_WPCA4096.pth.tar", "Patch-NetVLAD", "github.com/QVPR/Patch-NetVLAD"),
    ),
    "resnet18": _backbone("resnet18", "resnet18-f37072fd.pth"),
    "resnet50": _backbone("resnet50", "resnet50-0676ba61.pth"),
    "vgg16": _backbone("vgg16", "vgg16-397923af.pth"),
    "dinov2_vits14": _dinov2("vits14"),
    "dinov2_vitb14": _dinov2("vitb14"),
    "dinov2_vitl14": _dinov2("vitl14"),
    "scicevpr": _scicevpr("build_scicevpr", "SciceVPR_base.pth", "base"),
    "scicevpr-large": _scicevpr("build_scicevpr", "SciceVPR_large.pth", "large"),
    "super-cricavpr": _scicevpr("build_super_cricavpr", "Super-CricaVPR_base.pth", "base"),
    "super-cricavpr-large": _scicevpr("build_super_cricavpr", "Super-CricaVPR_large.pth", "large"),
    "fol": _fol("large"),
    "fol-base": _fol("base"),
}


def build_image_encoder(
    name: str, *, weights: str | Path = "", pool: str = "", image_size: tuple[int, int] | None = None
) -> ImageEncoder:
    """Build an encoder, with its weights, in eval mode on the CPU.

    Args:
        name: a key of ``IMAGE_ENCODERS``, or ``hub:<repository>:<entry>`` (see ``models/images/hub.py``).
        weights: a checkpoint file; ``random`` for weights that were never trained (the same ones each time); empty
            for the published file in ``data/weights``.
        pool: one of the encoder's poolings; empty for its default.
        image_size: (height, width) in pixels to resize images to; (0, 0) to leave images as they are; None for the
            encoder's published evaluation.

    Raises:
        UserError: unknown name or pool, a size the encoder cannot take, or weights missing or not fitting.
    """
    if name.startswith("hub:"):
        return _build_hub(name, str(weights), pool, image_size)
    if name not in IMAGE_ENCODERS:
        raise UserError(
            f"unknown image encoder {name!r}: choose one of {', '.join(IMAGE_ENCODERS)}, "
            "or hub:<owner/name or folder>:<entry>"
        )
    entry = IMAGE_ENCODERS[name]
    if pool and pool not in entry.pools:
        choice = f"choose one of {', '.join(entry.pools)}" if entry.pools else "it has no choice of pooling"
        raise UserError(f"--pool {pool} is unknown to {name}: {choice}")
    if image_size and not entry.resizable:
        raise UserError(f"{name} takes images of one size only: leave out --imageSize")
    if image_size == (0, 0) and not entry.native:
        raise UserError(f"--imageSize 0 0: {name} has to resize images; give a height and a width, or leave it out")
    chosen = ({"pool": pool} if pool else {}) | _size(image_size)
    path = _weights_path(name, entry, str(weights))  # before the network is built: it may take a while

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        try:
            encoder = _resolve(entry.builder)(**entry.arguments, **chosen)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
    if path is not None:
        encoder.load(read_state_dict(path), path)
        encoder.weights = WeightsRecord("file", path.name, sha256(path))
    elif entry.published is None:
        encoder.weights = WeightsRecord("none")
    else:
        encoder.weights = WeightsRecord("random", f"seed {RANDOM_SEED}")
    return encoder.eval()


def _weights_path(name: str, entry: Entry, weights: str) -> Path | None:
    """The checkpoint to load; None for random weights and for encoders without any."""
    if entry.published is None:
        if weights:
            raise UserError(f"{name} has no weights: leave out --weights")
        return None
    if weights == RANDOM:
        return None
    if weights:
        return Path(weights)
    path = WEIGHTS_FOLDER / entry.published.file
    if path.is_file():
        return path
    if entry.fetch:
        return _resolve(entry.fetch)(**entry.arguments)
    raise UserError(
        f"no weights for {name}: wanted {entry.published.file}, which the project "
        f"{entry.published.project} publishes ({entry.published.page}); put it at {path} or name it with "
        "--weights"
    )


def _build_hub(name: str, weights: str, pool: str, image_size: tuple[int, int] | None) -> ImageEncoder:
    from opticornet.models.images.hub import build_hub, state_sha256

    if pool:
        raise UserError(f"--pool {pool} is unknown to {name}: it has no choice of pooling")
    if weights:
        raise UserError(f"{name} brings its own weights: leave out --weights")
    with torch.random.fork_rng(devices=[]):  # what its weights leave random is the same each time
        torch.manual_seed(RANDOM_SEED)
        encoder = build_hub(name, **_size(image_size))
    encoder.weights = WeightsRecord("hub", name, state_sha256(encoder.network))
    return encoder.eval()


def _size(image_size: tuple[int, int] | None) -> dict[str, tuple[int, int] | None]:
    """The builder's argument: nothing for its default, None for images as they are."""
    if image_size is None:
        return {}
    return {"image_size": None if image_size == (0, 0) else image_size}


def _resolve(reference: str) -> Any:
    module, _, function = reference.partition(":")
    with needs_extra("images"):
        return getattr(import_module(f"{__name__}.{module}"), function)
