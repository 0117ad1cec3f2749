"""``SamPredictor``: one picture, many prompts, in the published words.

It keeps a current picture, as published; two threads must not share one. Samphire's own
``embed`` and ``segment`` have no such state.
Source of the interface: segment-anything ``predictor.py``.
"""

import numpy as np
import numpy.typing as npt
import torch

from samphire.arrays import BoolArray, FloatArray
from samphire.compat.errors import ContractError, ImageNotSetError
from samphire.compat.parts import decode, encode
from samphire.compat.segment_anything.modeling.sam import Sam
from samphire.compat.segment_anything.utils.transforms import ResizeLongestSide
from samphire.errors import PromptError, check_shape
from samphire.images.read import ImageLike, read_image

FORMATS = ("RGB", "BGR")
NO_IMAGE = "An image must be set with .set_image(...) before masks and embeddings: there is none."


class SamPredictor:
    """Encodes a picture once, and answers prompts about it.

    Args:
        sam_model: its parts are used as they are at each call: moved, edited or replaced.

    Attributes:
        model: the same.
        transform: from the picture's pixels to those of the model's input.
        is_image_set: whether there is a picture.
        features: its embedding (1, C, G, G), or None.
        original_size: its height and width, or None.
        input_size: its height and width in the model's input, or None.
    """

    features: torch.Tensor | None
    original_size: tuple[int, int] | None
    input_size: tuple[int, int] | None

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.image_encoder.img_size)
        self.reset_image()

    def set_image(self, image: ImageLike, image_format: str = "RGB") -> None:
        """Encode a picture; one that fails leaves no picture set.

        Args:
            image: (H, W, 3) uint8, 0 to 255; or whatever else ``samphire.embed`` takes, by the
                rules of ``images/read.py``.
            image_format: order of the channels, "RGB" or "BGR".

        Raises:
            ContractError: the format is another one.
            ImageError: it is no picture.
        """
        self.reset_image()
        if image_format not in FORMATS:
            raise ContractError(
                f"image_format is {image_format!r}: expected one of {', '.join(FORMATS)}"
            )
        pixels = read_image(image)
        if image_format != self.model.image_format:
            pixels = pixels[..., ::-1]
        resized = torch.as_tensor(self.transform.apply_image(pixels), device=self.device)
        batch = resized.permute(2, 0, 1)[None]  # (1, 3, H, W)
        self.set_torch_image(batch, (pixels.shape[0], pixels.shape[1]))

    @torch.no_grad()
    def set_torch_image(
        self, transformed_image: torch.Tensor, original_image_size: tuple[int, ...]
    ) -> None:
        """Encode a picture that is resized already.

        Several pictures can be encoded at once, for :meth:`get_image_embedding`; prompts are for
        one.

        Args:
            transformed_image: (1, 3, H, W), 0 to 255, its longest side that of the model's input.
            original_image_size: height and width before resizing.

        Raises:
            ContractError: the picture has another shape.
        """
        self.reset_image()
        shape, side = tuple(transformed_image.shape), self.model.image_encoder.img_size
        if len(shape) != 4 or shape[1] != 3 or max(shape[2:]) != side:
            raise ContractError(
                f"the picture has shape {shape}: expected (1, 3, H, W), its longest side {side}"
            )
        self.features = encode(self.model, self.model.preprocess(transformed_image))
        height, width = original_image_size[:2]
        self.original_size = (int(height), int(width))
        self.input_size = (shape[2], shape[3])
        self.is_image_set = True

    def predict(
        self,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[BoolArray | FloatArray, FloatArray, FloatArray]:
        """The masks of one object.

        Args:
            point_coords: (N, 2), x, y in pixels of the picture.
            point_labels: (N,), 1 the object, 0 background, -1 no point.
            box: (4,) or (1, 4), x0, y0, x1, y1 in pixels of the picture.
            mask_input: (1, 4G, 4G), low-resolution logits of an earlier answer.
            multimask_output: three readings of an ambiguous prompt, or one mask.
            return_logits: logits, float32, in place of the cut masks.

        Returns:
            masks (M, H, W), predicted IoU (M,), and low-resolution logits (M, 4G, 4G); the last
            two are float32 whatever the model's precision.

        Raises:
            ImageNotSetError: there is no picture.
            ContractError: points without labels, or labels without points.
            PromptError: a coordinate is not finite, or there is more than one box.
            ShapeError: a prompt has the wrong shape.
            NonFiniteError: the model gave NaN or infinity.
        """
        original_size = self._size()
        points = labels = boxes = mask = None
        if (point_coords is None) != (point_labels is None):
            raise ContractError("point_coords and point_labels belong together: one is missing")
        if point_coords is not None:
            points = self._tensor(self.transform.apply_coords(point_coords, original_size))[None]
            labels = torch.as_tensor(point_labels, dtype=torch.int, device=self.device)[None]
        if box is not None:
            boxes = self._tensor(self.transform.apply_boxes(_one_box(box), original_size))
        if mask_input is not None:
            mask = torch.as_tensor(mask_input, dtype=torch.float32, device=self.device)
            check_shape(mask, (1, *self.model.prompt_encoder.mask_input_size), "mask_input")
            mask = mask[None]
        masks, scores, low_res = self.predict_torch(
            points, labels, boxes, mask, multimask_output, return_logits
        )
        return _numpy(masks), _numpy(scores), _numpy(low_res)

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: torch.Tensor | None,
        point_labels: torch.Tensor | None,
        boxes: torch.Tensor | None = None,
        mask_input: torch.Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The masks of B objects; coordinates are in pixels of the resized picture.

        Args:
            point_coords: (B, N, 2), from ``transform.apply_coords_torch``.
            point_labels: (B, N).
            boxes: (B, 4), from ``transform.apply_boxes_torch``.
            mask_input: (B, 1, 4G, 4G), logits; one serves all objects.
            multimask_output: three readings of an ambiguous prompt, or one mask.
            return_logits: logits in place of the cut masks.

        Returns:
            masks (B, M, H, W), predicted IoU (B, M), low-resolution logits (B, M, 4G, 4G).

        Raises:
            ImageNotSetError: there is no picture.
            ContractError: points without labels, or labels without points.
            ShapeError: a prompt has the wrong shape, or several pictures were set.
            NonFiniteError: the model gave NaN or infinity.
        """
        features, size = self.get_image_embedding(), self._size()
        points = None
        if point_coords is not None and point_labels is not None:
            points = (point_coords, point_labels)
        elif point_coords is not None or point_labels is not None:
            raise ContractError("point_coords and point_labels belong together: one is missing")
        low_res, scores = decode(self.model, features, points, boxes, mask_input, multimask_output)
        masks = self.model.postprocess_masks(low_res, self.input_size or size, size)
        return masks if return_logits else masks > self.model.mask_threshold, scores, low_res

    def get_image_embedding(self) -> torch.Tensor:
        """The picture's embedding (1, C, G, G), not a copy.

        Raises:
            ImageNotSetError: there is no picture.
        """
        if not self.is_image_set or self.features is None:
            raise ImageNotSetError(NO_IMAGE)
        return self.features

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def reset_image(self) -> None:
        """Forget the picture, its sizes included."""
        self.is_image_set = False
        self.features = None
        self.original_size = None
        self.input_size = None
        # never used, as published
        self.orig_h = self.orig_w = self.input_h = self.input_w = None

    def _size(self) -> tuple[int, int]:
        if self.original_size is None:
            raise ImageNotSetError(NO_IMAGE)
        return self.original_size

    def _tensor(self, coordinates: FloatArray) -> torch.Tensor:
        if not np.isfinite(coordinates).all():
            raise PromptError("a coordinate is NaN or infinite: expected pixels of the picture")
        return torch.as_tensor(coordinates, dtype=torch.float32, device=self.device)


def _one_box(box: npt.ArrayLike) -> npt.ArrayLike:
    given = np.asarray(box)
    if given.size != 4:
        raise PromptError(
            f"box has shape {given.shape}: expected (4,), one object a call; for several use "
            "predict_torch, with transform.apply_boxes_torch"
        )
    return given


def _numpy(tensor: torch.Tensor) -> FloatArray:
    """The first of a batch, as an array; NumPy knows no bfloat16, so floats become float32."""
    first = tensor[0].cpu()
    array: FloatArray = (first.float() if first.is_floating_point() else first).numpy()
    return array
