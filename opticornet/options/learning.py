"""Options of whatever learns."""

from dataclasses import dataclass

from opticornet.learning.optimizers import OPTIMIZERS
from opticornet.learning.schedules import SCHEDULES
from opticornet.learning.selection import MEASURES
from opticornet.options.base import Options
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class LearningOptions(Options):
    """How long, by which steps, and what is kept."""

    n_epochs: int = option("--nEpochs", 30, "epochs; 0: what training starts from is kept as it is", minimum=0)
    optim: str = option("--optim", "ADAMW", "optimizer", choices=OPTIMIZERS)
    lr: float = option("--lr", 1e-4, "learning rate, above 0; from random weights about 1e-3 is better", above=0)
    schedule: str = option("--lrSchedule", "cosine", "learning rate over epochs or steps", choices=SCHEDULES)
    weight_decay: float = option("--weightDecay", 0.0, "weight decay")
    eval_every: int = option("--evalEvery", 1, "epochs between two validations", minimum=1)
    select_by: str = option(
        "--selectBy", "mean-recall", "what decides which epoch's weights are best", choices=tuple(MEASURES)
    )
    patience: int = option("--patience", 5, "validations without a better score before stopping; 0: never stop")
