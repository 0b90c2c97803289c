"""Rows and tables of what is learned on windows of images: STA and SeqVLAD."""

from dataclasses import dataclass, field
from typing import Any

from cells import Bench, Cell, Described, Training
from lines import Outcome, header_of, line, recalls
from rows import ADAPTATIONS, S1, S5, START, Options, Row
from sources import BACKBONE, GRID, MEAN, TOKENS

THUMBNAILS = "thumbnails"
IMAGE_SEED, TOKEN_SEEDS = 0, 3
COMPARED = {"loss": "soft-contrastive", "references": 128, "lr": 1e-3, "patience": 0}
SMALL = S5 | COMPARED | {
    "pooling": "sta",
    "sta_image_size": (16, 32),
    "sta_kernel": 7,
    "sta_stages": 1,
    "sta_dims": 64,
    "sta_layers": 2,
    "sta_clusters": 16,
}  # fmt: skip
NOTHING = START | {"queries_per_epoch": 1}
FROM_RANDOM = {
    "random weights": SMALL | NOTHING | {"init": "random"},
    "random weights, clusters from k-means": SMALL | NOTHING,
    "trained, 12 epochs": SMALL | {"n_epochs": 12},
}
ON_TOKENS = S5 | COMPARED | TOKENS | {"pooling": "sta", "freeze_spatial": True, "n_epochs": 4, "queries_per_epoch": 480}
FRAMES = {
    MEAN: [
        Row("mean of the tokens: single", {"pooling": "single"} | S1),
        Row("mean of the tokens: smooth L5", {"pooling": "smooth"} | S5),
        Row("mean of the tokens: dsdnet S5", {}, S5),
    ],
    GRID: [
        Row("tokens side by side: single", {"pooling": "single"} | S1),
        Row("tokens side by side: smooth L5", {"pooling": "smooth"} | S5),
        Row("tokens side by side: dsdnet S5, start alone", {}, S5 | START),
    ],
}


@dataclass(frozen=True)
class Attended:
    """What is trained on the tokens of a frozen backbone.

    Attributes:
        name: in the table.
        encoder: options of ``train``.
    """

    name: str
    encoder: Options = field(default_factory=dict)

    def cell(self, seed: int, adapt: str) -> Cell:
        """The test of its descriptors of windows, which adaptation takes as it takes those of frames."""
        training = Training(THUMBNAILS, seed, ON_TOKENS | self.encoder, {"sta_backbone": BACKBONE})
        options = {"pooling": "single", "adapt": adapt} | S1
        return Cell(THUMBNAILS, options, described=Described(THUMBNAILS, training))


TEMPORAL = {"sta_temporal_layers": 1}
ATTENDED = [
    Attended("SeqVLAD of the tokens", {"sta_part": "spatial"}),
    Attended("sta: temporal attention alone", {"sta_part": "temporal"} | TEMPORAL),
    Attended("sta: tokens and temporal attention", TEMPORAL),
]


def sta(bench: Bench, seeds: Any) -> list[str]:
    """A small STA from random weights, before and after training."""
    trainings = {name: Training(THUMBNAILS, IMAGE_SEED, options) for name, options in FROM_RANDOM.items()}
    found = bench.outcomes(Cell(THUMBNAILS, dict(S5), {"resume": training}) for training in trainings.values())
    lines = header_of("weights", "val R@1, after each epoch", "test: R@1 | R@5", "minutes on one core")
    for name, outcome in zip(trainings, found, strict=True):
        (trained,) = outcome["trained"]
        kept = trained["validated"][:1] if "epochs" not in name else trained["validated"][1:]
        validated = ", ".join(f"{recall:.3f}" for recall in kept)
        minutes = f"{trained['cpu_s'] / 60:.1f}" if "epochs" in name else ""
        lines.append(line(name, validated, recalls([outcome]), minutes))
    return lines


def tokens(bench: Bench, seeds: Any) -> list[str]:
    """Frames of a frozen backbone, and what is trained on its tokens, by adaptation."""
    cases = [
        (row.name, adapt, row.cell(place, seed, adapt))
        for place, rows in FRAMES.items()
        for row in rows
        for adapt in ADAPTATIONS
        for seed in range(TOKEN_SEEDS if row.encoder and "lr" not in row.encoder else 1)
    ]
    cases += [
        (one.name, adapt, one.cell(seed, adapt))
        for one in ATTENDED
        for adapt in ADAPTATIONS
        for seed in range(TOKEN_SEEDS)
    ]
    found: dict[tuple[str, str], list[Outcome]] = {}
    for (name, adapt, _), outcome in zip(cases, bench.outcomes(cell for *_, cell in cases), strict=True):
        found.setdefault((name, adapt), []).append(outcome)
    header = [f"{adapt}: R@1 | R@5" for adapt in ADAPTATIONS]
    lines = header_of("method", "dimensions", *header, "minutes of training")
    for name in dict.fromkeys(name for name, _ in found):
        first = found[name, ADAPTATIONS[0]]
        dims = first[0]["method"]["out_dims"] or first[0]["data"]["dims"]
        minutes = [trained["cpu_s"] / 60 for outcome in first for trained in outcome["trained"]]
        spent = f"{sum(minutes) / len(minutes):.1f}" if minutes else ""
        lines.append(line(name, str(dims), *(recalls(found[name, adapt]) for adapt in ADAPTATIONS), spent))
    return lines
