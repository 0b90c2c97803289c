"""The image encoder that learns, and the weights that it starts from."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from opticornet.learning.optimizers.base import trainable
from opticornet.models.images.base import ImageEncoderOptions, read_state_dict
from opticornet.models.images.build import RANDOM, WEIGHTS_FOLDER
from opticornet.models.images.trainable import TrainableImageEncoder
from opticornet.options.modes import TrainImagesOptions
from opticornet.steps.training.teaching import TeacherRun
from opticornet.utils.device import seeded
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.files import full_path, sha256


def build_trainable(options: TrainImagesOptions) -> TrainableImageEncoder:
    """The encoder with random weights, of which those learn that the options say.

    Raises:
        UserError: an image size that it cannot take, more blocks than it has, or nothing that learns.
    """
    name, method = options.desc_type, options.part("desc_type")
    with seeded(options.seed, torch.device("cpu")), needs_extra("images"):
        try:
            encoder = method.build()
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
    if not isinstance(encoder, TrainableImageEncoder):
        raise UserError(f"`desc_type` {name} cannot be trained: its encoder is a {type(encoder).__name__}")
    blocks = method.trained_blocks if options.train_blocks is None else options.train_blocks
    try:
        encoder.train_blocks(blocks)
    except ValueError as error:
        raise UserError(f"`train_blocks` {blocks}: {name} cannot train so many, {error}") from error
    if not trainable(encoder):
        raise UserError(f"`train_blocks` {blocks}: {name} has nothing that learns beside its blocks; train at least 1")
    return encoder


def start_weights(
    options: TrainImagesOptions, encoder: TrainableImageEncoder, teacher: TeacherRun | None
) -> dict[str, str]:
    """Give the encoder what training starts from. Returns what a run keeps of it.

    Raises:
        UserError: there are no such weights, or they do not fit.
    """
    if teacher is not None and encoder.starts_from_teacher and options.weights in ("", RANDOM):
        return {"kind": "teacher", "name": teacher.path, "sha256": teacher.weights.sha256 or ""}
    if options.weights == RANDOM:
        return {"kind": "random", "name": f"seed {options.seed}"}
    path = Path(options.weights) if options.weights else _published(options)
    load_weights(encoder, path)
    return {"kind": "file", "name": full_path(str(path)), "sha256": sha256(path)}


def load_weights(encoder: TrainableImageEncoder, path: Path) -> None:
    """Take the weights of a whole encoder or of its backbone alone, whichever the checkpoint's names are those of.

    Raises:
        UserError: it cannot be read, fits neither, or holds infinite numbers or none.
    """
    state = read_state_dict(path)
    _check_finite(state, path)
    own = encoder.state_dict().keys()
    if own <= state.keys():
        encoder.load(state, path)
        return
    try:
        encoder.load_backbone(state, path)
    except UserError:
        if own & state.keys():  # it was meant to be the whole
            encoder.load(state, path)
        raise


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise :class:`UserError` where a weight is infinite or not a number."""
    if bad := next((name for name, value in state.items() if not value.isfinite().all()), None):
        raise UserError(f"{path}: {bad} holds numbers that are infinite or NaN; start from other weights")


def _published(options: TrainImagesOptions) -> Path:
    """The published weights of the backbone.

    Raises:
        UserError: they are not there.
    """
    method: ImageEncoderOptions = options.part("desc_type")
    wanted = method.backbone or method.published
    if wanted is None:
        raise UserError(
            f"no weights to start {options.desc_type} from, which nobody publishes: give `weights` a file or random"
        )
    path = WEIGHTS_FOLDER / wanted.file
    if path.is_file():
        return path
    if method.backbone is None and (fetched := method.fetch()) is not None:
        return fetched
    raise UserError(
        f"no weights to start {options.desc_type} from: wanted {wanted.file}, which the project {wanted.project} "
        f"publishes ({wanted.page}); put it at {path}, or give `weights` a file or random"
    )
