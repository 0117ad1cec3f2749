"""Image and prompt embeddings -> four masks and their scores.

Five learned tokens join the prompt's: one asks how good the masks are, four stand for masks. After
the transformer each mask token, through an MLP of its own, becomes the weights of a linear
classifier over the upscaled image embedding: that is the mask. Token 0 answers prompts that leave
no doubt; tokens 1 to 3 give three readings of an ambiguous one (whole, part, subpart).
Source: Kirillov et al. 2023, appendix A, "Lightweight mask decoder" and "Making the model
ambiguity-aware"; segment-anything ``modeling/mask_decoder.py``.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from samphire.errors import check_shape
from samphire.model.layer_norm import LayerNorm2d


class MaskDecoder(nn.Module):
    """The decoder.

    Args:
        transformer_dim: channels of tokens and image embedding.
        transformer: see ``two_way_transformer.py``.
        num_multimask_outputs: readings of an ambiguous prompt.
        activation: in the upscaling.
        iou_head_depth: layers of the MLP that predicts the masks' IoU.
        iou_head_hidden_dim: its hidden channels.
    """

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: nn.Module,
        num_multimask_outputs: int = 3,
        activation: Callable[[], nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        self.transformer_dim = transformer_dim
        self.transformer = transformer
        self.num_multimask_outputs = num_multimask_outputs
        self.num_mask_tokens = num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, transformer_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(transformer_dim, transformer_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(transformer_dim // 4),
            activation(),
            nn.ConvTranspose2d(transformer_dim // 4, transformer_dim // 8, kernel_size=2, stride=2),
            activation(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(transformer_dim, transformer_dim, transformer_dim // 8, 3)
            for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(
            transformer_dim, iou_head_hidden_dim, self.num_mask_tokens, iou_head_depth
        )

    def forward(
        self,
        image_embeddings: torch.Tensor,
        image_pe: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
        multimask_output: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks of B objects on one image.

        Args:
            image_embeddings: (1, C, G, G).
            image_pe: (1, C, G, G), position features.
            sparse_prompt_embeddings: (B, T, C).
            dense_prompt_embeddings: (B, C, G, G).
            multimask_output: True for tokens 1 to 3, False for token 0.

        Returns:
            logits (B, M, 4G, 4G) and predicted IoU (B, M), which is not bounded; M is 3 or 1.

        Raises:
            ShapeError: there is more than one image, or a part has the wrong shape.
        """
        masks, predicted_iou = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, chosen], predicted_iou[:, chosen]

    def predict_masks(
        self,
        image_embeddings: torch.Tensor,
        image_pe: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All four masks of B objects; arguments as for :meth:`forward`."""
        masks, iou_token = self.masks_of(
            self.mask_tokens.weight,
            self.output_hypernetworks_mlps,
            image_embeddings,
            image_pe,
            sparse_prompt_embeddings,
            dense_prompt_embeddings,
        )
        return masks, self.iou_prediction_head(iou_token)

    def masks_of(
        self,
        mask_tokens: torch.Tensor,
        hypernetworks: nn.ModuleList,
        image_embeddings: torch.Tensor,
        image_pe: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A mask for each of M tokens, the published four or others; see :meth:`forward`.

        Args:
            mask_tokens: (M, C), what asks for each mask.
            hypernetworks: M MLPs that make a classifier of each token.
            image_embeddings: (1, C, G, G).
            image_pe: (1, C, G, G).
            sparse_prompt_embeddings: (B, T, C).
            dense_prompt_embeddings: (B, C, G, G).

        Returns:
            logits (B, M, 4G, 4G), and the token (B, C) that was asked how good they are.
        """
        channels = self.transformer_dim
        count = len(sparse_prompt_embeddings)
        check_shape(image_embeddings, (1, channels, "G", "G"), "image_embeddings")
        side = image_embeddings.shape[2]
        check_shape(image_pe, (1, channels, side, side), "image_pe")
        check_shape(sparse_prompt_embeddings, ("B", "T", channels), "sparse_prompt_embeddings")
        check_shape(dense_prompt_embeddings, (count, channels, side, side), "dense embeddings")

        own = torch.cat([self.iou_token.weight, mask_tokens])  # (1 + M, C)
        tokens = torch.cat([own.expand(count, -1, -1), sparse_prompt_embeddings], dim=1)
        image = image_embeddings + dense_prompt_embeddings  # (B, C, G, G)
        tokens, image = self.transformer(image, image_pe.expand(count, -1, -1, -1), tokens)

        image = image.transpose(1, 2).unflatten(2, (side, side))  # (B, C, G, G)
        upscaled = self.output_upscaling(image)  # (B, C / 8, 4G, 4G)
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(hypernetworks)], dim=1
        )  # (B, M, C / 8)
        masks = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])  # (B, M, 4G, 4G)
        return masks, tokens[:, 0]


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        output_dim: int,
        num_layers: int,
        sigmoid_output: bool = False,
    ) -> None:
        super().__init__()
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.sigmoid_output = sigmoid_output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., input_dim) -> (..., output_dim)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu()
        x = last(x)
        return x.sigmoid() if self.sigmoid_output else x
