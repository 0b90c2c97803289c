"""From a run that learned an image encoder to the encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opticornet.inference.runs import SAVE_PATH, is_of_images, read_flags
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.base import ImageEncoderOptions, WeightsRecord, load_state
from opticornet.models.images.trainable import TrainableImageEncoder
from opticornet.utils.checkpoints import BEST, LATEST, build_empty, load_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.files import full_path, sha256
from opticornet.utils.options import from_flags, option_fields
from opticornet.utils.registry import entry

CHANGEABLE = {"image_size": "imageSize", "context": "context"}  # options that weights do not belong to, and flags


@dataclass(frozen=True)
class TrainedImageEncoder:
    """A trained image encoder.

    Attributes:
        encoder: in evaluation mode on the CPU; its ``weights`` name the run.
        method: its name in ``IMAGE_ENCODERS``.
        options: of the method.
        epoch: epochs that its weights were trained.
        flags: of the run.
    """

    encoder: TrainableImageEncoder
    method: str
    options: ImageEncoderOptions
    epoch: int
    flags: dict[str, Any]


def load_image_run(
    run: Path, *, checkpoint: str = "best", save_path: str = SAVE_PATH, changed: Mapping[str, Any] | None = None
) -> TrainedImageEncoder:
    """The image encoder that a run learned.

    Args:
        run: run folder.
        checkpoint: "best" or "latest".
        save_path: folder of the checkpoints inside it.
        changed: options of the method, of :data:`CHANGEABLE`, in place of the run's.

    Raises:
        UserError: the run learned something else, has no such checkpoint, or one that does not fit; a method that is
            not known here, or a size that it cannot take.
    """
    if checkpoint not in ("best", "latest"):
        raise UserError(f"`checkpoint` {checkpoint}: choose one of best, latest")
    flags = image_run_flags(run, save_path)
    method = str(flags.get("descType"))
    kind = entry(IMAGE_ENCODERS, method)
    options = from_flags(kind, flags)
    for name, value in (changed or {}).items():
        if name not in option_fields(kind):
            raise UserError(f"`{name}` is no option of {method}; leave it out")
        options = replace(options, **{name: value})
    path = run / save_path / (BEST if checkpoint == "best" else LATEST)
    state = load_checkpoint(path, mapped=True)
    if not isinstance(state.get("epoch"), int):
        raise UserError(f"{path} does not say after which epoch it was saved: wanted a checkpoint of a training run")
    try:
        with needs_extra("images"):
            encoder = build_empty(options.build)
    except ValueError as error:
        raise UserError(f"{method}: {error}") from error
    assert isinstance(encoder, TrainableImageEncoder)  # it was trained
    try:
        load_state(encoder, state["state_dict"], path)
    except UserError as error:
        if changed and "image_size" in changed:  # which some weights depend on
            raise UserError(f"{error}; without `image_size` it is of the run's own") from error
        raise
    encoder.weights = WeightsRecord("run", Path(full_path(str(run))).name, sha256(path))
    return TrainedImageEncoder(encoder.eval(), method, options, state["epoch"], flags)


def image_run_flags(run: Path, save_path: str = SAVE_PATH) -> dict[str, Any]:
    """The flags of a run that learned an image encoder.

    Raises:
        UserError: it learned something else.
    """
    flags = read_flags(run, save_path)
    if not is_of_images(flags):
        raise UserError(f"{run} learned the sequence method {flags.get('pooling')}: wanted a run of an image encoder")
    return flags
