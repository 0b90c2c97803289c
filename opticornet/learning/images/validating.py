"""Whether an image encoder finds places again: a split, image by image."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.images.digest import below_common_folder, digest_of
from opticornet.datasets.images.frames import ImageFrames
from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene, side_of
from opticornet.evaluation.validated import Validated
from opticornet.learning.images.frozen import FrozenImages
from opticornet.learning.judging import judge
from opticornet.learning.selection import score_of
from opticornet.learning.task import Validation
from opticornet.models.images.trainable import TrainableImageEncoder

TOGETHER = 16  # images described at a time, as extraction does by default


@dataclass
class ImageValidation:
    """A split's queries searched among its references, by the descriptors of single images.

    Args:
        scene: of windows of one image.
        encoder: on the scene's device; what ``frozen`` of it makes of the images is kept.
        select_by: what decides which validation is best, of ``opticornet.learning.selection.MEASURES``.
        amp: matrix products in bfloat16.
    """

    scene: Scene
    encoder: TrainableImageEncoder
    select_by: str
    amp: bool = False
    images: dict[str, FrozenImages] = field(init=False)

    def __post_init__(self) -> None:
        sides = {"reference": self.scene.reference, "query": self.scene.query}
        self.images = {role: self._images(side) for role, side in sides.items()}

    def _images(self, side: Windows) -> FrozenImages:
        frames = ImageFrames.of(side.traverse, self.encoder.preprocess, self.scene.device, keep_all=True)
        return FrozenImages(frames, self.encoder, amp=self.amp)

    def __call__(self) -> Validation:
        """Score the encoder, which is put into evaluation mode meanwhile."""
        scene, training = self.scene, self.encoder.training
        self.encoder.eval()
        reference, query = (
            side_of(side, self._described(side, self.images[role]))
            for role, side in (("reference", scene.reference), ("query", scene.query))
        )
        self.encoder.train(training)
        found = judge(scene, reference.vectors, query.vectors)
        shown = Validated(reference, query, found.distances, found.correct, scene.truth.nearest_reference)
        return Validation(score_of(found.metrics, self.select_by), found.metrics, shown)

    @torch.inference_mode()
    def check_images(self) -> None:
        """Describe the first image of both sides.

        Raises:
            ValueError: the encoder cannot take images of their size.
        """
        training = self.encoder.training
        self.encoder.eval()
        for images in self.images.values():
            self.encoder.descriptors(images.rows([0]), images.size)
        self.encoder.train(training)

    @cached_property
    def digest(self) -> str:
        """Of the images and of what is correct, wherever their folder is."""
        scene, truth = self.scene, self.scene.truth
        digest = hashlib.sha256()
        for side in (scene.reference, scene.query):
            images = side.traverse.need_images()
            digest.update(digest_of(below_common_folder([images[row] for row in side.starts])).encode())
        if truth.listed is not None:
            judged = [truth.listed.offsets, truth.listed.rows]
        else:
            judged = [truth.reference_positions, truth.query_positions, np.array(scene.split.positive_radius)]
        for array in judged:
            digest.update(array.tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def _described(self, side: Windows, images: FrozenImages) -> np.ndarray:
        """The images of one side, (N, D) float32 unit rows on the CPU."""
        context = self.encoder.context or TOGETHER
        together = context * max(1, TOGETHER // context)  # whole groups of images that see one another
        parts = [self._descriptors(images, part) for part in torch.from_numpy(side.starts).split(together)]
        return torch.cat(parts).cpu().numpy()

    def _descriptors(self, images: FrozenImages, rows: Tensor) -> Tensor:
        frozen = images.rows(rows.tolist())
        with torch.autocast(frozen.device.type, torch.bfloat16, enabled=self.amp):
            return self.encoder.descriptors(frozen, images.size).float()
