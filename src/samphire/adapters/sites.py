"""Where adapters can go: the blocks of an image encoder, and the rows of a fused projection.

Knows both encoders; the methods (``lora.py``, ``bottleneck.py``, ``partial.py``) ask here and know
neither. Blocks are counted from the input through all stages, as ``encode_until`` counts them.
"""

import re
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from samphire.errors import AdapterError
from samphire.model import image_encoder, tiny_attention
from samphire.model.sam import Sam
from samphire.model.tiny_encoder import Stage, TinyViT

ENCODER = "image_encoder"
# Where what is computed once ends: before a block as ``encode_until`` counts them (their number:
# only the neck is left), at the embedding, or at the pixels.
Cut = int | Literal["embedding", "pixels"]
_LAST = re.compile(r"last:([1-9]\d{0,3})")


def encoder_of(sam: Sam) -> image_encoder.ImageEncoderViT | TinyViT:
    """The image encoder, if it is of a kind that can be gone through in parts.

    Raises:
        AdapterError: it is another.
    """
    encoder = sam.image_encoder
    if not isinstance(encoder, image_encoder.ImageEncoderViT | TinyViT):
        raise AdapterError(
            f"the image encoder is a {type(encoder).__name__}: adapters know those of the variants"
        )
    return encoder


def encoder_blocks(sam: Sam) -> list[str]:
    """Paths of the encoder's blocks, in order.

    >>> from samphire.model.variants import tiny
    >>> encoder_blocks(tiny())[1:3]
    ['image_encoder.layers.1.blocks.0', 'image_encoder.layers.2.blocks.0']
    """
    encoder = encoder_of(sam)
    if isinstance(encoder, image_encoder.ImageEncoderViT):
        return [f"{ENCODER}.blocks.{block}" for block in range(len(encoder.blocks))]
    return [
        f"{ENCODER}.layers.{stage}.blocks.{block}"
        for stage, layer in enumerate(encoder.layers)
        if isinstance(layer, Stage)
        for block in range(layer.depth)
    ]


def check_blocks(blocks: str) -> None:
    """Refuse, before there is a model, what names no blocks of any.

    Raises:
        AdapterError: it is neither ``all`` nor ``last:k``.
    """
    if blocks != "all" and not _LAST.fullmatch(blocks):
        raise AdapterError(f"blocks {blocks!r}: expected all, or last:k, for example last:2")


def chosen_blocks(sam: Sam, blocks: str) -> list[str]:
    """Paths of the blocks that ``all`` or ``last:k`` names.

    Raises:
        AdapterError: it names none, or more than there are.
    """
    check_blocks(blocks)
    paths = encoder_blocks(sam)
    last = len(paths) if blocks == "all" else int(blocks.removeprefix("last:"))
    if last > len(paths):
        raise AdapterError(f"blocks {blocks!r}: the image encoder has {len(paths)}")
    return paths[-last:]


def transformer_blocks(sam: Sam, blocks: str) -> list[str]:
    """Those of :func:`chosen_blocks` that have attention: TinyViT's first stage has none."""
    chosen = [
        path for path in chosen_blocks(sam, blocks) if hasattr(sam.get_submodule(path), "attn")
    ]
    if not chosen:
        raise AdapterError(f"blocks {blocks!r}: none of them has attention to adapt")
    return chosen


def qkv_rows(attention: nn.Module, part: str) -> torch.Tensor:
    """Rows of the fused ``qkv`` projection that make one part of all heads, int64.

    A ViT has the queries of all heads first, then all keys, then all values; TinyViT has query,
    key and value of the first head, then of the second.

    Args:
        attention: of an encoder's block.
        part: ``q``, ``k`` or ``v``.
    """
    place = "qkv".index(part)
    if isinstance(attention, image_encoder.Attention):
        channels = attention.qkv.out_features // 3
        return torch.arange(place * channels, (place + 1) * channels)
    if isinstance(attention, tiny_attention.Attention):
        widths = (attention.key_dim, attention.key_dim, attention.value_dim)
        heads = torch.arange(attention.num_heads)[:, None] * sum(widths)
        first = sum(widths[:place])
        return (heads + torch.arange(first, first + widths[place])).flatten()
    raise AdapterError(f"{type(attention).__name__} has no fused projection that is known here")


def mlp_paths(sam: Sam, block: str) -> tuple[str, str]:
    """Paths of the two projections of a block's MLP."""
    tiny = isinstance(sam.get_submodule(f"{block}.mlp"), tiny_attention.Mlp)
    first, second = ("fc1", "fc2") if tiny else ("lin1", "lin2")
    return f"{block}.mlp.{first}", f"{block}.mlp.{second}"


def linear_at(sam: Sam, path: str) -> nn.Linear:
    """The projection at a path."""
    linear = sam.get_submodule(path)
    if not isinstance(linear, nn.Linear):
        raise AdapterError(f"{path} is a {type(linear).__name__}: expected a linear projection")
    return linear


def first_trained(sam: Sam, names: Iterable[str]) -> Cut:
    """Where these parameters begin: what lies before gives the same whatever they become.

    Args:
        sam: whose parameters they are.
        names: of parameters that train.
    """
    inside = [name for name in names if name.startswith(f"{ENCODER}.")]
    if not inside:
        return "embedding"
    paths = encoder_blocks(sam)
    starts = []
    for name in inside:
        found = [place for place, path in enumerate(paths) if name.startswith(f"{path}.")]
        if not found and not name.startswith(f"{ENCODER}.neck."):
            return "pixels"
        starts.append(found[0] if found else len(paths))
    return min(starts)
