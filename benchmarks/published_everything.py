"""The published automatic mask generator, as it was written, on our plain model.

A transcription to measure against, nothing else: 64 points a call, logits of all masks at the size
of the picture, run lengths by a loop over masks, masks made dense in the end. Crops and the removal
of small regions, which are off by default, are left out. What samphire does instead is in
``predict/everything.py``.
Source: segment-anything ``automatic_mask_generator.py``, ``utils/amg.py``, ``predictor.py``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

from samphire.model.sam import Sam

POINTS_PER_BATCH = 64
INPUT_SIDE, PREDICTED_IOU, STABILITY, OFFSET, BOX_NMS = 1024, 0.88, 0.95, 1.0, 0.7
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """An embedded picture.

    Attributes:
        features: (1, 256, G, G).
        original: height and width, pixels.
        resized: height and width in the model's input.
        side: of the input, pixels.
    """

    features: torch.Tensor
    original: tuple[int, int]
    resized: tuple[int, int]
    side: int


@dataclass(frozen=True, eq=False)
class Batch:
    """What the points of one call found: K masks.

    Attributes:
        iou: (K,) predicted.
        stability: (K,).
        boxes: (K, 4) XYXY, last pixels inside.
        points: (K, 2) in pixels of the picture.
        candidate: (K,) which of a point's three masks.
        runs: K lists of run lengths, column by column, background first.
    """

    iou: torch.Tensor
    stability: torch.Tensor
    boxes: torch.Tensor
    points: torch.Tensor
    candidate: torch.Tensor
    runs: list[list[int]]


def points_of(per_side: int, original: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The grid (P, 2) in pixels of the picture."""
    offset = 1 / (2 * per_side)
    one_side = np.linspace(offset, 1 - offset, per_side)
    x, y = np.tile(one_side[None], (per_side, 1)), np.tile(one_side[:, None], (1, per_side))
    height, width = original
    return np.stack([x, y], axis=-1).reshape(-1, 2) * np.array([[width, height]])


def embed(sam: Sam, rgb: npt.NDArray[np.uint8], side: int = INPUT_SIDE) -> Picture:
    """Resize the longest side, normalise, pad, encode."""
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    resized = (int(height * scale + 0.5), int(width * scale + 0.5))
    image = Image.fromarray(rgb).resize(resized[::-1], Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].contiguous()
    x = (x - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)
    x = functional.pad(x, (0, side - resized[1], 0, side - resized[0]))
    with torch.no_grad():
        return Picture(sam.encode(x), (height, width), resized, side)


def batch(sam: Sam, picture: Picture, points: npt.NDArray[np.float64]) -> Batch:
    """Ask for three masks at each point, and keep those that pass the filters."""
    height, width = picture.original
    with torch.no_grad():
        scale = np.array([picture.resized[1] / width, picture.resized[0] / height])
        coordinates = torch.as_tensor(points * scale)[:, None].float()
        labels = torch.ones(len(points), 1, dtype=torch.int)
        low_res, iou = sam.decode(picture.features, (coordinates, labels), None, None, True)  # noqa: FBT003
        masks = _upscaled(low_res, picture)
    masks, iou = masks.flatten(0, 1), iou.flatten(0, 1)
    asked = torch.as_tensor(points.repeat(3, axis=0))
    candidate = torch.arange(3).repeat(len(points))

    keep = iou > PREDICTED_IOU
    masks, iou, asked, candidate = masks[keep], iou[keep], asked[keep], candidate[keep]

    stability = _stability(masks)
    keep = stability >= STABILITY
    masks, iou, asked, candidate = masks[keep], iou[keep], asked[keep], candidate[keep]
    stability = stability[keep]

    on = masks > 0.0
    boxes = _boxes(on)
    # one crop, the whole picture: no box is near an edge that is not the picture's
    return Batch(iou, stability, boxes, asked, candidate, _runs(on))


def settle(batches: list[Batch], original: tuple[int, int]) -> list[Record]:
    """Settle rivals by their boxes; the records, masks dense, the best first."""
    iou = torch.cat([each.iou for each in batches])
    boxes = torch.cat([each.boxes for each in batches])
    stability = torch.cat([each.stability for each in batches])
    points = torch.cat([each.points for each in batches])
    candidate = torch.cat([each.candidate for each in batches])
    runs = [run for each in batches for run in each.runs]
    height, width = original
    records = []
    for index in _nms(boxes.float(), iou):
        x0, y0, x1, y1 = boxes[index].tolist()
        mask = _dense(runs[index], height, width)
        records.append(
            {
                "segmentation": mask,
                "area": int(sum(runs[index][1::2])),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "predicted_iou": iou[index].item(),
                "point_coords": [points[index].tolist()],
                "stability_score": stability[index].item(),
                "crop_box": [0, 0, width, height],
                "candidate": int(candidate[index]) + 1,
                "runs": runs[index],
            }
        )
    return records


def generate(sam: Sam, rgb: npt.NDArray[np.uint8], per_side: int = 32) -> list[Record]:
    """Everything, from the picture to the records."""
    picture = embed(sam, rgb)
    points = points_of(per_side, picture.original)
    starts = range(0, len(points), POINTS_PER_BATCH)
    found = [batch(sam, picture, points[start : start + POINTS_PER_BATCH]) for start in starts]
    return settle(found, picture.original)


def _upscaled(masks: torch.Tensor, picture: Picture) -> torch.Tensor:
    side = (picture.side, picture.side)
    masks = functional.interpolate(masks, side, mode="bilinear", align_corners=False)
    masks = masks[..., : picture.resized[0], : picture.resized[1]]
    return functional.interpolate(masks, picture.original, mode="bilinear", align_corners=False)


def _stability(masks: torch.Tensor) -> torch.Tensor:
    inner = (masks > OFFSET).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    outer = (masks > -OFFSET).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    return inner / outer


def _boxes(masks: torch.Tensor) -> torch.Tensor:
    """XYXY of (K, H, W) bool, last pixels inside; zeros where a mask is empty."""
    if not len(masks):
        return torch.zeros(0, 4, dtype=torch.int64)
    height, width = masks.shape[-2:]
    in_height, in_width = masks.any(dim=-1), masks.any(dim=-2)
    rows, columns = torch.arange(height)[None], torch.arange(width)[None]
    bottom, right = (in_height * rows).amax(-1), (in_width * columns).amax(-1)
    top = (in_height * rows + height * ~in_height).amin(-1)
    left = (in_width * columns + width * ~in_width).amin(-1)
    empty = (right < left) | (bottom < top)
    return torch.stack([left, top, right, bottom], dim=-1) * ~empty[:, None]


def _runs(masks: torch.Tensor) -> list[list[int]]:
    """Run lengths of (K, H, W) bool."""
    count, height, width = masks.shape
    flat = masks.permute(0, 2, 1).flatten(1)
    changes = (flat[:, 1:] ^ flat[:, :-1]).nonzero()
    found = []
    for index in range(count):
        places = changes[changes[:, 0] == index, 1] + 1
        ends = torch.cat([torch.tensor([0]), places, torch.tensor([height * width])])
        lengths = (ends[1:] - ends[:-1]).tolist()
        found.append([0, *lengths] if flat[index, 0] else lengths)
    return found


def _dense(runs: list[int], height: int, width: int) -> npt.NDArray[np.bool_]:
    flat = np.empty(height * width, np.bool_)
    at, value = 0, False
    for run in runs:
        flat[at : at + run] = value
        at, value = at + run, not value
    return flat.reshape(width, height).T


def _nms(boxes: torch.Tensor, scores: torch.Tensor) -> list[int]:
    """Indices that stay, the best first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    rivals = scores.argsort(descending=True, stable=True)
    kept = []
    while len(rivals):
        best, rivals = int(rivals[0]), rivals[1:]
        kept.append(best)
        corner = torch.maximum(boxes[best, :2], boxes[rivals, :2])
        other = torch.minimum(boxes[best, 2:], boxes[rivals, 2:])
        shared = (other - corner).clamp(min=0).prod(dim=1)
        rivals = rivals[shared <= BOX_NMS * (areas[best] + areas[rivals] - shared)]
    return kept
