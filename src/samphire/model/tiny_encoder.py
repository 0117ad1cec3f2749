"""TinyViT, the image encoder of MobileSAM and LiteMedSAM: convolutions, then windowed attention.

    pixels (B, 3, 1024, 1024) -> 256 x 256 cells -> 128 -> 64 -> 64 -> neck -> (B, 256, 64, 64)

Not for its blocks (``tiny_convolutions.py``, ``tiny_attention.py``). State-dict keys equal the
published checkpoint's, the unused classifier's included. LiteMedSAM takes 256 pixels and its cells
are single pixels, so that the grids are the same. Source: MobileSAM
``modeling/tiny_vit_sam.py``; Wu et al. 2022 (TinyViT), section 3.2 and table 1.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from samphire.errors import check_shape
from samphire.model.layer_norm import LayerNorm2d
from samphire.model.tiny_attention import TinyViTBlock
from samphire.model.tiny_convolutions import MBConv, PatchEmbed, PatchMerging

OUT_CHANNELS = 256


class Stage(nn.Module):
    """Blocks on one grid, then the way to the next; ``ConvLayer``, ``BasicLayer`` of the original.

    Args:
        blocks: in order.
        downsample: to the next stage's grid and width, or None after the last.
        use_checkpoint: in training, recompute each block in the backward pass to save memory.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], downsample: nn.Module | None, *, use_checkpoint: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.use_checkpoint = use_checkpoint

    @property
    def depth(self) -> int:
        """How many blocks it has."""
        return len(self.blocks)

    def forward(self, x: torch.Tensor, first: int = 0, stop: int | None = None) -> torch.Tensor:
        """Cells of this stage -> tokens (B, N, C) of the next.

        Args:
            x: cells, (B, C, H, W) in the first stage, tokens (B, N, C) in the others.
            first: block to begin with.
            stop: block to end before, or None to go through and on to the next stage.
        """
        for block in self.blocks[first:stop]:
            if self.use_checkpoint and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x if self.downsample is None or stop is not None else self.downsample(x)


class TinyViT(nn.Module):
    """The encoder; ``img_size`` is the side of the square it takes, a multiple of 16.

    Args:
        img_size: side of the input, pixels.
        in_chans: channels of the input.
        num_classes: of the unused classifier, kept for its state-dict keys.
        embed_dims: channels of each stage.
        depths: blocks of each stage.
        num_heads: of attention, each stage; the first stage has none.
        window_sizes: side of a window, each stage; the first stage has none.
        mlp_ratio: hidden channels of an MLP by its channels.
        drop_rate: dropout in the MLPs.
        drop_path_rate: of the last block; rises linearly from 0 at the first.
        use_checkpoint: see :class:`Stage`.
        mbconv_expand_ratio: hidden channels of the first stage's bottlenecks by its channels.
        local_conv_size: side of the blocks' convolution.
        layer_lr_decay: recorded for those who train; nothing here reads it.
        cell: pixels on a side of a cell of the first stage, 4 or 1; not of the published class.
        classifier: whether there is one; LiteMedSAM's class has none.
    """

    def __init__(
        self,
        img_size: int = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        embed_dims: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_sizes: Sequence[int] = (7, 7, 14, 7),
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_checkpoint: bool = False,
        mbconv_expand_ratio: float = 4.0,
        local_conv_size: int = 3,
        layer_lr_decay: float = 1.0,
        *,
        cell: int = 4,
        classifier: bool = True,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.layer_lr_decay = layer_lr_decay
        self.patch_embed = PatchEmbed(in_chans, embed_dims[0], img_size, nn.GELU, cell=cell)
        rates = [drop_path_rate * block / max(sum(depths) - 1, 1) for block in range(sum(depths))]
        strides = [2] * (len(depths) - 2) + [1]
        side = img_size // cell
        self.layers = nn.ModuleList()
        for stage, (dim, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            stage_rates, rates = rates[:depth], rates[depth:]
            grid = (side, side)
            blocks: list[nn.Module] = []
            for rate in stage_rates:
                if stage == 0:
                    blocks.append(MBConv(dim, dim, mbconv_expand_ratio, nn.GELU, rate))
                else:
                    heads, window = num_heads[stage], window_sizes[stage]
                    shape = (dim, grid, heads, window, mlp_ratio)
                    blocks.append(TinyViTBlock(*shape, drop_rate, rate, local_conv_size))
            merging = None
            if stage < len(strides):
                merging = PatchMerging(grid, dim, embed_dims[stage + 1], nn.GELU, strides[stage])
                side //= strides[stage]
            self.layers.append(Stage(blocks, merging, use_checkpoint=use_checkpoint))
        self.grid = side
        if classifier:
            self.norm_head = nn.LayerNorm(embed_dims[-1])
            self.head = nn.Linear(embed_dims[-1], num_classes)
        self.apply(_initialise)
        self.neck = nn.Sequential(
            nn.Conv2d(embed_dims[-1], OUT_CHANNELS, 1, bias=False),
            LayerNorm2d(OUT_CHANNELS),
            nn.Conv2d(OUT_CHANNELS, OUT_CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(OUT_CHANNELS),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, S, S), normalised and padded -> embedding (B, 256, G, G).

        G is S / 16, with cells of single pixels S / 4.

        Raises:
            ShapeError: the pixels are not ``img_size`` on a side.
        """
        return self.encode_from(self.encode_until(x, 0), 0)

    def encode_until(self, x: torch.Tensor, block: int) -> torch.Tensor:
        """Pixels -> what goes into this block, counted through all stages (0 for the first).

        That is (B, C, H, W) in the first stage, tokens (B, H * W, C) in the others.
        """
        check_shape(x, ("B", "C", self.img_size, self.img_size), "the encoder's input")
        x = self.patch_embed(x)  # (B, C, S / cell, S / cell)
        for stage in self._stages():
            if block < stage.depth:
                return stage(x, 0, block) if block else x
            x = stage(x)  # (B, N, C)
            block -= stage.depth
        return x

    def encode_from(self, tokens: torch.Tensor, block: int) -> torch.Tensor:
        """What goes into this block -> embedding (B, 256, G, G)."""
        for stage in self._stages():
            if block < stage.depth:
                tokens = stage(tokens, max(block, 0))  # (B, N, C)
            block -= stage.depth
        grid = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))  # (B, C, G, G)
        embedding: torch.Tensor = self.neck(grid)  # (B, 256, G, G)
        return embedding

    def _stages(self) -> list[Stage]:
        return [stage for stage in self.layers if isinstance(stage, Stage)]


def _initialise(module: nn.Module) -> None:
    """The published initialisation; checkpoints replace it."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
