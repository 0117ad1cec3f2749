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
from torch import nn

from samphire.fast.folded_attention import TOKENS, ImageAsks, Question, TokensAsk, scaled, split
from samphire.fast.packed import Linear
from samphire.fast.workspace import Workspace
from samphire.model.two_way_transformer import (
    Attention,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)

# Image tokens of all objects in a tile: at 256 channels, 2 MB in float32.
TILE = 2048

# Image tokens in a usual picture.
IMAGE_TOKENS = 64 * 64


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


class TwoWay:
    """A :class:`~samphire.model.two_way_transformer.TwoWayTransformer`, compiled.

    Args:
        transformer: plain, of one layer at least; the weights of its linear maps are copied.
    """

    def __init__(self, transformer: TwoWayTransformer) -> None:
        layers = cast("list[TwoWayAttentionBlock]", list(transformer.layers))
        self._layers = [_Layer(layer, first=layer is layers[0]) for layer in layers]
        self._ask_shared = _AskShared(layers[0].cross_attn_token_to_image)
        self._shared_queries = _packed(layers[0].cross_attn_image_to_token.q_proj, IMAGE_TOKENS)
        later = [layer.cross_attn_token_to_image for layer in layers[1:]]
        self._asks = [TokensAsk(each) for each in [*later, transformer.final_attn_token_to_image]]
        self._norm = transformer.norm_final_attn

    def share(self, features: torch.Tensor, position: torch.Tensor) -> Shared:
        """Project the image for layer 0.

        Args:
            features: (N, C), with the vector of no mask.
            position: (N, C).
        """
        placed = features + position
        keys, values = self._ask_shared.project(placed, features)
        queries = self._shared_queries(placed)
        return Shared(features, position, keys, values, queries)

    def run(
        self, shared: Shared, tokens: torch.Tensor, wanted: list[int], space: Workspace
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The transformer on B objects without mask prompts.

        Args:
            shared: of the image.
            tokens: (B, P, C).
            wanted: W indices of tokens that are wanted afterwards.
            space: the image is left in it.

        Returns:
            tokens (B, W, C) and image (B, N, C).
        """
        queries = self._layers[0].attend(tokens, tokens)
        gathered = self._ask_shared(queries + tokens, shared, space)
        following = [*self._layers[1:], None]
        for layer, ask, after in zip(self._layers, self._asks, following, strict=True):
            queries = layer.learn(queries, gathered)
            question = layer.image_asks(queries + tokens, queries)
            if after is None:
                queries, tokens = queries[:, wanted], tokens[:, wanted]
            else:
                queries = after.attend(queries, tokens)
            rows = ask.ask(queries + tokens)
            image, sums = _pass(shared, question, layer.norm4, rows, space, last=after is None)
            gathered = ask.learn(sums)
        return self._norm(queries + gathered), image


class _Layer:
    """What a layer does with tokens alone, and its weights for the image.

    Args:
        layer: plain; the weights of its linear maps are copied.
        first: its image is that of all objects.
    """

    def __init__(self, layer: TwoWayAttentionBlock, *, first: bool) -> None:
        self._skip = layer.skip_first_layer_pe
        self._attention = _SelfAttention(layer.self_attn)
        self._norm1, self._norm2, self._norm3 = layer.norm1, layer.norm2, layer.norm3
        self._widen, self._act = _packed(layer.mlp.lin1, TOKENS), layer.mlp.act
        self._narrow = _packed(layer.mlp.lin2, TOKENS)
        self.image_asks = ImageAsks(layer.cross_attn_image_to_token, shared=first)
        self.norm4 = layer.norm4

    def attend(self, queries: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Tokens ask tokens: (B, P, C) -> (B, P, C)."""
        if self._skip:
            queries = self._attention(queries, queries)
        else:
            queries = queries + self._attention(queries + positions, queries)
        normalised: torch.Tensor = self._norm1(queries)
        return normalised

    def learn(self, queries: torch.Tensor, gathered: torch.Tensor) -> torch.Tensor:
        """Take in what was gathered from the image, and think it over: (B, P, C) -> (B, P, C)."""
        queries = self._norm2(queries + gathered)
        thought = self._narrow(self._act(self._widen(queries)))
        normalised: torch.Tensor = self._norm3(queries + thought)
        return normalised


class _SelfAttention:
    """Tokens ask tokens, with packed weights.

    Args:
        attention: plain; its weights are copied.
    """

    def __init__(self, attention: Attention) -> None:
        self._heads = attention.num_heads
        self._queries = scaled(attention.q_proj, self._heads)
        self._keys, self._values, self._out = (
            _packed(part, TOKENS)
            for part in (attention.k_proj, attention.v_proj, attention.out_proj)
        )

    def __call__(self, placed: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens with and without their positions, (B, P, C) each -> (B, P, C)."""
        queries, keys, values = (
            projected.unflatten(2, (self._heads, -1)).transpose(1, 2)  # (B, H, P, d)
            for projected in (self._queries(placed), self._keys(placed), self._values(tokens))
        )
        shares = (queries @ keys.mT).softmax(3)
        return self._out((shares @ values).transpose(1, 2).flatten(2))


class _AskShared:
    """Tokens of all objects ask one projected image, in one product a head.

    Args:
        attention: plain, of H heads; its weights are copied.
    """

    def __init__(self, attention: Attention) -> None:
        self._heads = attention.num_heads
        self._queries = scaled(attention.q_proj, self._heads)
        self._keys = _packed(attention.k_proj, IMAGE_TOKENS)
        self._values = _packed(attention.v_proj, IMAGE_TOKENS)
        self._out = _packed(attention.out_proj, TOKENS)

    def project(
        self, placed: torch.Tensor, features: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Image with and without its position, (N, C) each -> keys and values (H, N, d)."""
        keys, values = self._keys(placed), self._values(features)
        return split(keys, self._heads).contiguous(), split(values, self._heads).contiguous()

    def __call__(self, placed: torch.Tensor, shared: Shared, space: Workspace) -> torch.Tensor:
        """Tokens (B, P, C) -> what they learn (B, P, C)."""
        queries = split(self._queries(placed), self._heads)
        scores = space.buffer("scores", *queries.shape[:2], shared.keys.shape[1])
        torch.bmm(queries, shared.keys.mT, out=scores)  # (H, B * P, N)
        torch.softmax(scores, 2, out=scores)
        gathered = torch.bmm(scores, shared.values)  # (H, B * P, d)
        return self._out(gathered.transpose(0, 1).flatten(1)).view(placed.shape)


def _packed(linear: nn.Linear, rows: int) -> Linear:
    return Linear(linear.weight, linear.bias, rows=rows)


def _pass(
    shared: Shared,
    question: Question,
    norm: nn.LayerNorm,
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
        by_head = scores.view(batch, question.heads, -1, n)
        torch.softmax(by_head, 2, out=by_head)
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
