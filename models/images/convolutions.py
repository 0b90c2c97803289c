"""Convolutional networks cut before their classifier, with a pooling behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from opticornet.models.heads.pooling import Pool
from opticornet.models.images.base import Preprocess
from opticornet.models.images.pooled import POOL, PooledEncoder

LAYERS = "layers."  # how names of the network's weights begin
CLASSIFIERS = ("fc.", "classifier.")


class PooledConvolutions(PooledEncoder):
    """Convolutions of a network, then a pooling: (B, 3, H, W) -> (B, ``out_dims``), unit rows.

    Args:
        layers: the network's modules under the names of its checkpoint.
        stem, blocks: the same modules in the order in which they work; a block is what is trained or not.
        pool: takes what the last block gives.
        preprocess: of its images.
    """

    def __init__(
        self,
        layers: nn.Module,
        stem: nn.Module,
        blocks: Sequence[nn.Module],
        pool: Pool,
        preprocess: Preprocess,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.pool = pool
        self.steps = Steps(stem, tuple(blocks))
        self.first_trained = len(blocks)
        self.out_dims = pool.out_dims
        self.preprocess = preprocess

    def train_blocks(self, count: int) -> None:
        blocks = self.steps.blocks
        if not 0 <= count <= len(blocks):
            raise ValueError(f"it has {len(blocks)} blocks")
        self.first_trained = len(blocks) - count
        self.layers.requires_grad_(False)
        for block in blocks[self.first_trained :]:
            block.requires_grad_(True)

    def frozen(self, images: Tensor) -> Tensor:
        """The map before the first block that learns."""
        return self.steps.run(self.steps.stem(images), 0, self.first_trained)

    def feature_map(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        features = self.steps.run(frozen, self.first_trained)
        if features.requires_grad:  # PyTorch's batch normalisation at rest mistakes one image's strided gradient
            features.register_hook(Tensor.contiguous)
        return features

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A classifier is left out."""
        return {
            key if key.startswith((LAYERS, POOL)) else LAYERS + key: value
            for key, value in state.items()
            if not key.startswith(CLASSIFIERS)
        }


@dataclass(frozen=True)
class Steps:
    """The modules of a network in the order in which they work; not its own modules, which another holds."""

    stem: nn.Module
    blocks: tuple[nn.Module, ...]

    def run(self, features: Tensor, start: int, stop: int | None = None) -> Tensor:
        """Maps through the blocks ``[start, stop)``."""
        for block in self.blocks[start:stop]:
            features = block(features)
        return features
