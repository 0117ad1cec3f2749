"""Samphire's prompt encoder, with the wider shapes that the published one lets through."""

from typing import Self

import torch

from samphire.model.prompt_encoder import PositionEmbeddingRandom
from samphire.model.prompt_encoder import PromptEncoder as PlainPromptEncoder

__all__ = ["PositionEmbeddingRandom", "PromptEncoder"]


class PromptEncoder(PlainPromptEncoder):
    """See :class:`samphire.model.prompt_encoder.PromptEncoder`, whose arguments these are.

    Many scripts (MedSAM's among them) give boxes as (B, 1, 4), and one mask for all objects.
    """

    @classmethod
    def like(cls, encoder: PlainPromptEncoder) -> Self:
        """A copy of one that Samphire built: sizes, weights, precision and place."""
        weights = encoder.state_dict()
        made = cls(
            embed_dim=encoder.embed_dim,
            image_embedding_size=encoder.image_embedding_size,
            input_image_size=encoder.input_image_size,
            mask_in_chans=len(weights["mask_downscaling.3.bias"]),
        )
        made.to(encoder.no_mask_embed.weight).train(encoder.training)
        made.load_state_dict(weights)
        return made

    def forward(
        self,
        points: tuple[torch.Tensor, torch.Tensor] | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed the prompts of B objects.

        Args:
            points: coordinates (B, N, 2) and labels (B, N).
            boxes: (B, 4), or (B, 1, 4).
            masks: logits (B, 1, 4G, 4G); one serves all B objects.

        Returns:
            sparse (B, T, C) and dense (B, C, G, G).

        Raises:
            ShapeError: a part has the wrong shape, or the parts are for different B.
        """
        if boxes is not None and boxes.shape[1:] == (1, 4):
            boxes = boxes[:, 0]
        count = len(points[0]) if points is not None else len(boxes) if boxes is not None else 1
        if masks is not None and len(masks) == 1:
            masks = masks.expand(count, -1, -1, -1)
        return super().forward(points, boxes, masks)
