"""The mask decoder; Samphire's own classes."""

from samphire.model.layer_norm import LayerNorm2d
from samphire.model.mask_decoder import MLP, MaskDecoder

__all__ = ["MLP", "LayerNorm2d", "MaskDecoder"]
