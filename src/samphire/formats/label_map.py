"""A label map: one picture that says of each pixel which mask it belongs to, and a table.

0 is background; mask number k, counted from 1, has the value k. 8 bits up to 255 masks, 16 bits up
to 65535. Where masks overlap the smaller one has the pixel. The table beside it,
``photo.labels.csv``, says of each value what is known of the mask, also of one that others cover.
PNG, or TIFF.
"""

import csv
import io
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samphire.arrays import IntArray
from samphire.errors import FileFormatError
from samphire.formats import grey, records
from samphire.formats.format import Picture
from samphire.formats.prompt_records import counted
from samphire.masks import Masks
from samphire.masks.partition import partition

MOST = 65535
COLUMNS = (
    *("id", "name", "label", "area", "visible_area", "predicted_iou", "stability_score"),
    *("x0", "y0", "x1", "y1", "point_x", "point_y"),
)


def paths(path: Path, _: int) -> list[Path]:
    """The picture, and the table.

    >>> [made.name for made in paths(Path("dog.labels.png"), 7)]
    ['dog.labels.png', 'dog.labels.csv']
    """
    return [path, path.with_suffix(".csv")]


def encode(masks: Masks, picture: Picture, *, tiff: bool = False) -> Iterator[bytes]:
    """The bytes of the picture and of the table.

    Raises:
        FileFormatError: there are more masks than 16 bits can tell apart.
    """
    del picture
    if len(masks) > MOST:
        raise FileFormatError(f"{len(masks)} masks: a label map tells at most {MOST} apart")
    label_map = partition(masks)
    small = label_map.astype(np.uint8 if len(masks) <= 255 else np.uint16)
    yield grey.tiff(small) if tiff else grey.png(small)
    yield _table(masks, label_map)


encode_tiff = partial(encode, tiff=True)


def losses(masks: Masks) -> tuple[str, ...]:
    """Masks that lie under smaller ones, in part or wholly."""
    visible = np.bincount(partition(masks).ravel(), minlength=len(masks) + 1)[1:]
    covered = int(np.count_nonzero(visible < masks.area))
    hidden = int(np.count_nonzero((visible == 0) & (masks.area > 0)))
    lines = []
    if covered:
        lines.append(
            f"{counted(covered, 'mask', 'masks')} of {len(masks)} under smaller ones: a label map "
            "gives each pixel to the smallest"
        )
    if hidden:
        masks_hidden = counted(hidden, "mask", "masks")
        lines.append(f"{masks_hidden} wholly covered by smaller ones: in the table alone")
    return tuple(lines)


def read(path: Path, image: str | None = None) -> Masks:
    """The masks of a label map in order of value; the table, if any, has names and scores.

    A value that is only in the table is an empty mask, one that is only in the picture a mask
    without a name.

    Args:
        path: of the picture, PNG or TIFF; any label map of whole numbers up to 16 bits.
        image: not used: the file is about one picture.

    Raises:
        FileFormatError: the picture or the table is not one.
    """
    del image
    label_map = _pixels(path)
    table = path.with_suffix(".csv")
    rows = _rows(table) if table.is_file() else {}
    values = sorted(rows.keys() | set(np.unique(label_map).tolist()) - {0})
    masks = from_values(label_map, values)
    with records.reading(table, "the table beside a label map"):
        return records.with_columns(masks, [rows.get(value, {}) for value in values])


def from_values(label_map: IntArray, values: list[int]) -> Masks:
    """One mask a value, from the runs of equal values down the columns.

    Args:
        label_map: (H, W), whole numbers.
        values: those that become masks, in this order; one that no pixel has is an empty mask.

    >>> from_values(np.array([[0, 7, 7]]), [7]).to_array().tolist()
    [[[False, True, True]]]
    """
    flat = label_map.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    owner = flat[starts]
    order = np.argsort(owner, kind="stable")
    owners, first = np.unique(owner[order], return_index=True)
    pieces = dict(zip(owners.tolist(), np.split(order, first[1:]), strict=True))

    def runs(value: int) -> IntArray:
        own = pieces.get(value, np.zeros(0, np.int64))
        edges = np.stack([starts[own], ends[own]], axis=1).ravel()
        made: IntArray = np.diff(np.concatenate([[0], edges, [flat.size]])).astype(np.uint32)
        return made

    height, width = label_map.shape
    size = records.image_size({"height": height, "width": width})
    return Masks.from_image_runs(size, (runs(value) for value in values))


def _pixels(path: Path) -> Any:  # noqa: ANN401 - (H, W) uint8 or uint16
    data = path.read_bytes()
    if data.startswith(grey.SIGNATURE):
        return grey.decode_png(data, str(path))
    return grey.decode_tiff(data, str(path))


def _table(masks: Masks, label_map: IntArray) -> bytes:
    visible = np.bincount(label_map.ravel(), minlength=len(masks) + 1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # so that a lone \r in a name is quoted, too
    writer.writerow(COLUMNS)
    for index in range(len(masks)):
        known = records.columns(masks, index)
        point = [records.number(value) for value in masks.point[index]]
        row = [
            *(index + 1, known["name"], known["label"], int(masks.area[index])),
            *(int(visible[index + 1]), known["predicted_iou"], known["stability_score"]),
            *(int(edge) for edge in masks.boxes[index]),
            *point,
        ]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue().encode("utf-8", "replace")  # a name may hold half a surrogate


def _rows(table: Path) -> dict[int, dict[str, Any]]:
    """What the table says of each value."""
    rows: dict[int, dict[str, Any]] = {}
    with records.reading(table, "the table beside a label map"):
        text = io.StringIO(table.read_bytes().decode("utf-8-sig"), newline="")
        try:
            for row in csv.DictReader(text):
                value = int(row["id"])
                if not 0 < value <= MOST or value in rows:
                    raise FileFormatError(
                        f"the id {value}: expected each id once, from 1 to {MOST}"
                    )
                rows[value] = _known(row)
        except csv.Error as error:
            raise FileFormatError(f"a row that is no CSV: {error}") from error
    return rows


def _known(row: dict[str, str]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "label": int(row["label"]),
        "predicted_iou": _number(row["predicted_iou"]),
        "stability_score": _number(row["stability_score"]),
        "point_coords": [[_number(row["point_x"]), _number(row["point_y"])]],
    }


def _number(text: str) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
