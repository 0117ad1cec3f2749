"""``segment_anything.utils.amg``: not filled yet; importing a published name from it says so."""

from samphire.compat.errors import ModuleNotYetError

PUBLISHED = frozenset(
    {"MaskData", "area_from_rle", "batch_iterator", "batched_mask_to_box", "box_xyxy_to_xywh"}
    | {"build_all_layer_point_grids", "build_point_grid", "calculate_stability_score"}
    | {"coco_encode_rle", "generate_crop_boxes", "is_box_near_crop_edge", "mask_to_rle_pytorch"}
    | {"remove_small_regions", "rle_to_mask", "uncrop_boxes_xyxy", "uncrop_masks"}
    | {"uncrop_points"}
)


def __getattr__(name: str) -> object:
    if name not in PUBLISHED:
        raise AttributeError(f"module 'segment_anything.utils.amg' has no attribute {name!r}")
    raise ModuleNotYetError(
        f"segment_anything.utils.amg.{name} is not here yet: the module comes, with "
        "SamAutomaticMaskGenerator, when Samphire segments everything. For run lengths and scores "
        "see samphire.masks.rle and samphire.masks.scores"
    )
