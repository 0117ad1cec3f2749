"""What everything mode asks for and what it keeps: one record, and three of it by name.

Source of the defaults: Kirillov et al. 2023, appendix B; segment-anything
``automatic_mask_generator.py``.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from samphire.arrays import FloatArray, read_only
from samphire.errors import check_shape


@dataclass(frozen=True, eq=False)
class EverythingSettings:
    """Settings of :func:`samphire.segment_everything`.

    Attributes:
        points_per_side: the grid has this many points in a row, and rows.
        min_predicted_iou: keep a mask whose predicted IoU is above; at 0 or below keep all.
        min_stability: keep a mask whose stability is at least this, 0 to 1.
        stability_offset: of the stability score, in logits, > 0.
        mask_threshold: the logit above which a pixel is on.
        box_nms_iou: of two masks of one crop whose boxes have a larger IoU, the better one stays.
        crop_layers: layers of crops below the whole image; layer n has 2ⁿ a side, each encoded
            apart, so 1 costs four times the encoder again.
        crop_nms_iou: as ``box_nms_iou``, for masks of different crops.
        crop_overlap: of neighbouring crops of the first layer, as a share of the image's shorter
            side, 0 to below 1.
        crop_points_downscale: each layer of crops has so many times fewer points in a row.
        crop_edge_distance: a mask whose box ends within so many pixels of its crop's edge is
            dropped as cut off, unless that is an edge of the image.
        point_grids: instead of even grids, the points of the whole image and of each layer, (P, 2)
            each, x and y as shares of width and height, 0 to 1.
        min_region_area: fill holes and drop separate parts with fewer pixels; 0 leaves them.
        mask_nms_iou: of two masks with a larger IoU, the better one stays; None: boxes decide
            alone, as published.
        max_containment: with ``mask_nms_iou``: of two masks that share more than this part of the
            smaller one, the better one stays, so parts or wholes go; None: both stay.
        point_share: below 1, ask for so large a share of a grid's number of points, but where the
            embedding's cells are least like each other, see ``grid.py``; one a cell at most.
    """

    points_per_side: int = 32
    min_predicted_iou: float = 0.88
    min_stability: float = 0.95
    stability_offset: float = 1.0
    mask_threshold: float = 0.0
    box_nms_iou: float = 0.7
    crop_layers: int = 0
    crop_nms_iou: float = 0.7
    crop_overlap: float = 512 / 1500
    crop_points_downscale: float = 1.0
    crop_edge_distance: float = 20.0
    point_grids: tuple[FloatArray, ...] | None = None
    min_region_area: int = 0
    mask_nms_iou: float | None = None
    max_containment: float | None = None
    point_share: float = 1.0

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name}={value}: expected {least} to {most}")
        if not self.stability_offset > 0 or not self.crop_points_downscale > 0:
            raise ValueError(
                f"stability_offset={self.stability_offset}, crop_points_downscale="
                f"{self.crop_points_downscale}: expected both above 0"
            )
        if not self.crop_overlap < 1:
            raise ValueError(f"crop_overlap={self.crop_overlap}: expected below 1")
        if self.max_containment is not None and self.mask_nms_iou is None:
            raise ValueError("max_containment goes with mask_nms_iou: set both")
        if not self.point_share > 0:
            raise ValueError(f"point_share={self.point_share}: expected above 0")
        if self.point_grids is not None:
            if self.point_share < 1:
                raise ValueError(
                    f"point_share={self.point_share} with point_grids: give one of them, as both "
                    "say where to ask"
                )
            object.__setattr__(self, "point_grids", _checked(self.point_grids, self.crop_layers))

    def equal(self, other: "EverythingSettings") -> bool:
        """All fields are the same."""
        return as_json(self) == as_json(other)


_INFINITE = math.inf
_RANGES = (
    ("points_per_side", 1, 4096),
    ("min_predicted_iou", -_INFINITE, _INFINITE),
    ("min_stability", 0, 1),
    ("stability_offset", 0, 1e6),
    ("mask_threshold", -1e6, 1e6),
    ("box_nms_iou", 0, 1),
    ("crop_layers", 0, 8),
    ("crop_nms_iou", 0, 1),
    ("crop_overlap", 0, 1),
    ("crop_points_downscale", 0, 4096),
    ("crop_edge_distance", 0, _INFINITE),
    ("min_region_area", 0, _INFINITE),
    ("mask_nms_iou", 0, 1),
    ("max_containment", 0, 1),
    ("point_share", 0, 1),
)


def _checked(grids: tuple[FloatArray, ...], layers: int) -> tuple[FloatArray, ...]:
    if len(grids) <= layers:
        raise ValueError(
            f"{len(grids)} point_grids for crop_layers={layers}: expected {layers + 1}, one for "
            "the whole image and one a layer"
        )
    made = tuple(read_only(grid, np.float64) for grid in grids)
    for index, grid in enumerate(made):
        check_shape(grid, ("P", 2), f"point_grids[{index}]")
        if not ((grid >= 0) & (grid <= 1)).all():
            raise ValueError(
                f"point_grids[{index}] has values outside 0 to 1: expected shares of width and "
                "height, not pixels"
            )
    return made


def as_json(settings: EverythingSettings) -> dict[str, Any]:
    """The settings as JSON can hold them, to tell whether they changed."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    grids = settings.point_grids
    return values | {"point_grids": None if grids is None else [grid.tolist() for grid in grids]}


DEFAULT = EverythingSettings()

# How they compare stands in docs/reference/everything.md.
PRESETS = {
    "fast": replace(DEFAULT, point_share=0.29),
    "default": DEFAULT,
    "thorough": replace(
        DEFAULT, crop_layers=1, crop_points_downscale=2.0, min_region_area=100, mask_nms_iou=0.9
    ),
}
