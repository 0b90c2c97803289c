"""Options that contradict each other, or that nothing can be trained with."""

from opticornet.inference.load import frames_taken
from opticornet.learning.augmentation.base import AugmentationOptions
from opticornet.options.modes import TrainOptions
from opticornet.utils.errors import UserError


def check_training_options(options: TrainOptions) -> None:
    """Raise :class:`UserError` for options that cannot be trained with."""
    if not options.has_weights:
        raise UserError(f"`pooling` {options.pooling} has nothing to learn: test it as it is")
    options.refuse_unused()
    options.check_names()
    _check_augmentation(options, options.part("augment"))
    loss = options.part("loss")
    if loss.takes == "tuples" and options.n_neg < loss.min_negatives:
        raise UserError(
            f"`n_neg` {options.n_neg}: the {options.loss} loss needs {loss.min_negatives} negatives of different places"
        )


def _check_augmentation(options: TrainOptions, augmentation: AugmentationOptions) -> None:
    takes = frames_taken(options.pooling)
    if augmentation.changes_images and takes == "descriptors":
        raise UserError(
            f"`augment` {options.augment} alters images, and {options.pooling} takes frame descriptors; choose time, "
            "descriptors, time+descriptors or none"
        )
    if augmentation.changes_descriptors and takes == "images":
        raise UserError(
            f"`augment` {options.augment} changes frame descriptors, and {options.pooling} takes images; choose time, "
            "images, time+images or none"
        )
    if augmentation.changes_images and options.freeze_spatial:
        raise UserError(
            f"`augment` {options.augment} alters images, and `freeze_spatial` describes each of them once; leave out "
            "one"
        )
