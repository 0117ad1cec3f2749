"""The Segment Anything Model, wired: an image encoder, a prompt encoder, a mask decoder.

Differentiable from end to end: nothing here turns gradients off. Not for pixels of a file
(``images/preprocessing.py``) or masks in them (``predict/``). Source: Kirillov et al. 2023,
section 3; segment-anything ``modeling/sam.py``, whose dictionary interface lives elsewhere.
"""

import copy

import torch
from torch import nn

from samphire.errors import ShapeError
from samphire.model.image_encoder import ImageEncoderViT
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


def at_input_side(sam: Sam, side: int) -> Sam:
    """The same model for another input: smaller is quicker, and sees less.

    The image encoder resizes its position tables in each forward; the prompt encoder is told the
    new sizes. Nothing was trained that way: masks get coarser.

    Args:
        sam: with a ViT encoder; it stays as it is, and both share their weights.
        side: of the square input, pixels, a multiple of the encoder's patches (16).

    Raises:
        ShapeError: the encoder's grid is fixed, or the side is no such multiple.
    """
    encoder = sam.image_encoder
    if not isinstance(encoder, ImageEncoderViT):
        raise ShapeError(
            f"input side {side}: a {type(encoder).__name__} encoder takes only the side that it "
            "was built for; choose a model with a ViT encoder (vit_b, vit_l, vit_h, medsam)"
        )
    if side < encoder.patch_size or side % encoder.patch_size:
        raise ShapeError(f"input side {side}: expected a multiple of {encoder.patch_size}")
    grid = side // encoder.patch_size
    prompt_encoder = copy.copy(sam.prompt_encoder)  # shallow: modules and weights are shared
    prompt_encoder.input_image_size = (side, side)
    prompt_encoder.image_embedding_size = (grid, grid)
    prompt_encoder.mask_input_size = (4 * grid, 4 * grid)
    return Sam(encoder, prompt_encoder, sam.mask_decoder).train(sam.training)
