"""Options that contradict each other, or that no image encoder can be trained with."""

from opticornet.models.images import IMAGE_ENCODERS
from opticornet.options.modes import TrainImagesOptions
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry


def check_encoder(options: TrainImagesOptions) -> None:
    """Raise :class:`UserError` where no image encoder is named that learns."""
    if not options.desc_type:
        raise UserError("`desc_type` is missing: name the image encoder that learns, for example dinov2_vits14")
    if not entry(IMAGE_ENCODERS, options.desc_type).terms:
        learn = [name for name in IMAGE_ENCODERS if entry(IMAGE_ENCODERS, name).terms]
        raise UserError(f"`desc_type` {options.desc_type} cannot be trained; choose one of {', '.join(learn)}")


def check_image_options(options: TrainImagesOptions) -> None:
    """Raise :class:`UserError` for options, all known, that cannot be trained with."""
    if not options.dataset:
        raise UserError("`dataset` is missing: name a folder with places (docs/training-images.md)")
    options.refuse_unused()
    options.check_names()
    augmentation = options.part("augment")
    if augmentation.changes_pace or augmentation.changes_descriptors:
        raise UserError(f"`augment` {options.augment} is for windows of frames; choose images or none")
