"""Layers that several parts share; Samphire's own classes."""

from samphire.model.layer_norm import LayerNorm2d
from samphire.model.two_way_transformer import MLPBlock

__all__ = ["LayerNorm2d", "MLPBlock"]
