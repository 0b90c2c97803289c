"""Options of ``--mode train --descType NAME``."""

from dataclasses import dataclass
from typing import Literal

from opticornet.inference.runs import check_exp_name, check_name, run_name
from opticornet.learning.augmentation import AUGMENTATIONS
from opticornet.learning.images.terms import LOSS_TERMS
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.options.learning import LearningOptions
from opticornet.options.shared import RunOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class TrainImagesOptions(LearningOptions, RunOptions):
    """``--mode train --descType NAME``: learn an image encoder from labelled places."""

    desc_type: str = option("--descType", "", "image encoder that learns", choices=IMAGE_ENCODERS)
    dataset: str = option("--dataset", "", "folder with a dataset.toml: places to learn from", path=())
    val_dataset: str = option(
        "--valDataset", "", "folder whose split val decides what is best, image by image; default: --dataset", path=()
    )
    weights: str = option(
        "--weights",
        "",
        "what training starts from: a checkpoint of the encoder or of its backbone, or random; default: the backbone's "
        "published one in data/weights",
        path=("random",),
    )
    teacher: str = option(
        "--teacher", "", "run whose descriptors are targets; what is frozen here is taken over from it", path=()
    )
    teacher_context: int = option(
        "--teacherContext", 0, "images that see one another in the teacher; 0: as many as when it was trained"
    )
    train_blocks: int | None = option("--trainBlocks", None, "last blocks that learn; default: as published")
    loss_terms: tuple[str, ...] = option(
        "--lossTerms", (), "terms of the loss, each NAME or NAME:WEIGHT; default: as published", choices=LOSS_TERMS
    )
    places_per_batch: int = option("--placesPerBatch", 24, "places per step", minimum=1)
    images_per_place: int = option("--imagesPerPlace", 4, "images of each", minimum=2)
    place_order: Literal["shuffled", "published"] = option(
        "--placeOrder",
        "shuffled",
        "shuffled: places of all groups mixed, every epoch anew; published: one fixed order, group by group",
        choices=("shuffled", "published"),
    )
    place_images: Literal["random", "first"] = option(
        "--placeImages",
        "random",
        "which images of a place: drawn, or always the first by rank",
        choices=("random", "first"),
    )
    train_size: tuple[int, ...] = option(
        "--trainSize", (), "height and width of training images, in pixels; default: as validation's"
    )
    no_normalise: bool = option(
        "--noNormalise", False, "training images without the encoder's normalisation, as FoL's authors trained"
    )
    augment: str = option("--augment", "none", "change training images: none, or images", choices=AUGMENTATIONS)
    images_at_once: int = option(
        "--imagesAtOnce",
        16,
        "images whose gradients are in memory at a time, each described twice; the loss sees all of the batch; 0: all",
    )
    amp: bool = option("--amp", False, "bfloat16 matrix products")
    seed: int = option("--seed", 123, "seed of every random choice")

    def __post_init__(self) -> None:
        size = self.train_size
        if size and (len(size) != 2 or min(size) < 1):
            raise UserError(f"`train_size` {' '.join(map(str, size))}: wanted height and width in pixels")

    def unused(self) -> dict[str, str]:
        return {} if self.teacher else {"teacher_context": "there is no `teacher`; name its run"}

    def new_name(self) -> str:
        """For a run that begins now."""
        return run_name(self.desc_type, None, self.exp_name)

    def check_names(self) -> None:
        """Raise :class:`UserError` where what names a run, or its inner folder, is a path, or too long."""
        check_exp_name(self.exp_name, self.desc_type, None)
        check_name("exp_name", self.exp_name)
        check_name("save_path", self.save_path)
