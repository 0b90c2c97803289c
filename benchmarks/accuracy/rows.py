"""The rows of the tables: what is trained, with default options but for what the name says, and how it is tested."""

from dataclasses import dataclass
from typing import Any

from cells import Cell, Training

ADAPTATIONS = ("none", "running", "traverse")
Options = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: in the table.
        test: options of ``test``.
        encoder: options of ``train`` of what is tested; None: nothing is trained.
        reranker: of the encoder of single frames that re-ranks.
        adaptations: that are worth a column.
        ending: of the names of the datasets that are trained on.
    """

    name: str
    test: Options
    encoder: Options | None = None
    reranker: Options | None = None
    adaptations: tuple[str, ...] = ADAPTATIONS
    ending: str = ""

    def cell(self, dataset: str, seed: int, adapt: str | None = None, trained_on: str = "", **more: Any) -> Cell:
        """The test of this row on a dataset.

        Args:
            dataset: to test on, and to train on unless ``trained_on`` says another one.
            seed: of training.
            adapt: the adaptation; None: the default one. Training that looks ahead is training: it is ``running``.
            more: options of the test.
        """
        adapted = {} if adapt is None else {"adapt": adapt}
        if self.encoder is None:
            return Cell(dataset, self.test | adapted | more)
        in_training = {"adapt": "running"} if adapt == "traverse" else adapted
        trainings = {"resume": self.encoder} | ({"rerank_resume": self.reranker} if self.reranker else {})
        runs = {
            option: Training((trained_on or dataset) + self.ending, seed, options | in_training)
            for option, options in trainings.items()
        }
        return Cell(dataset, self.test | adapted | more, runs)


def length(frames: int) -> Options:
    return {"sequence_length": frames}


S1, S5, S10 = length(1), length(5), length(10)
SEQNET = {"pooling": "seqnet"}
RANDOM = {"init": "random", "lr": 1e-3, "patience": 0}
START = {"lr": 1e-30, "n_epochs": 1}  # training that changes nothing
MATCH = {"pooling": "s1+seqmatch"}


def hvpr(frames: int) -> Options:
    return {"rerank": "s1+seqmatch", "rerank_length": frames}


UNTRAINED = [
    Row("single", {"pooling": "single"} | S1),
    Row("smooth L5", {"pooling": "smooth"} | S5),
    Row("delta L5", {"pooling": "delta"} | S5),
    Row("single+seqmatch L5", {"pooling": "single+seqmatch"} | S5),
    Row("single+seqmatch L10", {"pooling": "single+seqmatch"} | S10),
]
METHODS = [
    *UNTRAINED,
    Row("seqnet S1", {}, S1 | SEQNET),
    Row("seqnet S5", {}, S5 | SEQNET),
    Row("seqnet S10", {}, S10 | SEQNET),
    Row("seqnet S1 + seqmatch L5", MATCH | S5, S1 | SEQNET),
    Row("seqnet HVPR S5 to S1 (5)", hvpr(5), S5 | SEQNET, S1 | SEQNET),
    Row("seqnet S5, random weights, lr 1e-3", {}, S5 | SEQNET | RANDOM, adaptations=("none",)),
    Row(
        "delta-lstm L5, random weights, lr 1e-3",
        {},
        S5 | {"pooling": "delta-lstm", "lr": 1e-3, "patience": 0},
        adaptations=("none",),
    ),
    Row("dsdnet S1", {}, S1),
    Row("dsdnet S5", {}, S5),
    Row("dsdnet S10", {}, S10),
    Row("dsdnet S1 + seqmatch L5", MATCH | S5, S1),
    Row("dsdnet S1 + seqmatch L10", MATCH | S10, S1),
    Row("dsdnet HVPR S5 to S1 (5)", hvpr(5), S5, S1),
    Row("dsdnet HVPR S5 to S1 (10)", hvpr(10), S5, S1),
    Row("dsdnet HVPR S5 to S1 (10), frames matched", hvpr(10) | {"rerank_by": "frames"}, S5, S1),
]
MORE_SEASONS = [
    Row("dsdnet S5, three seasons in training", {}, S5, ending="+fall"),
    Row("dsdnet S10, three seasons in training", {}, S10, ending="+fall"),
]
SUMMARY = (  # what the README shows of them
    *(row.name for row in UNTRAINED),
    "seqnet S5",
    "dsdnet S5",
    "dsdnet S10",
    "dsdnet S1 + seqmatch L5",
    "dsdnet S1 + seqmatch L10",
    "dsdnet HVPR S5 to S1 (5)",
    "dsdnet HVPR S5 to S1 (10)",
    "dsdnet S5, three seasons in training",
)
ABLATIONS = [
    Row("dsdnet S5", {}, S5),
    Row("without the LSTM", {}, S5 | {"no_lstm": True}),
    Row("without the residual", {}, S5 | {"no_residual": True}),
    Row("without temporal differencing", {}, S5 | {"no_delta": True}),
    Row("fusion by sum", {}, S5 | {"dsd_fusion": "sum"}),
    Row("from random weights, lr 1e-3", {}, S5 | RANDOM),
    Row("whitening alone, no training", {}, S5 | START),
    *(
        Row(f"{loss} loss", {}, S5 | {"loss": loss})
        for loss in ("quadruplet", "triplet", "multi-similarity", "soft-contrastive", "smooth-ap")
    ),
    *(Row(f"augmented: {kind}", {}, S5 | {"augment": kind}) for kind in ("time", "descriptors")),
]
ENCODED = {"dsdnet S5": S5, "seqnet S5": S5 | SEQNET, "dsdnet S10": S10, "seqnet S10": S10 | SEQNET}
FRAME_DIMS = 64  # of the real descriptors
DIMENSIONS = (64, 128, 192, 256, 320, 512, 1024)
IMAGES = {
    1: [Row("single", {"pooling": "single"} | S1), Row("dsdnet S1", {}, S1)],
    5: [
        Row("single+seqmatch L5", {"pooling": "single+seqmatch"} | S5),
        Row("smooth L5", {"pooling": "smooth"} | S5),
        Row("delta L5", {"pooling": "delta"} | S5),
        Row("dsdnet S5", {}, S5),
        Row("dsdnet HVPR S5 to S1 (5)", hvpr(5), S5, S1),
    ],
    10: [
        Row("single+seqmatch L10", {"pooling": "single+seqmatch"} | S10),
        Row("smooth L10", {"pooling": "smooth"} | S10),
        Row("delta L10", {"pooling": "delta"} | S10),
        Row("dsdnet S10", {}, S10),
        Row("dsdnet HVPR S10 to S1 (10)", hvpr(10), S10, S1),
    ],
}
STRESSED = [
    Row("single+seqmatch L5, diagonal", {"pooling": "single+seqmatch"} | S5),
    Row("single+seqmatch L5, seqslam", {"pooling": "single+seqmatch", "matcher": "seqslam"} | S5),
    Row("single+seqmatch L5, dtw", {"pooling": "single+seqmatch", "matcher": "dtw"} | S5),
    Row("dsdnet S5", {}, S5),
    Row("dsdnet S5, map at paces .5 2 2.5 0 -1", {"map_paces": (0.5, 2, 2.5, 0, -1)}, S5),
    Row("dsdnet HVPR S5 to S1 (5)", hvpr(5), S5, S1),
    Row("single+seqmatch L10, seqslam", {"pooling": "single+seqmatch", "matcher": "seqslam"} | S10),
    Row("dsdnet S10", {}, S10),
]
SIMULATED = [
    Row("single", {"pooling": "single"} | S1),
    Row("single+seqmatch L5", {"pooling": "single+seqmatch"} | S5),
    Row("dsdnet S5, start alone", {}, S5 | START),
    Row("dsdnet S5, trained", {}, S5 | {"n_epochs": 2}),
    Row(
        "dsdnet S5, soft-contrastive loss, lr 1e-3, 64 anchors and 512 references a step",
        {},
        S5 | {"n_epochs": 2, "loss": "soft-contrastive", "lr": 1e-3, "batch_size": 64, "references": 512},
    ),
]
