"""A table of measurements, a row a mask, as CSV for a spreadsheet. Write only.

Pixels and their shares; lengths in pixels. The centroid is of pixel centres, so that of the single
pixel (3, 5) is 3, 5. The perimeter runs along pixel edges: a square of side s has 4 s.
"""

import csv
import io
import math
from typing import Any

import numpy as np

from samphire.formats import records
from samphire.formats.format import Picture
from samphire.masks import Masks
from samphire.masks.contours import polygons

COLUMNS = (
    *("id", "name", "label", "area", "share", "x0", "y0", "x1", "y1", "width", "height"),
    *("centroid_x", "centroid_y", "perimeter", "equivalent_diameter", "touches_border"),
    *("predicted_iou", "stability_score", "point_x", "point_y", "parent"),
)


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The one table of a picture's masks."""
    del picture
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for index in range(len(masks)):
        row = _row(masks, index)
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    return [text.getvalue().encode("utf-8", "replace")]  # names may hold lone surrogates


def _row(masks: Masks, index: int) -> dict[str, Any]:
    size, area = masks.size, int(masks.area[index])
    x0, y0, x1, y1 = (int(edge) for edge in masks.boxes[index])
    point_x, point_y = (records.number(value) for value in masks.point[index])
    x, y = _centroid(masks, index)
    return {
        "id": index,
        "name": _harmless(masks.name[index]),
        "label": int(masks.label[index]),
        "area": area,
        "share": round(area / (size.height * size.width), 8),
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "width": x1 - x0,
        "height": y1 - y0,
        "centroid_x": x,
        "centroid_y": y,
        "perimeter": _perimeter(masks, index),
        "equivalent_diameter": round(2 * math.sqrt(area / math.pi), 3),
        "touches_border": int(
            area > 0 and (x0 == 0 or y0 == 0 or x1 == size.width or y1 == size.height)
        ),
        "predicted_iou": records.number(masks.predicted_iou[index]),
        "stability_score": records.number(masks.stability[index]),
        "point_x": point_x,
        "point_y": point_y,
        "parent": int(masks.parent[index]),
    }


def _centroid(masks: Masks, index: int) -> tuple[float | None, float | None]:
    if not masks.area[index]:
        return None, None
    window = masks.window(index)
    x = window.sum(axis=0) @ np.arange(window.shape[1]) / masks.area[index]
    y = window.sum(axis=1) @ np.arange(window.shape[0]) / masks.area[index]
    return round(float(x + masks.boxes[index, 0]), 3), round(float(y + masks.boxes[index, 1]), 3)


def _perimeter(masks: Masks, index: int) -> int:
    rings = [ring for part in polygons(masks, index) for ring in part.rings]
    return int(sum(np.abs(ring - np.roll(ring, 1, axis=0)).sum() for ring in rings))


def _harmless(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
