"""The published image encoder: a plain ViT, windowed but for a few global blocks, and a neck.

    pixels (B, 3, S, S) -> patches (B, G, G, C), G = S / 16 -> blocks -> neck -> (B, 256, G, G)

Attention knows where tokens are relative to each other: to each score it adds a term for the
distance in rows and one for the distance in columns, each a product of the query with a learned
vector (decomposed relative position). Source: Kirillov et al. 2023, appendix A, "Image encoder";
Li et al. 2022 (ViTDet, MViTv2 for the relative positions); segment-anything
``modeling/image_encoder.py``.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from samphire.errors import ShapeError, check_shape
from samphire.model.layer_norm import LayerNorm2d
from samphire.model.two_way_transformer import MLPBlock
from samphire.model.windows import window_partition, window_unpartition

NormLayer = Callable[[int], nn.Module]
Activation = Callable[[], nn.Module]


class ImageEncoderViT(nn.Module):
    """The encoder; it takes squares of any multiple of ``patch_size``.

    At another side than ``img_size`` both position tables are resized in every forward: the
    absolute one bicubically, the relative ones of the global blocks linearly.

    Args:
        img_size: side that the position tables are for, pixels.
        patch_size: side of a patch, pixels.
        in_chans: channels of the input.
        embed_dim: channels of a token.
        depth: blocks.
        num_heads: of attention.
        mlp_ratio: hidden channels of an MLP by ``embed_dim``.
        out_chans: channels of the embedding.
        qkv_bias: whether queries, keys and values have a bias.
        norm_layer: of the blocks; SAM's is LayerNorm with eps 1e-6.
        act_layer: in the MLPs.
        use_abs_pos: add a learned vector for each patch's place.
        use_rel_pos: add decomposed relative positions to the scores.
        rel_pos_zero_init: unused, as published: the tables start as zeros.
        window_size: side of a window, tokens; 0 for global attention everywhere.
        global_attn_indexes: blocks with global attention.
    """

    def __init__(
        self,
        img_size: int = 1024,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        out_chans: int = 256,
        qkv_bias: bool = True,
        norm_layer: NormLayer = nn.LayerNorm,
        act_layer: Activation = nn.GELU,
        use_abs_pos: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        patch = (patch_size, patch_size)
        self.patch_embed = PatchEmbed(patch, patch, in_chans=in_chans, embed_dim=embed_dim)
        grid = img_size // patch_size
        self.pos_embed: nn.Parameter | None = None
        if use_abs_pos:
            self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, embed_dim))
        self.blocks = nn.ModuleList(
            Block(
                dim=embed_dim,
                num_heads=num_heads,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                norm_layer=norm_layer,
                act_layer=act_layer,
                use_rel_pos=use_rel_pos,
                rel_pos_zero_init=rel_pos_zero_init,
                window_size=0 if index in global_attn_indexes else window_size,
                input_size=(grid, grid),
            )
            for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(embed_dim, out_chans, kernel_size=1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, S, S), normalised and padded -> embedding (B, out_chans, G, G).

        Raises:
            ShapeError: the pixels are not a square of a multiple of ``patch_size``.
        """
        return self.encode_from(self.encode_until(x, 0), 0)

    def encode_until(self, x: torch.Tensor, block: int) -> torch.Tensor:
        """Pixels -> the tokens (B, G, G, C) that go into this block (0 for the first)."""
        check_side(x, self.patch_size)
        x = self.patch_embed(x)  # (B, G, G, C)
        if self.pos_embed is not None:
            x = x + resize_absolute(self.pos_embed, (x.shape[1], x.shape[2]))
        for layer in self.blocks[:block]:
            x = layer(x)
        return x

    def encode_from(self, tokens: torch.Tensor, block: int) -> torch.Tensor:
        """Tokens (B, G, G, C) that go into this block -> embedding (B, out_chans, G, G)."""
        for layer in self.blocks[block:]:
            tokens = layer(tokens)
        embedding: torch.Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return embedding


class Block(nn.Module):
    """Attention, inside windows or global, and an MLP; each after a norm, with a residual."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_layer: NormLayer = nn.LayerNorm,
        act_layer: Activation = nn.GELU,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = Attention(
            dim,
            num_heads=num_heads,
            qkv_bias=qkv_bias,
            use_rel_pos=use_rel_pos,
            rel_pos_zero_init=rel_pos_zero_init,
            input_size=(window_size, window_size) if window_size else input_size,
        )
        self.norm2 = norm_layer(dim)
        self.mlp = MLPBlock(embedding_dim=dim, mlp_dim=int(dim * mlp_ratio), act=act_layer)
        self.window_size = window_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, G, G, C) -> (B, G, G, C)."""
        normed = self.norm1(x)
        if self.window_size:
            # zeros fill the last windows up; they are attended to, as published
            windows, padded = window_partition(normed, self.window_size)
            size = (x.shape[1], x.shape[2])
            attended = window_unpartition(self.attn(windows), self.window_size, padded, size)
        else:
            attended = self.attn(normed)
        x = x + attended
        mixed: torch.Tensor = x + self.mlp(self.norm2(x))
        return mixed


class Attention(nn.Module):
    """Attention among all cells of a grid, with decomposed relative positions.

    Args:
        dim: channels of a token.
        num_heads: of attention.
        qkv_bias: whether queries, keys and values have a bias.
        use_rel_pos: add relative positions to the scores.
        rel_pos_zero_init: unused, as published.
        input_size: rows and columns that the relative tables are for.

    Raises:
        ValueError: relative positions without ``input_size``.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.scale = head_dim**-0.5
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.probabilities = nn.Identity()
        self.use_rel_pos = use_rel_pos
        if use_rel_pos:
            if input_size is None:
                raise ValueError("relative positions need input_size: the grid they are for")
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * input_size[0] - 1, head_dim))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * input_size[1] - 1, head_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        batch, height, width, _ = x.shape
        # queries of all heads first, then keys, then values
        split = self.qkv(x).flatten(1, 2).unflatten(2, (3, self.num_heads, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4).flatten(1, 2)  # each (B * heads, H * W, d)
        scores = (q * self.scale) @ k.transpose(1, 2)  # (B * heads, H * W, H * W)
        if self.use_rel_pos:
            size = (height, width)
            scores = add_decomposed_rel_pos(scores, q, self.rel_pos_h, self.rel_pos_w, size, size)
        probabilities = self.probabilities(scores.softmax(dim=2))
        gathered = (probabilities @ v).unflatten(0, (batch, self.num_heads))
        tokens = gathered.transpose(1, 2).flatten(2).unflatten(1, (height, width))
        projected: torch.Tensor = self.proj(tokens)
        return projected


class PatchEmbed(nn.Module):
    """Patches that do not overlap, each through one linear map."""

    def __init__(
        self,
        kernel_size: tuple[int, int] = (16, 16),
        stride: tuple[int, int] = (16, 16),
        padding: tuple[int, int] = (0, 0),
        in_chans: int = 3,
        embed_dim: int = 768,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) -> (B, G, G, C)."""
        patches: torch.Tensor = self.proj(x)
        return patches.permute(0, 2, 3, 1)


def check_side(x: torch.Tensor, patch_size: int) -> None:
    """Refuse pixels that are no squares (B, C, S, S) of whole patches.

    Raises:
        ShapeError: saying so.
    """
    check_shape(x, ("B", "C", "S", "S"), "the encoder's input")
    if x.shape[2] % patch_size:
        raise ShapeError(
            f"the encoder's input is {x.shape[2]} pixels on a side: expected a multiple of "
            f"{patch_size}"
        )


def resize_absolute(table: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The table of absolute positions (1, G, G, C) for a grid of another size, bicubic."""
    if table.shape[1:3] == size:
        return table
    planes = functional.interpolate(
        table.permute(0, 3, 1, 2), size, mode="bicubic", align_corners=False
    )
    return planes.permute(0, 2, 3, 1)


def get_rel_pos(q_size: int, k_size: int, rel_pos: torch.Tensor) -> torch.Tensor:
    """The vector of each pair of a query's and a key's place along one axis.

    Args:
        q_size: places of queries.
        k_size: places of keys.
        rel_pos: (L, C), a vector for each distance; resized linearly if L does not fit.

    Returns:
        (q_size, k_size, C).
    """
    distances = 2 * max(q_size, k_size) - 1
    if len(rel_pos) != distances:
        rel_pos = functional.interpolate(rel_pos.T[None], distances, mode="linear")[0].T
    queries = torch.arange(q_size, device=rel_pos.device)[:, None] * max(k_size / q_size, 1.0)
    keys = torch.arange(k_size, device=rel_pos.device)[None, :] * max(q_size / k_size, 1.0)
    index = (queries - keys) + (k_size - 1) * max(q_size / k_size, 1.0)
    return rel_pos[index.long()]


def add_decomposed_rel_pos(
    attn: torch.Tensor,
    q: torch.Tensor,
    rel_pos_h: torch.Tensor,
    rel_pos_w: torch.Tensor,
    q_size: tuple[int, int],
    k_size: tuple[int, int],
) -> torch.Tensor:
    """Add to each score a term for the distance in rows and one for that in columns.

    Args:
        attn: scores (B, H * W, h * w).
        q: queries (B, H * W, C), not scaled.
        rel_pos_h: a vector for each distance in rows, (L, C).
        rel_pos_w: a vector for each distance in columns, (L, C).
        q_size: rows and columns (H, W) of the queries.
        k_size: rows and columns (h, w) of the keys.

    Returns:
        scores (B, H * W, h * w).

    Source: Li et al. 2022 (MViTv2), section 4.1, equation 4.
    """
    rows = get_rel_pos(q_size[0], k_size[0], rel_pos_h)  # (H, h, C)
    columns = get_rel_pos(q_size[1], k_size[1], rel_pos_w)  # (W, w, C)
    queries = q.unflatten(1, q_size)  # (B, H, W, C)
    by_row = torch.einsum("bhwc,hkc->bhwk", queries, rows)
    by_column = torch.einsum("bhwc,wkc->bhwk", queries, columns)
    scores = attn.unflatten(2, k_size).unflatten(1, q_size)  # (B, H, W, h, w)
    placed = scores + by_row[..., :, None] + by_column[..., None, :]
    added: torch.Tensor = placed.flatten(3).flatten(1, 2)
    return added
