"""The three parts of a ``Sam``, used as they are: what a user replaced or moved is what runs.

They may have been given another precision, each its own; so prompts and features are brought to
the type of the part that reads them. Not for coordinates (``utils/transforms.py``).
"""

from typing import Protocol

import torch
from torch import nn

from samphire.errors import NonFiniteError
from samphire.model.image_encoder import ImageEncoderViT
from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder
from samphire.model.sam import Sam as PlainSam
from samphire.model.tiny_encoder import TinyViT

ImageEncoder = ImageEncoderViT | TinyViT
Points = tuple[torch.Tensor, torch.Tensor]


class HasParts(Protocol):
    """A ``Sam``, or whatever holds the same three parts."""

    image_encoder: ImageEncoder
    prompt_encoder: PromptEncoder
    mask_decoder: MaskDecoder


def as_samphire(sam: HasParts) -> PlainSam:
    """The same parts as Samphire's own model: differentiable, and what ``TorchEngine`` takes.

    Nothing is copied: both share their weights.
    """
    return PlainSam(sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)


def encode(sam: HasParts, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised, padded pixels (B, 3, S, S) -> image embedding (B, C, G, G)."""
    return as_samphire(sam).encode(pixels.to(float_type(sam.image_encoder)))


def decode(
    sam: HasParts,
    features: torch.Tensor,
    points: Points | None,
    boxes: torch.Tensor | None,
    masks: torch.Tensor | None,
    multimask_output: bool,
) -> Points:
    """Masks of B objects on one image.

    Args:
        sam: its prompt encoder and mask decoder are used.
        features: (1, C, G, G), from :func:`encode`.
        points: coordinates (B, N, 2) in pixels of the input, and labels (B, N).
        boxes: (B, 4) or (B, 1, 4), x0, y0, x1, y1 in pixels of the input.
        masks: logits (B, 1, 4G, 4G); one serves all B objects.
        multimask_output: True for tokens 1 to 3, False for token 0.

    Returns:
        logits (B, M, 4G, 4G) and predicted IoU (B, M).

    Raises:
        ShapeError: a part has the wrong shape, there is more than one image, or the parts are for
            different numbers of objects.
        NonFiniteError: the answer holds NaN or infinity.
    """
    device = features.device
    if points is not None:
        points = (points[0].to(device), points[1].to(device))
    if masks is not None:
        masks = masks.to(device, float_type(sam.prompt_encoder))
    logits, predicted_iou = as_samphire(sam).decode(
        features.to(float_type(sam.mask_decoder)),
        points,
        None if boxes is None else boxes.to(device),
        masks,
        multimask_output,
    )
    if not (torch.isfinite(predicted_iou).all() and torch.isfinite(logits).all()):
        raise NonFiniteError(
            "the model gave NaN or infinity: a coordinate or the image is not finite, the weights "
            "are damaged, or their precision is too low for this picture"
        )
    return logits, predicted_iou


def float_type(module: nn.Module) -> torch.dtype:
    """The type of a module's floating-point weights; float32 where it has none."""
    found = (weight.dtype for weight in module.parameters() if weight.is_floating_point())
    return next(found, torch.float32)
