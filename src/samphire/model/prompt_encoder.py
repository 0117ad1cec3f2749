"""Prompts -> what the mask decoder reads: tokens for points and boxes, a map for masks.

A point becomes its position, as random Fourier features, plus a learned vector that says what it
is: the object, background, a box's first or second corner, or no point at all. A mask becomes, by
three convolutions, a map that is added to the image embedding; a learned vector stands for "no
mask". Source: Kirillov et al. 2023, appendix A, "Prompt encoder"; segment-anything
``modeling/prompt_encoder.py``; Tancik et al. 2020 for the Fourier features.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from samphire.errors import ShapeError, check_shape
from samphire.model.layer_norm import LayerNorm2d


class PositionEmbeddingRandom(nn.Module):
    """Fourier features of positions, with frequencies drawn once and kept in the checkpoint.

    Args:
        num_pos_feats: half the channels.
        scale: standard deviation of the frequencies; 1 if it is not positive.
    """

    positional_encoding_gaussian_matrix: torch.Tensor

    def __init__(self, num_pos_feats: int = 64, scale: float | None = None) -> None:
        super().__init__()
        deviation = scale if scale is not None and scale > 0 else 1.0
        self.register_buffer(
            "positional_encoding_gaussian_matrix", deviation * torch.randn(2, num_pos_feats)
        )

    def forward(self, size: tuple[int, int]) -> torch.Tensor:
        """Features of the centres of a grid of (H, W) cells: (C, H, W)."""
        height, width = size
        device = self.positional_encoding_gaussian_matrix.device
        y, x = torch.meshgrid(
            torch.arange(height, device=device) + 0.5,
            torch.arange(width, device=device) + 0.5,
            indexing="ij",
        )
        return self.forward_with_coords(torch.stack([x, y], dim=-1), size).permute(2, 0, 1)

    def forward_with_coords(
        self, coords_input: torch.Tensor, image_size: tuple[int, int]
    ) -> torch.Tensor:
        """Features of points x, y in pixels of a picture (H, W): (..., 2) -> (..., C)."""
        height, width = image_size
        matrix = self.positional_encoding_gaussian_matrix
        # half precision cannot tell neighbouring pixels apart
        exact = torch.promote_types(matrix.dtype, torch.float32)
        shares = coords_input.to(exact) / torch.tensor([width, height], device=matrix.device)
        along_x, along_y = matrix.to(exact)  # (C / 2,) each
        x, y = (2 * shares - 1).split(1, dim=-1)  # (..., 1) each
        # a matrix product, written out: autocast would take one to half precision
        angles = 2 * math.pi * (x * along_x + y * along_y)  # (..., C / 2)
        return torch.cat([angles.sin(), angles.cos()], dim=-1).to(matrix.dtype)


class PromptEncoder(nn.Module):
    """Points, boxes and masks -> sparse and dense prompt embeddings.

    Args:
        embed_dim: channels of both.
        image_embedding_size: rows and columns of the image embedding.
        input_image_size: height and width of the model's input; coordinates are in its pixels.
        mask_in_chans: hidden channels for masks.
        activation: between the convolutions for masks.
    """

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.input_image_size = input_image_size
        self.image_embedding_size = image_embedding_size
        self.mask_input_size = (4 * image_embedding_size[0], 4 * image_embedding_size[1])
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        # background, the object, first corner of a box, second corner
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            activation(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            activation(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def get_dense_pe(self) -> torch.Tensor:
        """Position features of the image embedding's cells, (1, C, G, G)."""
        features: torch.Tensor = self.pe_layer(self.image_embedding_size)
        return features[None]

    def forward(
        self,
        points: tuple[torch.Tensor, torch.Tensor] | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed the prompts of B objects.

        Args:
            points: coordinates (B, N, 2), pixels x, y of the input, and labels (B, N): 1 the
                object, 0 background, -1 no point.
            boxes: (B, 4), x0, y0, x1, y1 in pixels of the input.
            masks: (B, 1, 4G, 4G), logits.

        Returns:
            sparse (B, T, C): a token for each point, one more that says "no point" where points
            come without a box, two for a box; and dense (B, C, G, G).

        Raises:
            ShapeError: a part has the wrong shape, or the parts are for different B.
        """
        count = self._count(points, boxes, masks)
        sparse = [self._no_mask_vector().new_empty(count, 0, self.embed_dim)]
        if points is not None:
            sparse.append(self._embed_points(*points, pad=boxes is None))
        if boxes is not None:
            sparse.append(self._embed_boxes(boxes))
        if masks is not None:
            dense = self.mask_downscaling(masks)
        else:
            dense = self._no_mask_vector()[:, :, None, None].expand(
                count, -1, *self.image_embedding_size
            )
        return torch.cat(sparse, dim=1), dense

    def _count(
        self,
        points: tuple[torch.Tensor, torch.Tensor] | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
    ) -> int:
        """Number of objects; one where nothing is said."""
        counts = set()
        if points is not None:
            coords, labels = points
            check_shape(coords, ("B", "N", 2), "points")
            check_shape(labels, tuple(coords.shape[:2]), "labels")
            counts.add(len(coords))
        if boxes is not None:
            check_shape(boxes, ("B", 4), "boxes")
            counts.add(len(boxes))
        if masks is not None:
            check_shape(masks, ("B", 1, *self.mask_input_size), "masks")
            counts.add(len(masks))
        if len(counts) > 1:
            raise ShapeError(f"prompts for {sorted(counts)} objects: expected one number of them")
        return counts.pop() if counts else 1

    def _embed_points(
        self, points: torch.Tensor, labels: torch.Tensor, *, pad: bool
    ) -> torch.Tensor:
        """(B, N, 2), (B, N) -> (B, N or N + 1, C)."""
        points = points + 0.5  # pixel centres, as published
        if pad:
            points = torch.cat([points, points.new_zeros(len(points), 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((len(labels), 1), -1)], dim=1)
        position = self.pe_layer.forward_with_coords(points, self.input_image_size)
        kind = labels[..., None]
        background, inside, _, _ = self._kinds()
        position = torch.where(kind == 0, position + background, position)
        position = torch.where(kind == 1, position + inside, position)
        return torch.where(kind == -1, self.not_a_point_embed.weight, position)

    def _embed_boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """(B, 4) -> (B, 2, C)."""
        corners = (boxes + 0.5).reshape(-1, 2, 2)  # pixel centres, as published
        position = self.pe_layer.forward_with_coords(corners, self.input_image_size)
        return position + self._kinds()[2:]  # (B, 2, C)

    def _kinds(self) -> torch.Tensor:
        """Background, the object, first and second corner of a box: (4, C)."""
        return torch.cat(list(self.point_embeddings.parameters()))

    def _no_mask_vector(self) -> torch.Tensor:
        vector: torch.Tensor = self.no_mask_embed.weight
        return vector
