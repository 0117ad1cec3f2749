"""Attention between few tokens and many image tokens, with the few moved through the weights.

With ``x`` an image token with its position, ``h`` a head and ``Wq_h`` and the like its rows of a
projection:

- Tokens ask the image. Scores ``q_h . (Wk_h x + bk_h)`` are ``(q_h Wk_h) . x`` and a constant over
  image tokens, which the softmax drops. The weights sum to 1, so
  ``sum a (Wv_h x + bv_h) = Wv_h (sum a x) + bv_h``: gather image tokens first, project afterwards.
- The image asks tokens. Scores ``(Wq_h x + bq_h) . k_p`` are ``(k_p Wq_h) . x + k_p . bq_h``. What
  it gets, ``sum_h sum_p a_hp Wo_h v_hp + bo``, is one product with ``Wo_h v_hp`` in place of two
  projections and a product; ``bo`` rides on the first head, again because weights sum to 1.

Rows of all heads are laid side by side: a row has its head's channels and zeros in the others, so
that one product folds a weight into all of them. Plain sibling: ``Attention`` in
``model/two_way_transformer.py``.
"""

from dataclasses import dataclass

import torch

from samphire.model.two_way_transformer import Attention


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


def tokens_ask(attention: Attention, placed: torch.Tensor) -> torch.Tensor:
    """What tokens (B, P, C) ask an image that is not projected: (B, P * H, C)."""
    queries = attention.q_proj(placed)
    scale = (queries.shape[2] // attention.num_heads) ** -0.5
    return _spread(queries * scale, attention.num_heads) @ attention.k_proj.weight


def tokens_learn(attention: Attention, sums: torch.Tensor) -> torch.Tensor:
    """Weighted sums of image tokens (B, P * H, C) -> what tokens learn from them (B, P, C)."""
    heads = attention.num_heads
    values = (sums @ attention.v_proj.weight.mT).unflatten(1, (-1, heads))  # (B, P, H, H * d)
    own = (values * _own(values, heads)).sum(2)
    projected: torch.Tensor = attention.out_proj(own + attention.v_proj.bias)
    return projected


def image_asks(
    attention: Attention, placed: torch.Tensor, tokens: torch.Tensor, *, shared: bool
) -> Question:
    """The image asks tokens (B, P, C); ``shared``: its queries are there already."""
    heads = attention.num_heads
    keys = attention.k_proj(placed)
    rows = _spread(keys * (keys.shape[2] // heads) ** -0.5, heads)  # (B, R, H * d)
    values = _spread(attention.v_proj(tokens), heads) @ attention.out_proj.weight.mT
    values[:, ::heads] += attention.out_proj.bias  # weights of a head sum to 1: once is enough
    if shared:
        return Question(keys=rows, shift=None, values=values, heads=heads)
    shift = rows @ attention.q_proj.bias[:, None]
    return Question(rows @ attention.q_proj.weight, shift, values, heads)


def _spread(x: torch.Tensor, heads: int) -> torch.Tensor:
    """A row a head, zero in the channels of the others: (B, P, H * d) -> (B, P * H, H * d)."""
    return (x[:, :, None] * _own(x, heads)).flatten(1, 2)


def _own(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(H, H * d): 1 in the channels of each head."""
    return torch.eye(heads, dtype=x.dtype).repeat_interleave(x.shape[-1] // heads, 1)
