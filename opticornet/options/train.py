"""Options of ``--mode train``."""

from dataclasses import dataclass

from opticornet.learning.augmentation import AUGMENTATIONS
from opticornet.learning.losses import LOSSES
from opticornet.options.learning import LearningOptions
from opticornet.options.shared import MethodOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option
from opticornet.utils.registry import entry


@dataclass(frozen=True, kw_only=True)
class TrainOptions(LearningOptions, MethodOptions):
    """``--mode train``: learn a sequence encoder."""

    init_from: str = option(
        "--initFrom",
        "",
        "run, ours or seqNet's, whose weights training starts from (its folder or checkpoint); its method holds",
        path=(),
    )
    loss: str = option(
        "--loss",
        "quadruplet",
        "loss: over mined tuples, or (soft-contrastive, smooth-ap) all references, better where places are many",
        choices=LOSSES,
    )
    augment: str = option(
        "--augment",
        "none",
        "change what training queries are: their pace, their descriptors or images, or both",
        choices=AUGMENTATIONS,
    )
    n_neg: int = option("--nNeg", 10, "hardest (violating) negatives per anchor", minimum=1)
    n_neg_sample: int = option(
        "--nNegSample", 0, "random references searched for negatives; 0: all of them", alias="--cachedNegatives"
    )
    batch_size: int = option("--batchSize", 32, "anchors per step", minimum=1)
    accumulate: int = option("--accumulate", 1, "batches whose mean gradient a step of the optimizer takes", minimum=1)
    cache_refresh_rate: int = option(
        "--cacheRefreshRate", 0, "anchors between two minings; 0: once per epoch", alias="--cachedQueries"
    )
    queries_per_epoch: int = option("--queriesPerEpoch", 0, "anchors per epoch, drawn among all; 0: all of them")
    freeze_blocks: int = option(
        "--freezeBlocks",
        0,
        "first blocks of each transformer that are not trained, nor is what comes before them; 0: all is trained",
    )
    freeze_spatial: bool = option(
        "--freezeSpatial", False, "do not train what sees single frames: each is described once, and kept"
    )
    checkpointing: bool = option(
        "--checkpointing", False, "less memory: work transformer blocks out once more for their gradients"
    )

    def __post_init__(self) -> None:
        if self.resume and self.init_from and "init_from" in self.given:
            raise UserError("`resume` contradicts `init_from`: a resumed run has weights of its own; leave one out")

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if self.reads_descriptors:
            of_images = ("freeze_blocks", "freeze_spatial", "checkpointing")
            reasons |= dict.fromkeys(of_images, f"it is of methods that take images, and {self.pooling} does not")
        if self.init_from:
            reasons["init"] = "the weights of `init_from` are what training starts from"
        if entry(LOSSES, self.loss).takes == "comparisons":
            mined = ("n_neg", "n_neg_sample", "cache_refresh_rate")
            reasons |= dict.fromkeys(mined, f"it is of mined tuples, and the {self.loss} loss compares all references")
        if self.longest_window == 1 and entry(AUGMENTATIONS, self.augment).changes_pace:
            reasons["augment"] = "a window of one frame has no pace"
        return reasons
