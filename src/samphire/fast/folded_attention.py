"""Attention between few tokens and many image tokens, with the few moved through the weights.

With ``x`` an image token with its position, ``h`` a head and ``Wq_h`` and the like its rows of a
projection:

- Tokens ask the image. Scores ``q_h . (Wk_h x + bk_h)`` are ``(q_h Wk_h) . x`` and a constant over
  image tokens, which the softmax drops. The weights sum to 1, so
  ``sum a (Wv_h x + bv_h) = Wv_h (sum a x) + bv_h``: gather image tokens first, project afterwards.
- The image asks tokens. Scores ``(Wq_h x + bq_h) . k_p`` are ``(k_p Wq_h) . x + k_p . bq_h``. What
  it gets, ``sum_h sum_p a_hp Wo_h v_hp + bo``, is one product with ``Wo_h v_hp`` in place of two
  projections and a product; ``bo`` rides on the first head, again because weights sum to 1.

So a token has a row for each head, and all heads go through their weights in one batched product.
(The two linear maps in a row could be multiplied beforehand. That saves a call, and eight times the
weights have to be fetched from memory, which takes longer.) Plain sibling: ``Attention`` in
``model/two_way_transformer.py``.
"""

from dataclasses import dataclass

import torch
from torch import nn

from samphire.fast.packed import Linear
from samphire.model.two_way_transformer import Attention

# Tokens in a usual call: one point and the decoder's own.
TOKENS = 7


@dataclass(frozen=True, eq=False)
class Question:
    """The image asks tokens: all that is left of the tokens; R = H * P rows, by head, then token.

    Args:
        keys: (B, R, C), or (B, R, H * d) for shared queries.
        shift: (B, R, 1), added to scores; None for shared queries, which have their bias.
        values: (B, R, C).
        heads: H.
    """

    keys: torch.Tensor
    shift: torch.Tensor | None
    values: torch.Tensor
    heads: int


class TokensAsk:
    """Tokens ask an image that is not projected.

    Args:
        attention: plain, of H heads; its weights are copied.
    """

    def __init__(self, attention: Attention) -> None:
        self._heads = attention.num_heads
        self._queries = scaled(attention.q_proj, self._heads)
        self._keys = _by_head(attention.k_proj.weight, self._heads)
        self._values = _by_head(attention.v_proj.weight, self._heads).mT.contiguous()
        out, bias = attention.out_proj.weight, attention.out_proj.bias
        self._out = Linear(out, bias + out @ attention.v_proj.bias, rows=TOKENS)

    def ask(self, placed: torch.Tensor) -> torch.Tensor:
        """What tokens (B, P, C) ask: (B, H * P, C), by head, then token."""
        queries = split(self._queries(placed), self._heads)
        return _rows(torch.bmm(queries, self._keys), len(placed))

    def learn(self, sums: torch.Tensor) -> torch.Tensor:
        """Weighted sums of image tokens (B, H * P, C) -> what tokens learn (B, P, C)."""
        count, channels = len(sums), sums.shape[2]
        by_head = sums.view(count, self._heads, -1, channels).transpose(0, 1).flatten(1, 2)
        values = torch.bmm(by_head, self._values)  # (H, B * P, d)
        return self._out(values.transpose(0, 1).flatten(1)).view(count, -1, channels)


class ImageAsks:
    """The image asks tokens.

    Args:
        attention: plain, of H heads; its weights are copied.
        shared: the image is projected already, its queries are (N, H * d); else it never is.
    """

    def __init__(self, attention: Attention, *, shared: bool) -> None:
        self._heads = attention.num_heads
        self._keys = scaled(attention.k_proj, self._heads)
        self._values = Linear(attention.v_proj.weight, attention.v_proj.bias, rows=TOKENS)
        weight, bias = attention.q_proj.weight, attention.q_proj.bias
        if shared:  # a row a head, zero in the channels of the others
            weight = torch.eye(len(weight), dtype=weight.dtype)
        self._queries = _by_head(weight, self._heads)
        self._shift = None if shared else _by_head(bias[:, None], self._heads)
        self._out = _by_head(attention.out_proj.weight.mT, self._heads)
        # weights of a head sum to 1: once is enough
        self._bias = attention.out_proj.bias.new_zeros(self._heads, 1, self._out.shape[2])
        self._bias[0] = attention.out_proj.bias.detach()

    def __call__(self, placed: torch.Tensor, tokens: torch.Tensor) -> Question:
        """Tokens with and without their positions, (B, P, C) each."""
        count = len(tokens)
        keys = split(self._keys(placed), self._heads)
        values = torch.baddbmm(self._bias, split(self._values(tokens), self._heads), self._out)
        shift = None if self._shift is None else _rows(keys @ self._shift, count)
        return Question(
            _rows(keys @ self._queries, count), shift, _rows(values, count), self._heads
        )


def scaled(part: nn.Linear, heads: int) -> Linear:
    """A token's projection to H * d channels, divided by the root of d."""
    scale = (part.out_features // heads) ** -0.5
    return Linear(part.weight * scale, part.bias * scale, rows=TOKENS)


def _by_head(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """(H * d, n) -> (H, d, n), a copy."""
    return weight.detach().reshape(heads, -1, weight.shape[1]).clone()


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Tokens by head: (B, P, H * d) or (P, H * d) -> (H, B * P, d), a view of contiguous ones."""
    return x.reshape(-1, heads, x.shape[-1] // heads).transpose(0, 1)


def _rows(x: torch.Tensor, count: int) -> torch.Tensor:
    """(H, B * P, n) -> (B, H * P, n), by head, then token."""
    return x.view(len(x), count, -1, x.shape[2]).transpose(0, 1).flatten(1, 2)
