"""``SamAutomaticMaskGenerator``: the published name and signature, not filled yet."""

import numpy as np

from samphire.compat.errors import NotYetError
from samphire.compat.segment_anything.modeling.sam import Sam


class SamAutomaticMaskGenerator:
    """Masks of everything in a picture, without prompts: comes with Samphire's everything mode.

    Raises:
        NotYetError: always, for now; it is a NotImplementedError.
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
        point_grids: list[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        raise NotYetError(
            "SamAutomaticMaskGenerator is not here yet: it comes, with segment_anything.utils.amg, "
            "when Samphire segments everything. Until then prompt a grid of points: "
            "SamPredictor.predict_torch takes many at once"
        )
