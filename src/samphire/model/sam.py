"""The Segment Anything Model, wired: an image encoder, a prompt encoder, a mask decoder.

Differentiable from end to end: nothing here turns gradients off. Not for pixels of a file
(``images/preprocessing.py``) or masks in them (``predict/``). Source: Kirillov et al. 2023,
section 3; segment-anything ``modeling/sam.py``, whose dictionary interface lives elsewhere.
"""

import torch
from torch import nn

from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder


class Sam(nn.Module):
    """The three parts; encode a picture once, decode as many prompts as you like.

    Args:
        image_encoder: pixels (B, 3, S, S) -> embedding (B, C, G, G).
        prompt_encoder: see ``prompt_encoder.py``.
        mask_decoder: see ``mask_decoder.py``.
    """

    def __init__(
        self, image_encoder: nn.Module, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised, padded pixels (B, 3, S, S) -> image embedding (B, C, G, G)."""
        features: torch.Tensor = self.image_encoder(pixels)
        return features

    def decode(
        self,
        features: torch.Tensor,
        points: tuple[torch.Tensor, torch.Tensor] | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
        multimask_output: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks of B objects on one image.

        Args:
            features: (1, C, G, G), from :meth:`encode`.
            points: coordinates (B, N, 2) and labels (B, N); see ``PromptEncoder``.
            boxes: (B, 4).
            masks: (B, 1, 4G, 4G), logits.
            multimask_output: True for tokens 1 to 3, False for token 0.

        Returns:
            logits (B, M, 4G, 4G) and predicted IoU (B, M).
        """
        sparse, dense = self.prompt_encoder(points, boxes, masks)
        low_res: tuple[torch.Tensor, torch.Tensor] = self.mask_decoder(
            features, self.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output
        )
        return low_res

    def forward(
        self,
        pixels: torch.Tensor,
        points: tuple[torch.Tensor, torch.Tensor] | None,
        boxes: torch.Tensor | None,
        masks: torch.Tensor | None,
        multimask_output: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """:meth:`encode` one picture, then :meth:`decode`."""
        return self.decode(self.encode(pixels), points, boxes, masks, multimask_output)
