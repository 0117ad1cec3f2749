"""The ViT encoder for devices other than a CPU: the plain one, with fused attention in its blocks.

Scores are never made. The relative positions are, as the bias of the library's attention, for some
heads at a time. Everything else is the plain module, and so are the weights: nothing is copied, so
what is trained or moved afterwards is seen. Shapes depend on the picture's size alone, and nothing
waits for the device.

Not for a CPU, where tiles are faster (``vit.py``). Unmeasured: written without a GPU at hand, and
tested on a CPU against the plain encoder. Source: ``model/image_encoder.py``.
"""

import copy

import torch
from torch import nn
from torch.nn import functional

from samphire.fast.recognise import oddities
from samphire.model.image_encoder import Attention, ImageEncoderViT, get_rel_pos

# Numbers in the bias at a time: 100 MB in half precision, three heads of a block at 1024 pixels.
MOST_BIAS = 3 * 2**24


def with_fused_attention(encoder: ImageEncoderViT) -> ImageEncoderViT:
    """A second tree of modules over the same weights, its attentions fused.

    Args:
        encoder: it stays as it is. An attention that is not the published one, or whose
            probabilities somebody watches, is kept.
    """
    weights = (*encoder.parameters(), *encoder.buffers())
    shared: dict[int, object] = {id(value): value for value in weights}
    fused = copy.deepcopy(encoder, shared)
    for path, module in list(fused.named_modules()):
        if isinstance(module, Attention) and not _watched(module):
            parent, _, name = path.rpartition(".")
            setattr(fused.get_submodule(parent), name, FusedAttention(module))
    return fused


def plain_parts(encoder: ImageEncoderViT) -> tuple[str, ...]:
    """What :func:`with_fused_attention` keeps and why, in words."""
    found = (
        (path, _watched(module))
        for path, module in encoder.named_modules()
        if isinstance(module, Attention)
    )
    return tuple(f"{path} {', '.join(why)}" for path, why in found if why)


class FusedAttention(nn.Module):
    """The sibling of ``Attention``.

    Args:
        plain: whose weights it takes, and whose projections it calls, adapters in them included.
    """

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        attention = self.plain
        batch, height, width, _ = x.shape
        heads, cells = attention.num_heads, height * width
        split = attention.qkv(x).flatten(1, 2).unflatten(2, (3, heads, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        at_once = max(1, MOST_BIAS // (batch * cells * cells))
        parts = []
        for some, keys, values in zip(*(part.split(at_once, 1) for part in (q, k, v)), strict=True):
            bias = _bias(attention, some, (height, width)) if attention.use_rel_pos else None
            parts.append(
                functional.scaled_dot_product_attention(some, keys, values, attn_mask=bias)
            )
        tokens = torch.cat(parts, 1).transpose(1, 2).flatten(2).unflatten(1, (height, width))
        projected: torch.Tensor = attention.proj(tokens)
        return projected


def _bias(attention: Attention, q: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What relative positions add to scores, (B, heads, N, N); q is not scaled, as published."""
    height, width = size
    rows = get_rel_pos(height, height, attention.rel_pos_h).to(q.dtype)  # (H, H, d)
    columns = get_rel_pos(width, width, attention.rel_pos_w).to(q.dtype)
    placed = q.unflatten(2, size)  # (B, heads, H, W, d)
    by_row = torch.einsum("bnhwc,hkc->bnhwk", placed, rows)
    by_column = torch.einsum("bnhwc,wkc->bnhwk", placed, columns)
    terms = by_row[..., :, None] + by_column[..., None, :]  # (B, heads, H, W, H, W)
    added: torch.Tensor = terms.flatten(4).flatten(2, 3)
    return added


def _watched(attention: Attention) -> list[str]:
    """Why an attention is kept, in words: hooks see what a fused one never makes."""
    watched = oddities(attention.probabilities, {nn.Identity})
    return oddities(attention, {Attention}) + [f"probabilities {each}" for each in watched]
