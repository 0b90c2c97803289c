"""The encoders SeqVLAD and STA: tokens of every frame, attention across frames, one descriptor of them all.

Zhao et al., "Learning Sequence Descriptor based on Spatio-Temporal Attention for Visual Place Recognition", RA-L 2024
(STA); Mereu et al., "Learning Sequential Descriptors for Sequence-based Visual Place Recognition", RA-L 2022 (SeqVLAD).
Names are those of the checkpoints that STA's authors publish for both, so that one loads without renaming.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from opticornet.models.heads.seqvlad import SeqVLAD
from opticornet.models.heads.vlad import sampled
from opticornet.models.images.base import Preprocess
from opticornet.models.images.cct import CCT, Attention, Grid, Tokenizer, Transformer
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.models.sequences.parts import Parts
from opticornet.models.sequences.sta.attention import Extent, SpaceTimeAttention, WindowedAttention
from opticornet.models.sequences.sta.backbone import FrozenTokens
from opticornet.models.sequences.sta.sizes import Sizes

Part = Literal["both", "spatial", "temporal"]


class TokenEncoder(ImageSequenceEncoder):
    """What SeqVLAD and STA share: tokens of frames, gathered by SeqVLAD.

    A frame is described by G = (S, N, D): S maps of the N tokens of a grid.

    Attributes:
        grid: rows and columns of the tokens of the images that it takes.
    """

    describes_frames = True
    encoder: nn.Module

    def __init__(
        self, image_size: tuple[int, int], grid: Grid, clusters: int, dims: int, preprocess: Preprocess
    ) -> None:
        super().__init__(preprocess, clusters * dims)
        self.image_size, self.grid = image_size, grid
        self.aggregator = SeqVLAD(clusters, dims)

    @property
    def frame_shape(self) -> tuple[int | str, ...]:
        """Images of one size, which ``preprocess`` gives."""
        return (3, *self.image_size)

    def tokens(self, described: Tensor) -> Tensor:
        """What SeqVLAD gathers, of windows of described frames: (B, L, S, N, D) to (B, L, N, D)."""
        raise NotImplementedError

    def spatial_tokens(self, described: Tensor) -> Tensor:
        """Tokens of single frames that k-means may begin from: (M, S, N, D) to (M, N, D)."""
        return self.tokens(described[:, None])[:, 0]

    def join(self, described: Tensor) -> Tensor:
        return self.aggregator(self.tokens(described))

    @property
    def parts(self) -> Parts:
        stacks = tuple(module for module in self.modules() if isinstance(module, Transformer))
        before: list[nn.Module | nn.Parameter] = [part for part in self.modules() if isinstance(part, Tokenizer)]
        before += [stack.positional_emb for stack in stacks]
        return Parts(stacks, tuple(before), self.frame_modules())

    def frame_modules(self) -> tuple[nn.Module, ...]:
        """What :meth:`describe_frames` alone uses: fixed where training begins from described frames."""
        raise NotImplementedError

    def start_from_images(self, images: Iterable[Tensor], generator: torch.Generator) -> None:
        """Set SeqVLAD's clusters by k-means of tokens of training frames, some of each frame.

        Args:
            images: batches (M, 3, H, W) of prepared frames, on the encoder's device.
            generator: draws tokens and k-means' beginning.

        Raises:
            ValueError: they are too few.
        """
        seed, samples = int(torch.randint(2**31 - 1, (1,), generator=generator)), []
        training = self.training
        self.eval()
        for part in images:
            with torch.no_grad():
                tokens = self.spatial_tokens(self.describe_frames(part))  # (M, N, D)
            samples.append(sampled(tokens, generator))
        self.train(training)
        self.aggregator.start_from(torch.cat(samples), seed)


class SeqVLADEncoder(TokenEncoder):
    """SeqVLAD: a compact convolutional transformer of every frame, gathered."""

    encoder: CCT

    def __init__(self, sizes: Sizes, image_size: tuple[int, int]) -> None:
        encoder = spatial_encoder(sizes)
        grid = encoder.tokenizer.grid(*image_size)
        super().__init__(image_size, grid, sizes.clusters, sizes.dims, Preprocess(image_size))
        self.encoder = encoder

    def describe_frames(self, frames: Tensor) -> Tensor:
        return self.encoder(frames)[:, None]

    def tokens(self, described: Tensor) -> Tensor:
        return described[:, :, 0]

    def frame_modules(self) -> tuple[nn.Module, ...]:
        return (self.encoder,)


class Branches(nn.Module):
    """STA's stacks of blocks, side by side on the same tokens.

    Args:
        spatial: tokenizer and blocks of each frame, the latter left out where only the temporal part is wanted; None
            where a frozen backbone gives the tokens.
        temporal: blocks across frames; None where only the spatial part is wanted.
    """

    def __init__(self, spatial: CCT | None, temporal: Transformer | None) -> None:
        super().__init__()
        self.spatial, self.temporal = spatial, temporal


class STA(TokenEncoder):
    """STA: spatial and temporal attention to the same tokens, their sum gathered by SeqVLAD.

    The tokenizer and, but with relative positions, the spatial stack depend on one frame alone; with them its attention
    reaches through all frames. The temporal stack's first queries, keys and values would, too, but as they are five
    times the numbers of its tokens, keeping them costs more than it saves.

    Args:
        sizes: of both stacks.
        image_size: (height, width) in pixels of the images that it takes.
        part: which of the stacks are summed.
        backbone: gives the tokens of a frame, in place of the tokenizer and the spatial stack; they are added to those
            of the temporal stack as the spatial ones are.
    """

    encoder: Branches

    def __init__(
        self, sizes: Sizes, image_size: tuple[int, int], part: Part = "both", backbone: FrozenTokens | None = None
    ) -> None:
        if backbone is None:
            spatial = spatial_encoder(sizes, whole=part != "temporal")
            grid, preprocess = spatial.tokenizer.grid(*image_size), Preprocess(image_size)
        else:
            spatial, grid, preprocess = None, backbone.grid(*image_size), backbone.preprocess(image_size)
        super().__init__(image_size, grid, sizes.clusters, sizes.dims, preprocess)
        self.part, self.backbone = part, backbone
        self.encoder = Branches(spatial, None if part == "spatial" else temporal_stack(sizes))
        self.is_joint = sizes.spatial_relative is not None and self.spatial_blocks is not None

    @property
    def spatial_blocks(self) -> Transformer | None:
        """None where a frozen backbone stands in their place, or only the temporal part is wanted."""
        return None if self.encoder.spatial is None else self.encoder.spatial.classifier

    def describe_frames(self, frames: Tensor) -> Tensor:
        if self.encoder.spatial is None:
            assert self.backbone is not None
            return self.backbone(frames)[:, None]
        tokens = self.encoder.spatial.tokenizer(frames)  # (N, T, D)
        if self.spatial_blocks is None or self.is_joint:
            return tokens[:, None]
        attended = self.spatial_blocks(tokens, self.grid)
        return attended[:, None] if self.encoder.temporal is None else torch.stack([attended, tokens], dim=1)

    def tokens(self, described: Tensor) -> Tensor:
        spatial, tokens = described[:, :, 0], described[:, :, -1]
        if self.is_joint and self.spatial_blocks is not None:
            spatial = self.spatial_blocks(tokens, self.grid)
        if self.encoder.temporal is None:
            return spatial
        temporal = self.encoder.temporal(tokens, self.grid)
        return temporal if self.part == "temporal" else spatial + temporal

    def spatial_tokens(self, described: Tensor) -> Tensor:
        if self.part == "temporal" or self.is_joint:
            return super().spatial_tokens(described)
        return described[:, 0]

    def frame_modules(self) -> tuple[nn.Module, ...]:
        spatial = self.encoder.spatial
        if spatial is None:
            assert self.backbone is not None
            return (self.backbone,)
        return (spatial.tokenizer,) if self.is_joint else (spatial,)


def spatial_encoder(sizes: Sizes, *, whole: bool = True) -> CCT:
    """Tokenizer and blocks of each frame; ``whole=False``: the tokenizer alone."""
    tokenizer = Tokenizer(sizes.dims, sizes.kernel, sizes.stages)
    if not whole:
        return CCT(tokenizer, None)
    relative = sizes.spatial_relative
    attentions = [
        Attention(sizes.dims, sizes.heads)
        if relative is None
        else SpaceTimeAttention(sizes.dims, sizes.heads, relative)
        for _ in range(sizes.layers)
    ]
    return CCT(tokenizer, stack(sizes, attentions, relative))


def temporal_stack(sizes: Sizes) -> Transformer:
    """Blocks whose attention reaches through the frames of a window."""
    relative = sizes.temporal_relative
    attentions = [WindowedAttention(sizes.dims, sizes.heads, relative) for _ in range(sizes.temporal_layers)]
    return stack(sizes, attentions, relative)


def stack(sizes: Sizes, attentions: Sequence[Attention], relative: Extent | None) -> Transformer:
    """Blocks of these attentions, with learned positions where those have no relative ones."""
    return Transformer(sizes.dims, attentions, sizes.grid, positions="learned" if relative is None else "none")
