"""What is trained: encoders, their options, and how their images are described and tested."""

from dataclasses import dataclass, field
from typing import Any

from cells import Cell, Frames, Training
from image_sources import BACKBONE, CAMERAS, CORRIDOR, PLACES, THUMBNAILS_TEST, VALIDATION

Options = dict[str, Any]
TESTS = (CORRIDOR, THUMBNAILS_TEST, CAMERAS)
ALONE = {"pooling": "single", "sequence_length": 1}
# Chosen by the validation split.
LEARNING: Options = {
    "places_per_batch": 16,
    "images_per_place": 4,
    "images_at_once": 0,
    "n_epochs": 8,
    "eval_every": 2,
    "patience": 0,
}
SMALL: Options = {"image_size": (112, 112)}


@dataclass(frozen=True)
class Encoder:
    """An image encoder and how it learns.

    Attributes:
        name: in the tables.
        options: of ``train``, its own ones and those of learning.
        files: options that are files of the sources.
        teacher: what it learns from beside places.
    """

    name: str
    options: Options
    files: dict[str, str] = field(default_factory=dict)
    teacher: "Encoder | None" = None

    def training(self, seed: int, **more: Any) -> Training:
        """On the places, validated by what is held out of them."""
        runs = {"teacher": self.teacher.training(seed)} if self.teacher else {}
        return Training(PLACES, seed, LEARNING | self.options | more, {"val_dataset": VALIDATION} | self.files, runs)

    def start(self, seed: int) -> Training:
        """What :meth:`training` starts from, as a run."""
        return self.training(seed, n_epochs=0)


def frames(dataset: str, training: Training, **options: Any) -> Frames:
    """A dataset's images as a trained encoder describes them, with options of ``extract``."""
    return Frames(dataset, options, training=training)


def tested(dataset: str, training: Training, adapt: str, **options: Any) -> Cell:
    """The test of single images, described with options of ``extract``."""
    return Cell(dataset, ALONE | {"adapt": adapt}, described=frames(dataset, training, **options))


ON_VIT = {"weights": BACKBONE}
# Terms on patches at a tenth of the published weights: a head from random weights and few steps.
TERMS = {"ms": "ms", "local": "local:0.1", "alignment": "alignment", "contrast": "contrast:0.1", "weak": "weak:0.1"}
AUGMENTED = {"n_epochs": 16, "eval_every": 4, "augment": "images"}
FOL = (
    SMALL | AUGMENTED | {"desc_type": "fol-small", "backbone_blocks": 9, "train_blocks": 1, "fol_cells": 25, "lr": 1e-4}
)
CRICA = SMALL | AUGMENTED | {"desc_type": "super-cricavpr-small", "operations": 3, "lr": 1e-4}
SCICE = SMALL | AUGMENTED | {"desc_type": "scicevpr-small", "operations": 3, "lr": 5e-4, "n_epochs": 24}
LITE = {"desc_type": "efficientnet-lite0", "image_size": (128, 256)}

FOL_SMALL = Encoder("fol-small", FOL | {"loss_terms": tuple(TERMS.values())}, ON_VIT)
TEACHER = Encoder("super-cricavpr-small", CRICA, ON_VIT)
STUDENT = Encoder("scicevpr-small", SCICE, teacher=TEACHER)
GEM = Encoder("efficientnet-lite0, GeM", LITE | {"pool": "gem", "train_blocks": 0, "lr": 0.03})
VLAD = Encoder(
    "efficientnet-lite0, NetVLAD",
    LITE | {"pool": "netvlad", "vlad_clusters": 16, "train_blocks": 1, "lr": 1e-4, "n_epochs": 16, "eval_every": 4},
)
HEADS = (FOL_SMALL, TEACHER, STUDENT, GEM, VLAD)
BRIEFLY = {"n_epochs": 6, "eval_every": 3}
ABLATIONS = tuple(
    Encoder(name, FOL | BRIEFLY | ({"loss_terms": terms} if terms else {}), ON_VIT)
    for name, terms in {
        "all terms": tuple(TERMS.values()),
        **{f"without {name}": tuple(TERMS[other] for other in TERMS if other != name) for name in TERMS},
        "ms alone": ("ms",),
        "all terms, published weights": (),
    }.items()
)
