"""Low-resolution logits -> logits at the size of the picture, as tensors.

``geometry.resize_weights`` says what this map is, and ``predict/upscale.py`` computes the part of
it that a mask needs. Code written for the original wants all of it, on its own device, in the
published bits: so the frame's steps run here as torch's own kernel. Tests hold the two together.
"""

import torch
from torch.nn import functional

from samphire.errors import check_shape
from samphire.geometry import Frame


def upscale(masks: torch.Tensor, frame: Frame) -> torch.Tensor:
    """Logits (B, M, s, s) -> (B, M, H, W), float32 or better.

    Raises:
        ShapeError: the logits are not those of the frame.

    Source: ``Sam.postprocess_masks`` of segment-anything.
    """
    check_shape(masks, ("B", "M", frame.low_res_side, frame.low_res_side), "masks")
    masks = masks.to(torch.promote_types(masks.dtype, torch.float32))
    for step in frame.output_steps:
        if step == "resize_to_input":
            masks = bilinear(masks, (frame.input_side, frame.input_side))
        elif step == "crop_to_resized":
            masks = masks[..., : frame.resized.height, : frame.resized.width]
        else:
            masks = bilinear(masks, (frame.original.height, frame.original.width))
    return masks


def bilinear(masks: torch.Tensor, size: tuple[int | torch.Tensor, ...]) -> torch.Tensor:
    """Resize (B, M, h, w) without antialias; in a traced graph the size may be tensors."""
    return functional.interpolate(masks, size, mode="bilinear", align_corners=False)  # type: ignore[arg-type]
