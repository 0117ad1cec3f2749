"""``SamAutomaticMaskGenerator``: everything in a picture, as records in the published form.

Points, crops, filters and run lengths are Samphire's own (``predict/``, ``masks/``). What is here
is the published way of settling rivals, which decides ties by the order in memory and compares
boxes that end on the last pixel, and the published records. ``samphire.segment_everything`` does
better.
Source of the interface: segment-anything ``automatic_mask_generator.py``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samphire.arrays import BoolArray, FloatArray, IntArray
from samphire.compat.errors import ContractError
from samphire.compat.parts import as_samphire, encode, float_type
from samphire.compat.segment_anything.modeling.sam import Sam
from samphire.compat.segment_anything.predictor import SamPredictor
from samphire.compat.segment_anything.utils import amg
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.engines.torch_engine import TorchSession
from samphire.geometry import Size
from samphire.images import preprocessing
from samphire.images.read import ImageLike, read_image
from samphire.masks import Masks, rle
from samphire.masks.algebra import concat
from samphire.masks.overlap import box_nms
from samphire.predict.candidates import Place, candidates
from samphire.predict.crops import Crop, crops
from samphire.predict.everything import filters_of
from samphire.predict.everything_settings import EverythingSettings

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class SamAutomaticMaskGenerator:
    """Finds masks of everything in a picture, by a grid of points.

    No picture is kept: threads may share one.

    Args:
        model: its parts are used as they are at each call.
        points_per_side: points in a row of the grid; None: ``point_grids`` has them.
        points_per_batch: as published; points are decoded in smaller batches, which is quicker.
        pred_iou_thresh: keep masks with a larger predicted IoU; 0 keeps all.
        stability_score_thresh: keep masks at least this stable; 0 keeps all but empty ones.
        stability_score_offset: of the stability score, in logits.
        box_nms_thresh: of two masks whose boxes have a larger IoU, one stays.
        crop_n_layers: layers of crops; layer n has 2ⁿ a side.
        crop_nms_thresh: as ``box_nms_thresh``, between crops.
        crop_overlap_ratio: of neighbouring crops, a share of the image's shorter side.
        crop_n_points_downscale_factor: each layer has so many times fewer points in a row.
        point_grids: (N, 2) each, shares of width and height, one grid a layer.
        min_mask_region_area: fill holes and drop islands with fewer pixels.
        output_mode: "binary_mask", "uncompressed_rle" or "coco_rle".

    Raises:
        ContractError: neither or both of ``points_per_side`` and ``point_grids`` are given, or the
            mode is another one.
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: list[npt.NDArray[Any]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        if (points_per_side is None) == (point_grids is None):
            raise ContractError("give points_per_side or point_grids: exactly one of them")
        if output_mode not in OUTPUT_MODES:
            raise ContractError(
                f"output_mode is {output_mode!r}: expected one of {', '.join(OUTPUT_MODES)}"
            )
        if points_per_batch < 1:
            raise ValueError(f"points_per_batch={points_per_batch}: expected at least 1")
        grids: list[npt.NDArray[Any]] = point_grids or []
        if points_per_side is not None:
            grids = amg.build_all_layer_point_grids(
                points_per_side, crop_n_layers, crop_n_points_downscale_factor
            )
        self.predictor = SamPredictor(model)
        self.point_grids = grids
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        self._settings()  # refuses numbers that are out of range before the first picture

    def generate(self, image: ImageLike) -> list[dict[str, Any]]:
        """All masks of a picture.

        Args:
            image: (H, W, 3) uint8, or whatever else ``SamPredictor.set_image`` takes.

        Returns:
            a record a mask: ``segmentation`` (a bool array (H, W), or run lengths), ``area``,
            ``bbox`` (x, y, width, height; the last pixel is not counted, as published),
            ``predicted_iou``, ``point_coords``, ``stability_score`` and ``crop_box`` (x, y, width,
            height). Empty where nothing was found.

        Raises:
            ImageError: it is no picture.
            NonFiniteError: the model gave NaN or infinity.
        """
        pixels = read_image(image)
        if self.predictor.model.image_format != "RGB":
            pixels = pixels[..., ::-1]
        masks = self._masks(pixels)
        if self.min_mask_region_area > 0:
            threshold = max(self.box_nms_thresh, self.crop_nms_thresh)
            masks = _without_small_regions(masks, self.min_mask_region_area, threshold)
        return [self._record(masks, index) for index in range(len(masks))]

    def _settings(self) -> EverythingSettings:
        return EverythingSettings(
            min_predicted_iou=self.pred_iou_thresh,
            min_stability=max(self.stability_score_thresh, 0),
            stability_offset=self.stability_score_offset,
            mask_threshold=self.predictor.model.mask_threshold,
            box_nms_iou=self.box_nms_thresh,
            crop_layers=self.crop_n_layers,
            crop_nms_iou=self.crop_nms_thresh,
            crop_overlap=self.crop_overlap_ratio,
            point_grids=tuple(self.point_grids),
        )

    @torch.no_grad()
    def _masks(self, pixels: npt.NDArray[np.uint8]) -> Masks:
        settings = self._settings()
        size = Size(*pixels.shape[:2])
        found = []
        for crop in crops(size, settings.crop_layers, settings.crop_overlap):
            place = _embedded(self.predictor, pixels, crop, size)
            rivals = candidates(place, self.point_grids[crop.layer], filters_of(settings))
            found.append(rivals[_nms(rivals, -rivals.predicted_iou, settings.box_nms_iou)])
        masks = concat(found)
        if len(found) > 1:
            x0, y0, x1, y1 = masks.crop_box.T.astype(np.int64)
            masks = masks[_nms(masks, (x1 - x0) * (y1 - y0), settings.crop_nms_iou)]
        return masks

    def _record(self, masks: Masks, index: int) -> dict[str, Any]:
        x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
        left, top, right, bottom = (int(edge) for edge in masks.crop_box[index])
        return {
            "segmentation": self._segmentation(masks, index),
            "area": int(masks.area[index]),
            "bbox": [x0, y0, x1 - 1 - x0, y1 - 1 - y0],
            "predicted_iou": float(masks.predicted_iou[index]),
            "point_coords": [masks.point[index].tolist()],
            "stability_score": float(masks.stability[index]),
            "crop_box": [left, top, right - left, bottom - top],
        }

    def _segmentation(self, masks: Masks, index: int) -> BoolArray | amg.Rle:
        if self.output_mode == "binary_mask":
            dense: BoolArray = masks[index].to_array()[0]
            return dense
        runs = masks.image_runs(index)
        counts = rle.to_coco(runs) if self.output_mode == "coco_rle" else runs.tolist()
        return {"size": [masks.size.height, masks.size.width], "counts": counts}


def _embedded(
    predictor: SamPredictor, pixels: npt.NDArray[np.uint8], crop: Crop, size: Size
) -> Place:
    """A part of the picture, encoded as ``SamPredictor.set_image`` does, but kept nowhere."""
    model = predictor.model
    x0, y0, x1, y1 = crop.box
    resized = predictor.transform.apply_image(pixels[y0:y1, x0:x1])
    batch = torch.as_tensor(resized, device=model.device).permute(2, 0, 1)[None]
    features = encode(model, model.preprocess(batch))
    frame = preprocessing.sam(model.image_encoder.img_size).frame(crop.size)
    key = EmbeddingKey("compat", "compat", "compat")  # it is never saved or compared
    embedding = ImageEmbedding(features.float().cpu().numpy(), frame, key, "compat")
    session = TorchSession(
        as_samphire(model), embedding, features.to(float_type(model.mask_decoder))
    )
    return Place(session, frame, crop, size)


def _nms(masks: Masks, cost: FloatArray | IntArray | BoolArray, threshold: float) -> IntArray:
    """Published suppression: by one number, the lowest first, ties as they lie in memory.

    Boxes end on the last pixel, so they are a little smaller than those that ours compares.
    """
    closed = masks.boxes - np.array([0, 0, 1, 1])
    return box_nms(closed, np.argsort(np.asarray(cost, np.float64), kind="stable"), threshold)


def _without_small_regions(masks: Masks, min_area: int, threshold: float) -> Masks:
    """Clean the masks; of rivals that this makes, one that needed no cleaning stays."""
    cleaned = concat([masks[:0], *(_clean(mask, min_area) for mask in masks)])
    return cleaned[_nms(cleaned, cleaned.edited, threshold)]


def _clean(mask: Masks, min_area: int) -> Masks:
    dense, filled = amg.remove_small_regions(mask.to_array()[0], min_area, mode="holes")
    dense, dropped = amg.remove_small_regions(dense, min_area, mode="islands")
    if not (filled or dropped):
        return mask
    made = Masks.from_arrays(dense[None])
    return replace(mask, boxes=made.boxes, runs=made.runs, edited=np.ones(1, np.bool_))
