"""The mask decoder's transformer; Samphire's own classes."""

from samphire.model.two_way_transformer import (
    Attention,
    MLPBlock,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)

__all__ = ["Attention", "MLPBlock", "TwoWayAttentionBlock", "TwoWayTransformer"]
