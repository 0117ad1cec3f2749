"""The mask decoder's transformer in two passes over the image, none of which projects it.

The plain sibling (``model/two_way_transformer.py``) projects all G * G image tokens of every object
six times. The tokens are few: it is cheaper to move them through the weights
(``folded_attention.py``).

Before any object comes, layer 0 sees the same image for all: its projections are shared
(:class:`Shared`). And what tokens ask next depends on the tokens alone, not on the renewed image:
so one pass over tiles of the image renews a tile, normalises it and asks it the next question
while it is in the processor's cache.
"""

from dataclasses import dataclass
from typing import cast

import torch

from samphire.fast.folded_attention import Question, image_asks, tokens_ask, tokens_learn
from samphire.fast.packed import Linear
from samphire.fast.workspace import Workspace
from samphire.model.two_way_transformer import (
    Attention,
    MLPBlock,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)

# Image tokens of all objects in a tile: at 256 channels, 2 MB in float32.
TILE = 2048

# Tokens in a usual call: one point and the decoder's own.
TOKENS = 7


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


class TokenMlp:
    """A layer's MLP on tokens, packed: the public product of few rows takes twice as long.

    Args:
        mlp: plain; its weights are copied.
    """

    def __init__(self, mlp: MLPBlock) -> None:
        self._widen = Linear(mlp.lin1.weight, mlp.lin1.bias, rows=TOKENS)
        self._act = mlp.act
        self._narrow = Linear(mlp.lin2.weight, mlp.lin2.bias, rows=TOKENS)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, P, C) -> (B, P, C)."""
        widened: torch.Tensor = self._act(self._widen(tokens))
        return self._narrow(widened)


def token_mlps(transformer: TwoWayTransformer) -> list[TokenMlp]:
    """One a layer."""
    return [TokenMlp(layer.mlp) for layer in _layers(transformer)]


def run(
    transformer: TwoWayTransformer,
    mlps: list[TokenMlp],
    shared: Shared,
    tokens: torch.Tensor,
    wanted: list[int],
    space: Workspace,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The transformer on B objects without mask prompts.

    Args:
        transformer: plain.
        mlps: of its layers.
        shared: of the image.
        tokens: (B, P, C).
        wanted: W indices of tokens that are wanted afterwards.
        space: the image is left in it.

    Returns:
        tokens (B, W, C) and image (B, N, C).
    """
    layers = _layers(transformer)
    queries = _attend_to_tokens(layers[0], tokens, tokens)
    gathered = _ask_shared(layers[0].cross_attn_token_to_image, queries + tokens, shared)
    for index, layer in enumerate(layers):
        first, last = index == 0, index + 1 == len(layers)
        queries = layer.norm2(queries + gathered)
        queries = layer.norm3(queries + mlps[index](queries))
        question = image_asks(
            layer.cross_attn_image_to_token, queries + tokens, queries, shared=first
        )
        if last:
            attention = transformer.final_attn_token_to_image
            queries, tokens = queries[:, wanted], tokens[:, wanted]
        else:
            attention = layers[index + 1].cross_attn_token_to_image
            queries = _attend_to_tokens(layers[index + 1], queries, tokens)
        rows = tokens_ask(attention, queries + tokens)
        image, sums = _pass(shared, question, layer.norm4, rows, space, last=last)
        gathered = tokens_learn(attention, sums)
    return transformer.norm_final_attn(queries + gathered), image


def _layers(transformer: TwoWayTransformer) -> list[TwoWayAttentionBlock]:
    return cast("list[TwoWayAttentionBlock]", list(transformer.layers))


def _pass(
    shared: Shared,
    question: Question,
    norm: torch.nn.LayerNorm,
    rows: torch.Tensor,
    space: Workspace,
    *,
    last: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Renew the image and ask it the tokens' next question, tile by tile.

    Between passes the image lies in the workspace with its position, as both sides ask for it.

    Args:
        shared: the image before the first pass, and its positions.
        question: of the image to the tokens; its queries are shared in the first pass only.
        norm: of the renewed image.
        rows: (B, R, C), what tokens ask.
        space: for the image and the tiles.
        last: leave the image without its position.

    Returns:
        image (B, N, C), and for each row the weighted sum of image tokens (B, R, C).
    """
    count, asking, channels = rows.shape
    asked = question.values.shape[1]
    # Products run in batches, a thread each: one object counts as two, the halves of its image.
    halves = 2 if count == 1 and len(shared.position) % 2 == 0 else 1
    batch, length = halves * count, len(shared.position) // halves
    rows, keys, values = (
        part.expand(batch, -1, -1) for part in (rows, question.keys, question.values)
    )
    size = max(TILE // batch, 1)
    starts = range(0, length, size)
    image = space.buffer("image", batch, length, channels)
    sums = space.buffer("sums", len(starts), batch, asking, channels)
    highest, share = space.buffer("peaks", 2, len(starts), batch, asking, 1)
    for index, start in enumerate(starts):
        tile = slice(start, min(start + size, length))
        n = tile.stop - start
        placed, position = image[:, tile], _tile(shared.position, halves, tile)
        changed = space.buffer("changed", batch, n, channels)

        scores = space.buffer("scores", batch, asked, n)
        if question.shift is None:
            queries = _tile(shared.queries, halves, tile).expand(batch, -1, -1)
            torch.bmm(keys, queries.mT, out=scores)
            before = _tile(shared.image, halves, tile).expand(batch, -1, -1)
        else:
            torch.baddbmm(question.shift, keys, placed.mT, out=scores)
            before = torch.sub(placed, position, out=changed)
        by_token = scores.view(batch, -1, question.heads * n)
        torch.softmax(by_token, 1, out=by_token)
        torch.baddbmm(before, scores.mT, values, out=changed)
        renewed = norm(changed)
        torch.add(renewed, position, out=placed)

        scores = space.buffer("scores", batch, asking, n)
        torch.bmm(rows, placed.mT, out=scores)
        torch.amax(scores, 2, keepdim=True, out=highest[index])
        torch.softmax(scores, 2, out=scores)
        torch.amax(scores, 2, keepdim=True, out=share[index])
        torch.bmm(scores, renewed, out=sums[index])
        if last:
            placed.copy_(renewed)

    # Each tile has a softmax of its own. The highest share in one is exp(highest) / (sum of exp),
    # which gives that sum, and so what the tile weighs among the others.
    weights = (highest - share.log()).view(-1, count, asking, 1).softmax(0)
    sums = sums.view(-1, count, asking, channels)
    return image.view(count, -1, channels), (sums * weights).sum(0)


def _tile(x: torch.Tensor, halves: int, tile: slice) -> torch.Tensor:
    """Some tokens of each half: (N, C) -> (halves, n, C)."""
    return x.view(halves, -1, x.shape[1])[:, tile]


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


def _by_head(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(N, H * d) -> (H, N, d), contiguous."""
    headed: torch.Tensor = x.unflatten(1, (heads, -1))
    return headed.transpose(0, 1).contiguous()
