"""Options of ``--mode train``."""

from dataclasses import dataclass

from opticornet.options.shared import MethodOptions
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class TrainOptions(MethodOptions):
    """``--mode train``: learn a sequence encoder."""

    loss: str = option("--loss", "quadruplet", "loss", choices=("quadruplet", "triplet", "multi-similarity"))
    margin: float = option("--margin", 0.1, "margin; seqNet's triplet takes its square root")
    margin2: float = option("--margin2", 0.05, "the quadruplet's second margin, below --margin")
    n_neg: int = option("--nNeg", 10, "hardest violating negatives an anchor")
    n_neg_sample: int = option("--nNegSample", 0, "random references searched for negatives; 0: all of them")
    batch_size: int = option("--batchSize", 32, "anchors a step")
    cache_refresh_rate: int = option("--cacheRefreshRate", 0, "anchors between two minings; 0: once an epoch")
    n_epochs: int = option("--nEpochs", 30, "epochs")
    optim: str = option("--optim", "ADAMW", "optimizer", choices=("SGD", "ADAM", "ADAMW"))
    lr: float = option("--lr", 1e-4, "learning rate; from random weights about 1e-3 is better")
    schedule: str = option("--lrSchedule", "cosine", "learning rate over the epochs", choices=("step", "cosine"))
    lr_step: int = option("--lrStep", 50, "epochs between two steps of the step schedule", minimum=1)
    lr_gamma: float = option("--lrGamma", 0.5, "factor of a step")
    weight_decay: float = option("--weightDecay", 0.0, "weight decay")
    momentum: float = option("--momentum", 0.9, "momentum of SGD")
    eval_every: int = option("--evalEvery", 1, "epochs between two validations")
    patience: int = option("--patience", 0, "validations without a better score before stopping; 0: never stop")
