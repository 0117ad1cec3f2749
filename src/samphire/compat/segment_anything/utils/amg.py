"""``segment_anything.utils.amg``: the published helpers, as names over Samphire's own.

They take and give what the published ones do: tensors, XYXY boxes that end on the last pixel, and
run lengths as dictionaries. Where the published code crashes or answers wrongly without a word, the
table in ``docs/reference/compat.md`` says what happens here.
Source of the interface: segment-anything ``utils/amg.py``.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samphire.arrays import BoolArray, FloatArray
from samphire.compat.errors import ContractError
from samphire.errors import ShapeError
from samphire.formats.records import image_runs
from samphire.geometry import Size
from samphire.masks import rle as run_lengths
from samphire.masks.regions import without_small_regions
from samphire.masks.scores import stability_score
from samphire.predict.crops import Crop, crops, near_crop_edge
from samphire.predict.grid import layer_grids, point_grid

Rle = dict[str, Any]
Column = torch.Tensor | npt.NDArray[Any] | list[Any]


class MaskData:
    """Columns about masks, filtered and joined together: tensors, arrays and lists."""

    def __init__(self, **kwargs: Column) -> None:
        self._stats: dict[str, Column] = {}
        for key, value in kwargs.items():
            self[key] = value

    def __setitem__(self, key: str, item: Column) -> None:
        if not isinstance(item, torch.Tensor | np.ndarray | list):
            raise ContractError(
                f"{key} is a {type(item).__name__}: expected a list, an array or a tensor"
            )
        self._stats[key] = item

    def __delitem__(self, key: str) -> None:
        del self._stats[key]

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - whatever was put in
        return self._stats[key]

    def items(self) -> Any:  # noqa: ANN401 - a view of a dictionary
        """Names and columns."""
        return self._stats.items()

    def filter(self, keep: torch.Tensor | npt.NDArray[Any]) -> None:
        """Keep rows, by a mask of booleans or by indices, a tensor or an array."""
        wanted = torch.as_tensor(keep)
        chosen = torch.nonzero(wanted)[:, 0] if wanted.dtype == torch.bool else wanted
        for key, column in self._stats.items():
            if isinstance(column, torch.Tensor):
                self._stats[key] = column[chosen.to(column.device)]
            elif isinstance(column, np.ndarray):
                self._stats[key] = column[chosen.cpu().numpy()]
            else:
                self._stats[key] = [column[index] for index in chosen.tolist()]

    def cat(self, new_stats: "MaskData") -> None:
        """Append the rows of another; a column that is not here yet begins with them."""
        for key, column in new_stats.items():
            mine = self._stats.get(key)
            if mine is None:
                self._stats[key] = deepcopy(column)
            elif isinstance(column, torch.Tensor):
                self._stats[key] = torch.cat([torch.as_tensor(mine), column])
            elif isinstance(column, np.ndarray):
                self._stats[key] = np.concatenate([mine, column])
            else:
                self._stats[key] = [*mine, *deepcopy(column)]

    def to_numpy(self) -> None:
        """Turn tensors into arrays."""
        for key, column in self._stats.items():
            if isinstance(column, torch.Tensor):
                half = column.dtype in {torch.bfloat16, torch.float16}  # NumPy has no bfloat16
                self._stats[key] = (column.float() if half else column).detach().cpu().numpy()


def is_box_near_crop_edge(
    boxes: torch.Tensor, crop_box: list[int], orig_box: list[int], atol: float = 20.0
) -> torch.Tensor:
    """Which boxes (N, 4), in pixels of the crop, end near an edge of it that is not the image's."""
    x0, y0, x1, y1 = (int(edge) for edge in crop_box)
    open_ended = np.array([0, 0, 1, 1])
    shifted = uncrop_boxes_xyxy(boxes, crop_box).double().cpu().numpy() + open_ended
    size = Size(int(orig_box[3]), int(orig_box[2]))
    return torch.from_numpy(near_crop_edge(shifted, Crop((x0, y0, x1, y1), 1), size, atol))


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:  # noqa: ANN401 - the type that was given
    """Corners to corner and size, a copy of the same type; one box, or a batch (N, 4)."""
    box = deepcopy(box_xyxy)
    if isinstance(box, list):
        x0, y0, x1, y1 = box
        return [x0, y0, x1 - x0, y1 - y0]
    box[..., 2:] = box[..., 2:] - box[..., :2]
    return box


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:  # noqa: ANN401
    """Slices of sequences of one length.

    Raises:
        ContractError: there is no sequence, their lengths differ, or the batch is empty.
    """
    if not args or any(len(part) != len(args[0]) for part in args):
        raise ContractError("batch_iterator: expected sequences of one length")
    if batch_size < 1:
        raise ContractError(f"batch_size={batch_size}: expected at least 1")
    for start in range(0, len(args[0]), batch_size):
        yield [part[start : start + batch_size] for part in args]


def mask_to_rle_pytorch(tensor: torch.Tensor) -> list[Rle]:
    """Run lengths of masks (B, H, W); anything that is not 0 is on."""
    if tensor.ndim != 3:
        raise ShapeError(f"the masks have shape {tuple(tensor.shape)}: expected (B, H, W)")
    height, width = tensor.shape[1:]
    dense = (tensor != 0).cpu().numpy()
    counts = [run_lengths.encode(mask).tolist() if mask.size else [0] for mask in dense]
    return [{"size": [height, width], "counts": runs} for runs in counts]


def rle_to_mask(rle: Rle) -> BoolArray:
    """The mask (H, W) of run lengths, as a list or as COCO's string.

    Raises:
        FileFormatError: they do not add up to its size.
    """
    height, width = (int(length) for length in rle["size"])
    return run_lengths.decode(image_runs(rle, Size(height, width)), height, width)


def area_from_rle(rle: Rle) -> int:
    """Pixels that are on."""
    return sum(rle["counts"][1::2])


def calculate_stability_score(
    masks: torch.Tensor, mask_threshold: float, threshold_offset: float
) -> torch.Tensor:
    """Stability of logits (..., H, W); see ``masks/scores.py``."""
    scores = stability_score(masks.float().cpu().numpy(), mask_threshold, threshold_offset)
    return torch.from_numpy(np.atleast_1d(scores)).reshape(masks.shape[:-2]).to(masks.device)


def build_point_grid(n_per_side: int) -> FloatArray:
    """Even points (n², 2) as shares of width and height."""
    return point_grid(n_per_side)


def build_all_layer_point_grids(
    n_per_side: int, n_layers: int, scale_per_layer: int
) -> list[FloatArray]:
    """The grid of the image and of each layer of crops, at least one point each."""
    return list(layer_grids(n_per_side, n_layers, scale_per_layer))


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """Crops XYXY and the layer of each; none is empty or there twice."""
    found = crops(Size(int(im_size[0]), int(im_size[1])), n_layers, overlap_ratio)
    return [list(crop.box) for crop in found], [crop.layer for crop in found]


def uncrop_boxes_xyxy(boxes: torch.Tensor, crop_box: list[int]) -> torch.Tensor:
    """Boxes (N, 4) from the frame of a crop to that of the image."""
    x0, y0 = crop_box[:2]
    return boxes + torch.tensor([x0, y0, x0, y0], device=boxes.device)


def uncrop_points(points: torch.Tensor, crop_box: list[int]) -> torch.Tensor:
    """Points (..., 2) from the frame of a crop to that of the image."""
    return points + torch.tensor(crop_box[:2], device=points.device)


def uncrop_masks(
    masks: torch.Tensor, crop_box: list[int], orig_h: int, orig_w: int
) -> torch.Tensor:
    """Masks (N, h, w) of a crop laid on an empty image of the original's size."""
    x0, y0, x1, y1 = crop_box
    if [x0, y0, x1, y1] == [0, 0, orig_w, orig_h]:
        return masks
    padding = (x0, orig_w - x1, y0, orig_h - y1)
    return torch.nn.functional.pad(masks, padding, value=0)


def remove_small_regions(
    mask: npt.NDArray[Any], area_thresh: float, mode: str
) -> tuple[BoolArray, bool]:
    """Fill the holes, or drop the islands, of a mask (H, W) that have fewer pixels.

    As published: both are parts that touch by an edge or a corner, and a gap at the border of the
    image is a hole, too. ``masks/regions.py`` does better.

    Returns:
        the mask, and whether it changed.
    """
    if mode not in {"holes", "islands"}:
        raise ContractError(f"mode is {mode!r}: expected 'holes' or 'islands'")
    return without_small_regions(
        np.asarray(mask) != 0, math.ceil(area_thresh), holes=mode == "holes"
    )


def coco_encode_rle(uncompressed_rle: Rle) -> Rle:
    """COCO's record: the counts as a string."""
    counts = run_lengths.to_coco(np.asarray(uncompressed_rle["counts"]))
    return {"size": list(uncompressed_rle["size"]), "counts": counts}


def batched_mask_to_box(masks: torch.Tensor) -> torch.Tensor:
    """Boxes XYXY of masks (..., H, W), ending on the last pixel; zeros if empty; int64."""
    shape = masks.shape
    if not masks.numel():
        return torch.zeros((*shape[:-2], 4), dtype=torch.int64, device=masks.device)
    flat = masks.reshape(-1, *shape[-2:]) != 0
    boxes = [
        run_lengths.narrow(run_lengths.encode(mask), shape[-2])[0] for mask in flat.cpu().numpy()
    ]
    closed = [(x0, y0, x1 - 1, y1 - 1) if x1 else (0, 0, 0, 0) for x0, y0, x1, y1 in boxes]
    return torch.tensor(closed, device=masks.device).reshape(*shape[:-2], 4)
