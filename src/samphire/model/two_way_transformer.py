"""The mask decoder's transformer: tokens ask the image, and the image asks the tokens.

Each block: tokens attend to each other, then to the image, pass an MLP, and at last the image
attends to the tokens. The positions (of the prompt tokens: the tokens themselves; of the image:
Fourier features) are added again to every query and key, so that no layer forgets where things
are. Source: Kirillov et al. 2023, appendix A, "Lightweight mask decoder", figure 14;
segment-anything ``modeling/transformer.py`` and ``modeling/common.py``.
"""

from collections.abc import Callable

import torch
from torch import nn

from samphire.errors import ShapeError

Activation = Callable[[], nn.Module]


class MLPBlock(nn.Module):
    """Widen, activate, narrow, each token alone."""

    def __init__(self, embedding_dim: int, mlp_dim: int, act: Activation = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> (B, N, C)."""
        narrowed: torch.Tensor = self.lin2(self.act(self.lin1(x)))
        return narrowed


class Attention(nn.Module):
    """Multi-head attention that may work in fewer channels than its tokens have.

    Args:
        embedding_dim: channels of a token.
        num_heads: of attention.
        downsample_rate: ``embedding_dim`` by the channels inside.

    Raises:
        ShapeError: the heads do not divide the channels inside.
    """

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inside = embedding_dim // downsample_rate
        if inside % num_heads:
            raise ShapeError(f"{num_heads} heads do not divide {inside} channels")
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embedding_dim, inside)
        self.k_proj = nn.Linear(embedding_dim, inside)
        self.v_proj = nn.Linear(embedding_dim, inside)
        self.out_proj = nn.Linear(inside, embedding_dim)
        self.probabilities = nn.Identity()

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Queries (B, N, C), keys and values (B, M, C) -> (B, N, C)."""
        q, k, v = (
            projected.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, N or M, d)
            for projected in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        )
        scores = (q @ k.transpose(2, 3)) / q.shape[3] ** 0.5  # (B, heads, N, M)
        probabilities = self.probabilities(scores.softmax(dim=3))
        gathered = (probabilities @ v).transpose(1, 2).flatten(2)  # (B, N, heads * d)
        projected_out: torch.Tensor = self.out_proj(gathered)
        return projected_out


class TwoWayAttentionBlock(nn.Module):
    """One block; ``skip_first_layer_pe``: the first has no positions to add to its tokens yet."""

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int = 2048,
        activation: Activation = nn.ReLU,
        attention_downsample_rate: int = 2,
        skip_first_layer_pe: bool = False,
    ) -> None:
        super().__init__()
        rate = attention_downsample_rate
        self.self_attn = Attention(embedding_dim, num_heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = Attention(embedding_dim, num_heads, rate)
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim, mlp_dim, activation)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = Attention(embedding_dim, num_heads, rate)
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        query_pe: torch.Tensor,
        key_pe: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (B, T, C) and image (B, G * G, C), with their positions -> both, renewed."""
        if self.skip_first_layer_pe:
            queries = self.self_attn(queries, queries, queries)
        else:
            placed = queries + query_pe
            queries = queries + self.self_attn(placed, placed, queries)
        queries = self.norm1(queries)
        attended = self.cross_attn_token_to_image(queries + query_pe, keys + key_pe, keys)
        queries = self.norm2(queries + attended)
        queries = self.norm3(queries + self.mlp(queries))
        attended = self.cross_attn_image_to_token(keys + key_pe, queries + query_pe, queries)
        keys = self.norm4(keys + attended)
        return queries, keys


class TwoWayTransformer(nn.Module):
    """The blocks, and a last look of the tokens at the image."""

    def __init__(
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        activation: Activation = nn.ReLU,
        attention_downsample_rate: int = 2,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim,
                num_heads,
                mlp_dim,
                activation,
                attention_downsample_rate,
                skip_first_layer_pe=index == 0,
            )
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(
            embedding_dim, num_heads, attention_downsample_rate
        )
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(
        self, image_embedding: torch.Tensor, image_pe: torch.Tensor, point_embedding: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Let tokens and image talk.

        Args:
            image_embedding: (B, C, G, G).
            image_pe: (B, C, G, G), its position features.
            point_embedding: (B, T, C), output and prompt tokens.

        Returns:
            tokens (B, T, C) and image (B, G * G, C).
        """
        keys = image_embedding.flatten(2).transpose(1, 2)  # (B, G * G, C)
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries, keys, point_embedding, key_pe)
        attended = self.final_attn_token_to_image(queries + point_embedding, keys + key_pe, keys)
        return self.norm_final_attn(queries + attended), keys
