"""GeoJSON in pixels: polygons with holes, for GIS programs and geometry libraries.

Coordinates are pixel corners of the original picture, x to the right and y **down**; RFC 7946 means
degrees, and most programs take any plane. The outer ring of each polygon goes counter-clockwise in
the plane of the numbers, as the standard asks, which is clockwise on the screen; holes the other
way round. The picture's size stands in the member ``image``.
Source: RFC 7946.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from samphire.arrays import FloatArray
from samphire.errors import FileFormatError
from samphire.formats import records
from samphire.formats.format import Picture
from samphire.masks import Masks
from samphire.masks.contours import Polygon, from_polygons, polygons


def encode(masks: Masks, picture: Picture) -> list[bytes]:
    """The one file of a picture's masks: a feature a mask, in their order."""
    document = {
        "type": "FeatureCollection",
        "image": {
            "width": masks.size.width,
            "height": masks.size.height,
            "file_name": picture.name,
        },
        "features": [
            {
                "type": "Feature",
                "id": index,
                "geometry": _geometry(polygons(masks, index)),
                "properties": {"area": int(masks.area[index]), **records.columns(masks, index)},
            }
            for index in range(len(masks))
        ],
    }
    return [records.to_json(document)]


def read(path: Path, image: str | None = None) -> Masks:
    """The features that are polygons.

    Args:
        path: of the file.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: it is no such file, or it does not say the picture's size.
    """
    del image
    with records.reading(path, "GeoJSON with polygons in pixels"):
        document = json.loads(path.read_bytes())
        if "image" not in document:
            raise FileFormatError(
                'no member "image": {"width": ..., "height": ...}, and so no size of the picture'
            )
        size = records.image_size(document["image"])
        features = document["features"]
        masks = from_polygons(size, [_polygons(feature["geometry"]) for feature in features])
        return records.with_columns(masks, [feature["properties"] or {} for feature in features])


def _geometry(parts: tuple[Polygon, ...]) -> dict[str, Any] | None:
    """An empty mask has no geometry, one part is a Polygon, several are a MultiPolygon."""
    if not parts:
        return None
    coordinates = [[_closed(ring) for ring in part.rings] for part in parts]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _closed(ring: FloatArray) -> list[list[int]]:
    """Whole numbers, the first point again at the end."""
    points = [[int(x), int(y)] for x, y in ring]
    return [*points, points[0]]


def _polygons(geometry: dict[str, Any] | None) -> list[Polygon]:
    if geometry is None:
        return []
    coordinates = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        coordinates = [coordinates]
    elif geometry["type"] != "MultiPolygon":
        raise FileFormatError(f"a {geometry['type']}: expected Polygon or MultiPolygon")
    return [
        Polygon(_opened(rings[0]), tuple(_opened(hole) for hole in rings[1:]))
        for rings in coordinates
    ]


def _opened(ring: list[list[float]]) -> FloatArray:
    """Without the first point again at the end; rings that others left open are whole already."""
    points = np.asarray(ring, np.float64)
    return points[:-1] if (points[0] == points[-1]).all() else points
