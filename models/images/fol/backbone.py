"""DINOv2 as FoL reads it: patch features, CLS token, and the attention that this pays to the patches."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.images.dinov2 import PATCH, DinoV2, patch_map

if TYPE_CHECKING:
    from timm.models.vision_transformer import Attention


class AttentiveDinoV2(nn.Module):
    """DINOv2 that also gives the attention of its CLS token in the last block, however many of them learn."""

    def __init__(self, model: DinoV2) -> None:
        super().__init__()
        self.model = model
        self.first_trained = len(model.blocks)

    def train_blocks(self, count: int) -> None:
        """As of :class:`DinoV2`."""
        self.model.train_blocks(count)
        self.first_trained = len(self.model.blocks) - count

    def frozen(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, 1 + N, D) before the first block that learns; where none does (B, 1 + N, D + 1),
        the tokens after the final norm and the attention to them."""
        tokens = self.model.run_blocks(self.model.tokens(images), 0, min(self.first_trained, self.last))
        return self._finished(tokens) if self.first_trained > self.last else tokens

    def read(self, frozen: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """What :meth:`frozen` gives of images of ``size`` -> patch features (B, D, h, w), CLS token (B, D) and its
        attention to the patches (B, h * w), summed over the heads."""
        if self.first_trained <= self.last:
            frozen = self._finished(self.model.run_blocks(frozen, self.first_trained, self.last))
        tokens, attention = frozen[..., :-1], frozen[:, 1:, -1]
        return patch_map(tokens, (size[0] // PATCH, size[1] // PATCH)), tokens[:, 0], attention

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        height, width = images.shape[-2:]
        return self.read(self.frozen(images), (height, width))

    @property
    def last(self) -> int:
        """The number of the last block."""
        return len(self.model.blocks) - 1

    def _finished(self, tokens: Tensor) -> Tensor:
        """Through the last block and the final norm, with the attention as another channel: of the CLS token 0."""
        from timm.models.vision_transformer import Attention, Block

        block = self.model.blocks[-1]
        assert isinstance(block, Block)
        assert isinstance(block.attn, Attention)
        attention = cls_attention(block.attn, block.norm1(tokens))
        return torch.cat([self.model.norm(block(tokens)), F.pad(attention, (1, 0)).unsqueeze(2)], dim=2)


def cls_attention(attn: "Attention", x: Tensor) -> Tensor:
    """Attention of the first token to the others, summed over the heads: (B, 1 + N, D) -> (B, N)."""
    q, k, _ = attn.qkv(x).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, 1 + N, d)
    weights = (q[:, :, :1] * attn.scale @ k.transpose(2, 3)).float().softmax(-1)  # (B, heads, 1, 1 + N)
    return weights.sum(1)[:, 0, 1:]
