"""Attention between few tokens and many image tokens, with the few moved through the weights.

With ``x`` an image token with its position, ``h`` a head and ``Wq_h`` and the like its rows of a
projection:

- Tokens ask the image. Scores ``q_h . (Wk_h x + bk_h)`` are ``(q_h Wk_h) . x`` and a constant over
  image tokens, which the softmax drops. The weights sum to 1, so
  ``sum a (Wv_h x + bv_h) = Wv_h (sum a x) + bv_h``: gather image tokens first, project afterwards.
- The image asks tokens. Scores ``(Wq_h x + bq_h) . k_p`` are ``(k_p Wq_h) . x + k_p . bq_h``. What
  it gets, ``sum_h sum_p a_hp Wo_h v_hp + bo``, is one product with ``Wo_h v_hp`` in place of two
  projections and a product; ``bo`` rides on the first head, again because weights sum to 1.

Now two linear maps follow each other wherever a token passes, into a head and out of it, so they
are multiplied into one beforehand: a token becomes a row a head by one product. Products of weights
are made in float64. Plain sibling: ``Attention`` in ``model/two_way_transformer.py``.
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
    """The image asks tokens: all that is left of the tokens; R = P * H rows, by token, then head.

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
        heads = _heads(attention)
        self._ask = heads.linear(heads.k.mT @ heads.q, heads.k.mT @ heads.q_bias)
        # all heads of a token at once: (1, C, H * C)
        merged = (heads.out @ heads.v).transpose(0, 1).flatten(1)[None]
        shift = heads.out_bias + (heads.out @ heads.v_bias).sum(0, keepdim=True)
        self._learn = heads.linear(merged, shift)

    def ask(self, placed: torch.Tensor) -> torch.Tensor:
        """What tokens (B, P, C) ask: (B, P * H, C), by token, then head."""
        return self._ask(placed).view(len(placed), -1, placed.shape[2])

    def learn(self, sums: torch.Tensor, tokens: int) -> torch.Tensor:
        """Weighted sums of image tokens (B, P * H, C) -> what P tokens learn (B, P, C)."""
        return self._learn(sums.view(len(sums), tokens, -1))


class ImageAsks:
    """The image asks tokens.

    Args:
        attention: plain, of H heads; its weights are copied.
        shared: the image is projected already, its queries are (N, H * d); else it never is.
    """

    def __init__(self, attention: Attention, *, shared: bool) -> None:
        heads = _heads(attention)
        self._heads = attention.num_heads
        if shared:  # a row a head, zero in the channels of the others
            self._keys = heads.linear(_apart(heads.k), _apart(heads.k_bias))
            self._shift = None
        else:
            self._keys = heads.linear(heads.q.mT @ heads.k, heads.q.mT @ heads.k_bias)
            asked = heads.q_bias.mT
            self._shift = heads.linear(asked @ heads.k, asked @ heads.k_bias)
        shift = heads.out @ heads.v_bias
        shift[0] += heads.out_bias  # weights of a head sum to 1: once is enough
        self._values = heads.linear(heads.out @ heads.v, shift)

    def __call__(self, placed: torch.Tensor, tokens: torch.Tensor) -> Question:
        """Tokens with and without their positions, (B, P, C) each."""
        values = self._values(tokens).view(len(tokens), -1, tokens.shape[2])
        keys = self._keys(placed).view(*values.shape[:2], -1)
        shift = None if self._shift is None else self._shift(placed).view(*values.shape[:2], 1)
        return Question(keys, shift, values, self._heads)


@dataclass(frozen=True, eq=False)
class _Heads:
    """Weights of an attention by head, float64; keys divided by the root of d.

    Args:
        q: (H, d, C), as ``k`` and ``v``.
        q_bias: (H, d, 1), as ``k_bias`` and ``v_bias``.
        out: (H, C, d).
        out_bias: (C, 1).
        dtype: of the attention.
    """

    q: torch.Tensor
    q_bias: torch.Tensor
    k: torch.Tensor
    k_bias: torch.Tensor
    v: torch.Tensor
    v_bias: torch.Tensor
    out: torch.Tensor
    out_bias: torch.Tensor
    dtype: torch.dtype

    def linear(self, weight: torch.Tensor, bias: torch.Tensor) -> Linear:
        """A map whose rows are stacked by head: (H, rows, in) and (H, rows, 1)."""
        stacked, shift = weight.flatten(0, 1).to(self.dtype), bias.flatten().to(self.dtype)
        return Linear(stacked, shift, rows=TOKENS)


def _heads(attention: Attention) -> _Heads:
    heads = attention.num_heads

    def rows(part: nn.Linear, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        weight, bias = part.weight.detach().double(), part.bias.detach().double()
        by_head = weight.unflatten(0, (heads, -1)), bias.view(heads, -1, 1)
        return by_head[0] * scale, by_head[1] * scale

    q, q_bias = rows(attention.q_proj)
    k, k_bias = rows(attention.k_proj, (attention.k_proj.out_features // heads) ** -0.5)
    v, v_bias = rows(attention.v_proj)
    out = attention.out_proj.weight.detach().double().unflatten(1, (heads, -1)).transpose(0, 1)
    out_bias = attention.out_proj.bias.detach().double()[:, None]
    dtype = attention.q_proj.weight.dtype
    return _Heads(q, q_bias, k, k_bias, v, v_bias, out, out_bias, dtype)


def _apart(x: torch.Tensor) -> torch.Tensor:
    """Each head's rows at their place among those of all heads: (H, d, ...) -> (H, H * d, ...)."""
    heads, inside, others = x.shape
    apart = x.new_zeros(heads, heads, inside, others)
    apart[range(heads), range(heads)] = x
    return apart.flatten(1, 2)
