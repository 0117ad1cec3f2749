"""``Sam`` with the published interface: dictionaries in, dictionaries out, without gradients.

Not for training: Samphire's differentiable model is ``samphire/model/sam.py``, and
:func:`samphire.compat.parts.as_samphire` gives it for the same weights.
Source of the interface: segment-anything ``modeling/sam.py``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from samphire.compat.parts import ImageEncoder, decode, encode
from samphire.compat.segment_anything.modeling.prompt_encoder import PromptEncoder
from samphire.compat.upscaling import upscale
from samphire.errors import ShapeError
from samphire.geometry import Size
from samphire.images import preprocessing
from samphire.model.mask_decoder import MaskDecoder
from samphire.model.prompt_encoder import PromptEncoder as PlainPromptEncoder
from samphire.model.sam import Sam as PlainSam

_RECORD = preprocessing.sam()
PIXEL_MEAN, PIXEL_STD = list(_RECORD.mean), list(_RECORD.std)


class Sam(nn.Module):
    """The three parts and the numbers that normalise a picture.

    Args:
        image_encoder: pixels (B, 3, S, S) -> embedding (B, C, G, G); its ``img_size`` is S.
        prompt_encoder: see ``prompt_encoder.py``.
        mask_decoder: see ``mask_decoder.py``.
        pixel_mean: of each channel, on the scale 0 to 255.
        pixel_std: of each channel.

    Attributes:
        mask_threshold: logit that separates mask from background.
        image_format: order of the channels that the encoder was trained with.
    """

    mask_threshold: float = 0.0
    image_format: str = "RGB"
    image_encoder: ImageEncoder
    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(
        self,
        image_encoder: ImageEncoder,
        prompt_encoder: PlainPromptEncoder,
        mask_decoder: MaskDecoder,
        pixel_mean: Sequence[float] = PIXEL_MEAN,
        pixel_std: Sequence[float] = PIXEL_STD,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            buffer = torch.tensor(values)[:, None, None]  # (3, 1, 1)
            self.register_buffer(name, buffer, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    @torch.no_grad()
    def forward(
        self, batched_input: list[dict[str, Any]], multimask_output: bool
    ) -> list[dict[str, torch.Tensor]]:
        """Encode pictures together, decode the prompts of each.

        Args:
            batched_input: for each picture ``image`` (3, H, W), resized but neither normalised
                nor padded, and ``original_size`` (H, W); where it has them ``point_coords``
                (B, N, 2) with ``point_labels`` (B, N), ``boxes`` (B, 4), ``mask_inputs``
                (B, 1, 4G, 4G). Coordinates are in pixels of ``image``.
            multimask_output: True for tokens 1 to 3, False for token 0.

        Returns:
            for each picture ``masks`` (B, M, H, W), bool, at its original size,
            ``iou_predictions`` (B, M) and ``low_res_logits`` (B, M, 4G, 4G).

        Raises:
            ShapeError: a picture or a prompt has the wrong shape.
            NonFiniteError: the model gave NaN or infinity.
        """
        if not batched_input:
            return []
        pixels = torch.stack([self.preprocess(record["image"]) for record in batched_input])
        features = encode(self, pixels)
        return [
            self._answer(record, features[index : index + 1], multimask_output)
            for index, record in enumerate(batched_input)
        ]

    def _answer(
        self, record: dict[str, Any], features: torch.Tensor, multimask_output: bool
    ) -> dict[str, torch.Tensor]:
        points = None
        if record.get("point_coords") is not None:
            points = (record["point_coords"], record["point_labels"])
        boxes, masks = record.get("boxes"), record.get("mask_inputs")
        low_res, scores = decode(self, features, points, boxes, masks, multimask_output)
        size = record["image"].shape[-2:]
        logits = self.postprocess_masks(low_res, size, record["original_size"])
        return {
            "masks": logits > self.mask_threshold,
            "iou_predictions": scores,
            "low_res_logits": low_res,
        }

    def preprocess(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise a resized picture and pad it, right and below, to the model's square.

        The numbers are the model's own buffers, which a caller may have changed, and the picture
        is a tensor on any device: so this is not ``Preprocessing.apply``, which it equals.

        Args:
            x: (3, H, W) or (B, 3, H, W), 0 to 255.

        Returns:
            (3, S, S) or (B, 3, S, S), of the type of ``pixel_mean``.

        Raises:
            ShapeError: it is larger than the square; the original cuts it without a word.
        """
        side = self.image_encoder.img_size
        height, width = x.shape[-2:]
        if max(height, width) > side:
            raise ShapeError(
                f"the picture is {width}x{height}: expected at most {side}x{side}; resize it "
                "first, with ResizeLongestSide"
            )
        exact = torch.promote_types(self.pixel_mean.dtype, torch.float32)
        normalised = (x.to(self.device, exact) - self.pixel_mean) / self.pixel_std
        padded = functional.pad(normalised, (0, side - width, 0, side - height))
        return padded.to(self.pixel_mean.dtype)

    def postprocess_masks(
        self,
        masks: torch.Tensor,
        input_size: Sequence[int],
        original_size: Sequence[int],
    ) -> torch.Tensor:
        """Low-resolution logits -> logits at the size of the picture.

        Args:
            masks: (B, M, s, s).
            input_size: height and width of the picture inside the model's square.
            original_size: its height and width.

        Returns:
            (B, M, H, W), float32 or better.

        Raises:
            ShapeError: the logits are not squares.
            ValueError: a size is empty, or ``input_size`` exceeds the model's square.
        """
        record = preprocessing.sam(self.image_encoder.img_size)
        resized_height, resized_width = (int(length) for length in input_size)
        height, width = (int(length) for length in original_size)
        frame = replace(record, low_res_side=masks.shape[-1]).frame(
            Size(height, width), Size(resized_height, resized_width)
        )
        return upscale(masks, frame)


def from_samphire(model: PlainSam) -> Sam:
    """Samphire's model with the published interface; encoder and decoder are shared.

    The prompt encoder is a copy, one that takes the published shapes.
    """
    encoder = model.image_encoder
    if not isinstance(encoder, ImageEncoder):
        raise TypeError(f"{type(encoder).__name__} is no image encoder that SamPredictor knows")
    made = Sam(encoder, PromptEncoder.like(model.prompt_encoder), model.mask_decoder)
    made.training = model.training  # its own mode alone: each shared part keeps the one it has
    return made
