"""MobileSAM's image encoder and those of its pieces that are built alike; Samphire's own classes.

Not here, because they are built in another way: ``ConvLayer`` and ``BasicLayer`` (one class,
``Stage``), ``PatchMerging`` (its stride is an argument) and timm's ``DropPath``.
"""

from samphire.model.layer_norm import LayerNorm2d
from samphire.model.tiny_attention import Attention, Mlp, TinyViTBlock
from samphire.model.tiny_convolutions import ConvNorm as Conv2d_BN
from samphire.model.tiny_convolutions import MBConv, PatchEmbed
from samphire.model.tiny_encoder import TinyViT

__all__ = [
    "Attention",
    "Conv2d_BN",
    "LayerNorm2d",
    "MBConv",
    "Mlp",
    "PatchEmbed",
    "TinyViT",
    "TinyViTBlock",
]
