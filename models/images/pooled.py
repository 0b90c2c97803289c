"""A backbone with a pooling behind it: what encoders share that are no more than that."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from opticornet.models.heads.pooling import CLUSTERS, Pool
from opticornet.models.images.base import ResizingOptions, load_state
from opticornet.models.images.trainable import Described, TrainableImageEncoder
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

POOL = "pool."  # how names of the pooling's weights begin


class PooledEncoder(TrainableImageEncoder):
    """(B, 3, H, W) -> (B, ``out_dims``), unit rows: a feature map, pooled.

    Attributes:
        pool: the head.
    """

    pool: Pool

    @abstractmethod
    def feature_map(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        """The map that is pooled, (B, C, h, w), from what :meth:`frozen` gives of images of ``size``."""

    @abstractmethod
    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights under this encoder's names, whether they have the names of the backbone's own checkpoint or these."""

    def describe(self, frozen: Tensor, size: tuple[int, int]) -> Described:
        return Described(self.pool(self.feature_map(frozen, size).float()))

    def start_from_images(self, images: Iterator[Tensor], generator: torch.Generator) -> None:
        training = self.training
        self.eval()
        with torch.no_grad():
            self.pool.start_from((self._map(each) for each in images), generator)
        self.train(training)

    def _map(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self.feature_map(self.frozen(images), (height, width)).float()

    def load(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Takes the weights of this encoder, or those of the backbone alone where the pooling needs no training.

        Raises:
            UserError: they do not fit, or those of the pooling are missing.
        """
        state = self.renamed(state)
        if self.pool.state_dict() and not any(key.startswith(POOL) for key in state):
            if self.pool.untrained is None:
                raise UserError(
                    f"{source} holds no weights of the pooling, which has to be trained: train it, or choose "
                    "another `pool`"
                )
            state |= _of_pool(self.pool.untrained)
        load_state(self, state, source)

    def load_backbone(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        backbone = {key: value for key, value in self.renamed(state).items() if not key.startswith(POOL)}
        load_state(self, backbone | _of_pool(self.pool.state_dict()), source)


def _of_pool(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {POOL + key: value for key, value in state.items()}


@dataclass(frozen=True, kw_only=True)
class PooledOptions(ResizingOptions):
    """What encoders with a pooling share; each adds its ``pool``."""

    terms: ClassVar[tuple[str, ...]] = ("ms",)

    pool: str
    vlad_clusters: int = option("--vladClusters", CLUSTERS, "clusters of NetVLAD's pooling", minimum=2)

    def unused(self) -> dict[str, str]:
        return {} if self.pool == "netvlad" else {"vlad_clusters": f"with `pool` {self.pool} there are none"}
