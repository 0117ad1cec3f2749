"""The mask decoder's transformer in two passes over the image, none of which projects it.

The plain sibling (``model/two_way_transformer.py``) projects all G * G image tokens of every object
six times. The tokens are few: it is cheaper to move them through the weights. With ``x`` an image
token with its position, ``h`` a head and ``Wq_h`` and the like its rows of a projection:

- Tokens ask the image. Scores ``q_h . (Wk_h x + bk_h)`` are ``(q_h Wk_h) . x`` and a constant over
  image tokens, which the softmax drops. The weights sum to 1, so
  ``sum a (Wv_h x + bv_h) = Wv_h (sum a x) + bv_h``: gather image tokens first, project afterwards.
- The image asks tokens. Scores ``(Wq_h x + bq_h) . k_p`` are ``(k_p Wq_h) . x + k_p . bq_h``. The
  softmax over tokens p does not mind if the last token's score is subtracted from all, so rows
  of ``k_p - k_last`` do, the last score is 0, and the key bias falls out. The image then gets
  ``sum_h sum_p a_hp Wo_h v_hp + bo``. Again because weights sum to 1, that is
  ``sum_h sum_(p < last) a_hp Wo_h (v_hp - v_h,last)`` and a constant: one product in place of two
  projections and a product.

Before any object comes, layer 0 sees the same image for all: its projections are shared
(:class:`Shared`). And what tokens ask next depends on the tokens alone, not on the renewed image:
so one pass over tiles of the image renews a tile, normalises it and asks it the next question
while it is in the processor's cache.
"""

from dataclasses import dataclass
from typing import cast

import torch

from samphire.fast.workspace import Workspace
from samphire.model.two_way_transformer import Attention, TwoWayAttentionBlock, TwoWayTransformer

# Image tokens of all objects in a tile: at 256 channels, 1 MB in float32.
TILE = 1024


@dataclass(frozen=True, eq=False)
class Shared:
    """What all objects of an image share; N = G * G image tokens, H heads of d channels.

    Args:
        image: (N, C), with the vector of no mask.
        position: (N, C).
        keys: (H, N, d), of layer 0, for tokens that ask the image.
        values: (H, N, d), likewise.
        queries: (N, H * d), of layer 0, for the image that asks tokens.
    """

    image: torch.Tensor
    position: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    queries: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Memory of it."""
        parts = (self.image, self.position, self.keys, self.values, self.queries)
        return sum(part.nbytes for part in parts)


@dataclass(frozen=True, eq=False)
class Question:
    """The image asks tokens: all that is left of the tokens; R = (P - 1) * H rows, by token, head.

    Args:
        keys: (B, R, C), or (B, R, H * d) for shared queries.
        shift: (B, R, 1), added to scores; None for shared queries, which have their bias.
        values: (B, R, C).
        constant: (B, 1, C), added to every image token.
        heads: H.
    """

    keys: torch.Tensor
    shift: torch.Tensor | None
    values: torch.Tensor
    constant: torch.Tensor
    heads: int


def share(transformer: TwoWayTransformer, features: torch.Tensor, position: torch.Tensor) -> Shared:
    """Project the image for layer 0.

    Args:
        transformer: of one layer at least.
        features: (N, C), with the vector of no mask.
        position: (N, C).
    """
    layer = _layers(transformer)[0]
    asked, asks = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    placed = features + position
    return Shared(
        image=features,
        position=position,
        keys=_by_head(asked.k_proj(placed), asked.num_heads),
        values=_by_head(asked.v_proj(features), asked.num_heads),
        queries=asks.q_proj(placed),
    )


def run(
    transformer: TwoWayTransformer,
    shared: Shared,
    tokens: torch.Tensor,
    wanted: list[int],
    space: Workspace,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The transformer on B objects without mask prompts.

    Args:
        transformer: plain.
        shared: of the image.
        tokens: (B, P, C).
        wanted: W indices of tokens that are wanted afterwards.
        space: the image is left in it.

    Returns:
        tokens (B, W, C) and image (B, N, C).
    """
    layers = _layers(transformer)
    final = transformer.final_attn_token_to_image
    image = shared.image[None]
    queries = _attend_to_tokens(layers[0], tokens, tokens)
    gathered = _ask_shared(layers[0].cross_attn_token_to_image, queries + tokens, shared)
    for index, layer in enumerate(layers):
        queries = layer.norm2(queries + gathered)
        queries = layer.norm3(queries + layer.mlp(queries))
        question = _question(
            layer.cross_attn_image_to_token, queries + tokens, queries, shared=index == 0
        )
        if index + 1 < len(layers):
            queries = _attend_to_tokens(layers[index + 1], queries, tokens)
            attention, asked_by = layers[index + 1].cross_attn_token_to_image, queries + tokens
        else:
            queries = queries[:, wanted]
            attention, asked_by = final, queries + tokens[:, wanted]
        rows = _asking_rows(attention, asked_by)
        image, sums = _pass(image, shared, question, layer.norm4, rows, space)
        gathered = _gathered(attention, sums)
    tokens = transformer.norm_final_attn(queries + gathered)
    return tokens, image


def _layers(transformer: TwoWayTransformer) -> list[TwoWayAttentionBlock]:
    return cast("list[TwoWayAttentionBlock]", list(transformer.layers))


def _pass(
    image: torch.Tensor,
    shared: Shared,
    question: Question,
    norm: torch.nn.LayerNorm,
    rows: torch.Tensor,
    space: Workspace,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Renew the image and ask it the tokens' next question, tile by tile.

    Args:
        image: (B, N, C), or (1, N, C) where it is shared; may lie in the workspace already.
        shared: for positions, and for the queries of layer 0.
        question: of the image to the tokens.
        norm: of the renewed image.
        rows: (B, P * H, C), what tokens ask.
        space: for the tiles and the renewed image.

    Returns:
        image (B, N, C), and for each row the weighted sum of image tokens (B, P * H, C).
    """
    count, asking, channels = rows.shape
    length = len(shared.position)
    heads, left = question.heads, question.keys.shape[1]
    size = max(TILE // count, 1)
    starts = range(0, length, size)

    def buffer(name: str, *shape: int) -> torch.Tensor:
        return space.buffer(name, *shape, dtype=rows.dtype)

    renewed = buffer("image", count, length, channels)
    sums = buffer("sums", len(starts), count, asking, channels)
    peaks, totals = buffer("peaks", 2, len(starts), count, asking, 1)
    for index, start in enumerate(starts):
        tile = slice(start, min(start + size, length))
        n = tile.stop - start
        position = shared.position[tile]
        scores = buffer("scores", count, left + heads, n)
        shares = buffer("shares", count, left + heads, n)
        changed = buffer("changed", count, n, channels)
        placed = buffer("placed", count, n, channels)

        if question.shift is None:
            asks = shared.queries[tile].expand(count, -1, -1)
            torch.bmm(question.keys, asks.mT, out=scores[:, :left])
        else:
            torch.add(image[:, tile], position, out=placed)
            torch.baddbmm(question.shift, question.keys, placed.mT, out=scores[:, :left])
        scores[:, left:] = 0  # of the last token
        by_token = (count, -1, heads * n)
        torch.softmax(scores.view(by_token), 1, out=shares.view(by_token))
        torch.add(image[:, tile], question.constant, out=changed)
        torch.baddbmm(changed, shares[:, :left].mT, question.values, out=changed)
        fresh = norm(changed)

        torch.add(fresh, position, out=placed)
        scores = buffer("scores", count, asking, n)
        torch.bmm(rows, placed.mT, out=scores)
        torch.amax(scores, 2, keepdim=True, out=peaks[index])
        torch.exp(scores.sub_(peaks[index]), out=scores)
        torch.sum(scores, 2, keepdim=True, out=totals[index])
        torch.bmm(scores, fresh, out=sums[index])
        renewed[:, tile] = fresh

    # Each tile's softmax is relative to its own peak: bring all to the highest one.
    scale = (peaks - peaks.amax(0)).exp_()
    return renewed, (sums * scale).sum(0) / (totals * scale).sum(0)


def _attend_to_tokens(
    layer: TwoWayAttentionBlock, queries: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """A layer up to its first norm: (B, P, C) -> (B, P, C)."""
    if layer.skip_first_layer_pe:
        queries = layer.self_attn(queries, queries, queries)
    else:
        placed = queries + positions
        queries = queries + layer.self_attn(placed, placed, queries)
    normalised: torch.Tensor = layer.norm1(queries)
    return normalised


def _ask_shared(attention: Attention, placed: torch.Tensor, shared: Shared) -> torch.Tensor:
    """Tokens (B, P, C) ask the shared image, all objects in one product a head: (B, P, C)."""
    queries = _by_head(attention.q_proj(placed).flatten(0, 1), attention.num_heads)
    scores = torch.bmm(queries * queries.shape[2] ** -0.5, shared.keys.mT)  # (H, B * P, N)
    gathered = torch.bmm(scores.softmax(2), shared.values)  # (H, B * P, d)
    projected: torch.Tensor = attention.out_proj(gathered.transpose(0, 1).flatten(1))
    return projected.view(placed.shape)


def _asking_rows(attention: Attention, placed: torch.Tensor) -> torch.Tensor:
    """What tokens (B, P, C) ask an image that is not projected: (B, P * H, C)."""
    queries = attention.q_proj(placed)
    scale = (queries.shape[2] // attention.num_heads) ** -0.5
    return _spread(queries * scale, attention.num_heads) @ attention.k_proj.weight


def _gathered(attention: Attention, sums: torch.Tensor) -> torch.Tensor:
    """Weighted sums of image tokens (B, P * H, C) -> what tokens learn from them (B, P, C)."""
    heads = attention.num_heads
    values = (sums @ attention.v_proj.weight.mT).unflatten(1, (-1, heads))  # (B, P, H, H * d)
    own = (values * _own(values, heads)).sum(2)
    projected: torch.Tensor = attention.out_proj(own + attention.v_proj.bias)
    return projected


def _question(
    attention: Attention, placed: torch.Tensor, tokens: torch.Tensor, *, shared: bool
) -> Question:
    """The image asks tokens (B, P, C); ``shared``: its queries are there already."""
    heads = attention.num_heads
    keys = attention.k_proj(placed)
    values = attention.v_proj(tokens)
    scale = (keys.shape[2] // heads) ** -0.5
    rows = _spread((keys[:, :-1] - keys[:, -1:]) * scale, heads)  # (B, R, H * d)
    folded = rows if shared else rows @ attention.q_proj.weight
    shift = None if shared else (rows @ attention.q_proj.bias)[..., None]
    return Question(
        keys=folded,
        shift=shift,
        values=_spread(values[:, :-1] - values[:, -1:], heads) @ attention.out_proj.weight.mT,
        constant=attention.out_proj(values[:, -1:]),
        heads=heads,
    )


def _spread(x: torch.Tensor, heads: int) -> torch.Tensor:
    """A row a head, zero in the channels of the others: (B, P, H * d) -> (B, P * H, H * d)."""
    return (x[:, :, None] * _own(x, heads)).flatten(1, 2)


def _own(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(H, H * d): 1 in the channels of each head."""
    return torch.eye(heads, dtype=x.dtype).repeat_interleave(x.shape[-1] // heads, 1)


def _by_head(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(N, H * d) -> (H, N, d), contiguous."""
    headed: torch.Tensor = x.unflatten(1, (heads, -1))
    return headed.transpose(0, 1).contiguous()
