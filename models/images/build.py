"""From the name of an image encoder to the encoder with its weights."""

from pathlib import Path
from typing import Any

import torch

from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.base import ImageEncoder, ImageEncoderOptions, WeightsRecord, read_state_dict
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.files import sha256
from opticornet.utils.options import check_value, option_fields
from opticornet.utils.registry import entry

WEIGHTS_FOLDER = Path("data/weights")
RANDOM = "random"
RANDOM_SEED = 0


def build_image_encoder(name: str, *, weights: str | Path = "", **options: Any) -> ImageEncoder:
    """Build an encoder, with its weights, in eval mode on the CPU.

    Args:
        name: a key of ``IMAGE_ENCODERS``, or ``hub:<repository>:<entry>`` (see ``models/images/hub.py``).
        weights: a checkpoint file; ``random`` for weights that were never trained (the same ones each time); empty
            for the published file in ``data/weights``.
        options: the fields of the encoder's :class:`.base.ImageEncoderOptions`, such as ``image_size`` or ``pool``.

    Raises:
        UserError: an unknown name or option, a size the encoder cannot take, or weights missing or not fitting.
    """
    kind = entry(IMAGE_ENCODERS, name)
    fields = option_fields(kind)
    if foreign := [key for key in options if key not in fields]:
        raise UserError(f"`{foreign[0]}` is no option of {name}, which has {', '.join(fields) or 'none'}")
    return build_from_options(
        name, kind(**{key: check_value(kind, key, value) for key, value in options.items()}), weights
    )


def build_from_options(name: str, options: ImageEncoderOptions, weights: str | Path = "") -> ImageEncoder:
    """:func:`build_image_encoder` with options as its entry holds them.

    Raises:
        UserError: a size the encoder cannot take, or weights missing or not fitting.
    """
    if name.startswith("hub:"):
        return _build_hub(name, options, str(weights))
    path = _weights_path(name, options, str(weights))  # before the network is built: it may take a while
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        try:
            with needs_extra("images"):
                encoder = options.build()
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
    if path is not None:
        encoder.load(read_state_dict(path), path)
        encoder.weights = WeightsRecord("file", path.name, sha256(path))
    elif options.has_weights():
        encoder.weights = WeightsRecord("random", f"seed {RANDOM_SEED}")
    else:
        encoder.weights = WeightsRecord("none")
    return encoder.eval()


def _weights_path(name: str, options: ImageEncoderOptions, weights: str) -> Path | None:
    """The checkpoint to load; None for random weights and for encoders without any."""
    if not options.has_weights():
        if weights:
            raise UserError(f"{name} has no weights: leave out `weights`")
        return None
    if weights == RANDOM:
        return None
    if weights:
        return Path(weights)
    if options.published is None:
        raise UserError(
            f"no weights for {name}, which nobody publishes: train it and name the run with `resume`, or name a "
            "checkpoint with `weights`"
        )
    path = WEIGHTS_FOLDER / options.published.file
    if path.is_file():
        return path
    if (fetched := options.fetch()) is not None:
        return fetched
    raise UserError(
        f"no weights for {name}: wanted {options.published.file}, which the project {options.published.project} "
        f"publishes ({options.published.page}); put it at {path} or name it with `weights`"
    )


def _build_hub(name: str, options: ImageEncoderOptions, weights: str) -> ImageEncoder:
    from opticornet.models.images.hub import HubOptions, build_hub, state_sha256

    assert isinstance(options, HubOptions)
    if weights:
        raise UserError(f"{name} brings its own weights: leave out `weights`")
    with torch.random.fork_rng(devices=[]):  # what its weights leave random is the same each time
        torch.manual_seed(RANDOM_SEED)
        encoder = build_hub(name, **options.resizing())
    encoder.weights = WeightsRecord("hub", name, state_sha256(encoder.network))
    return encoder.eval()
