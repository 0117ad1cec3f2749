"""The ViT image encoder and its pieces; Samphire's own classes."""

from samphire.model.image_encoder import (
    Attention,
    Block,
    ImageEncoderViT,
    PatchEmbed,
    add_decomposed_rel_pos,
    get_rel_pos,
)
from samphire.model.layer_norm import LayerNorm2d
from samphire.model.two_way_transformer import MLPBlock
from samphire.model.windows import window_partition, window_unpartition

__all__ = [
    "Attention",
    "Block",
    "ImageEncoderViT",
    "LayerNorm2d",
    "MLPBlock",
    "PatchEmbed",
    "add_decomposed_rel_pos",
    "get_rel_pos",
    "window_partition",
    "window_unpartition",
]
