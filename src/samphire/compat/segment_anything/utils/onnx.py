"""``SamOnnxModel``: prompt encoder, mask decoder and upscaling as one module, for ``torch.onnx``.

Export it with ``dynamo=False``. Sizes are inputs of the graph, so what elsewhere is a ``Frame`` is
written out here in operations of a graph; tests hold it equal to the predictor's answers. Source
of the interface: segment-anything ``utils/onnx.py``.
"""

import torch
from torch import nn

from samphire.compat.segment_anything.modeling.sam import Sam
from samphire.compat.upscaling import bilinear


class SamOnnxModel(nn.Module):
    """Prompts of one object on one embedding -> logits at the picture's size.

    Args:
        model: from ``sam_model_registry``.
        return_single_mask: the one mask that suits the number of points, in place of all four.
        use_stability_score: give each mask's stability as its score.
        return_extra_metrics: give stability and area of the upscaled masks as well.
    """

    def __init__(
        self,
        model: Sam,
        return_single_mask: bool,
        use_stability_score: bool = False,
        return_extra_metrics: bool = False,
    ) -> None:
        super().__init__()
        # The exporter gives the whole tree the mode it finds here, and a new module's is train.
        self.training = model.training
        self.model = model
        self.mask_decoder = model.mask_decoder
        self.img_size = model.image_encoder.img_size
        self.return_single_mask = return_single_mask
        self.use_stability_score = use_stability_score
        self.stability_score_offset = 1.0
        self.return_extra_metrics = return_extra_metrics

    @torch.no_grad()
    def forward(
        self,
        image_embeddings: torch.Tensor,
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        mask_input: torch.Tensor,
        has_mask_input: torch.Tensor,
        orig_im_size: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Decode.

        Args:
            image_embeddings: (1, C, G, G).
            point_coords: (1, N, 2), in pixels of the resized picture.
            point_labels: (1, N): 1 the object, 0 background, 2 and 3 a box's first and second
                corner, -1 no point. Without a box the caller appends one point (0, 0) labelled -1.
            mask_input: (1, 1, 4G, 4G), logits; read where ``has_mask_input`` is 1.
            has_mask_input: (1,), 1 or 0.
            orig_im_size: (2,), height and width of the picture.

        Returns:
            masks (1, M, H, W), logits; scores (1, M); low-resolution logits (1, M, 4G, 4G); with
            the extra metrics masks, scores, stability (1, M), areas (1, M), low-resolution logits.
            M is 1 or 4, the first of four being the answer to a prompt that leaves no doubt.
        """
        sparse = self._embed_points(point_coords, point_labels)
        dense = self._embed_masks(mask_input, has_mask_input)
        low_res, scores = self.mask_decoder.predict_masks(
            image_embeddings, self.model.prompt_encoder.get_dense_pe(), sparse, dense
        )
        if self.use_stability_score:
            scores = self._stability(low_res)
        if self.return_single_mask:
            low_res, scores = self.select_masks(low_res, scores, point_coords.shape[1])
        masks = self.mask_postprocessing(low_res, orig_im_size)
        if not self.return_extra_metrics:
            return masks, scores, low_res
        areas = (masks > self.model.mask_threshold).sum((-1, -2))
        return masks, scores, self._stability(masks), areas, low_res

    def select_masks(
        self, masks: torch.Tensor, iou_preds: torch.Tensor, num_points: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first mask for three points or more (a box has two and a pad), else the best."""
        # arithmetic in place of a branch, which a traced graph does not keep
        first = torch.zeros_like(iou_preds[:1])
        first[:, 0] = 1000.0
        best = (iou_preds + (num_points - 2.5) * first).argmax(dim=1)
        rows = torch.arange(masks.shape[0], device=masks.device)
        return masks[rows, best][:, None], iou_preds[rows, best][:, None]

    def mask_postprocessing(self, masks: torch.Tensor, orig_im_size: torch.Tensor) -> torch.Tensor:
        """Low-resolution logits -> (1, M, H, W); sizes may be symbols of a traced graph."""
        square = bilinear(masks, (self.img_size, self.img_size))
        height, width = self.resize_longest_image_size(orig_im_size, self.img_size).unbind()
        size = orig_im_size.to(torch.int64)
        return bilinear(square[..., :height, :width], (size[0], size[1]))

    @staticmethod
    def resize_longest_image_size(
        input_image_size: torch.Tensor, longest_side: int
    ) -> torch.Tensor:
        """Height and width (2,) after ``ResizeLongestSide``, int64, as operations of a graph."""
        size = input_image_size.to(torch.float32)
        scaled = size * (longest_side / size.max())
        return torch.floor(scaled + 0.5).clamp(min=1).to(torch.int64)

    def _embed_points(self, point_coords: torch.Tensor, point_labels: torch.Tensor) -> torch.Tensor:
        """(1, N, 2), (1, N) -> (1, N, C)."""
        encoder = self.model.prompt_encoder
        # a label that is no point's gives the bare position; corners add their vector to it
        sparse = encoder._embed_points(point_coords, point_labels, pad=False)
        for label, vector in list(enumerate(encoder.point_embeddings.parameters()))[2:]:
            sparse = sparse + (point_labels == label)[..., None] * vector
        return sparse

    def _embed_masks(self, input_mask: torch.Tensor, has_mask_input: torch.Tensor) -> torch.Tensor:
        """(1, 1, 4G, 4G), (1,) -> (1, C, G, G)."""
        encoder = self.model.prompt_encoder
        nothing = encoder.no_mask_embed.weight[:, :, None, None]
        embedded: torch.Tensor = encoder.mask_downscaling(input_mask)
        return has_mask_input * embedded + (1 - has_mask_input) * nothing

    def _stability(self, logits: torch.Tensor) -> torch.Tensor:
        """As ``masks/scores.py``, as operations of a graph: (1, M, H, W) -> (1, M)."""
        threshold, offset = self.model.mask_threshold, self.stability_score_offset
        inner = (logits > threshold + offset).sum((-1, -2))
        outer = (logits > threshold - offset).sum((-1, -2))
        return inner / outer.clamp(min=1)
