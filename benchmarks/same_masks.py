"""Are two results of everything mode the same masks?

The same records (point, and which of its three masks), the same boxes; pixels may differ only where
the plain logit is within rounding of the threshold, and they are counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from engines import engine

import samphire
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.predict.upscale import upscale

ROUNDING = 1e-4  # of a logit

Key = tuple[float, float, int]
Columns = Mapping[str, npt.NDArray[Any]]
# Of a record and pixels (N, 2), rows and columns, their plain logits (N,).
Logits = Callable[[Key, npt.NDArray[np.int64]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Difference:
    """How two results differ.

    Attributes:
        masks: in the first.
        missing: records of the first that the other does not have.
        added: records that only the other has.
        boxes: that differ, of the common records.
        pixels: that differ, of the common records.
        doubtful: of them, those whose plain logit is not within ``ROUNDING`` of the threshold.
        largest_logit: of a pixel that differs, in absolute value.
        predicted_iou: the largest difference.
    """

    masks: int
    missing: int
    added: int
    boxes: int
    pixels: int
    doubtful: int
    largest_logit: float
    predicted_iou: float

    @property
    def same(self) -> bool:
        """Whether they are the same masks."""
        return not (self.missing or self.added or self.boxes or self.doubtful)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {"same": self.same}


def photos(data: Path) -> list[Path]:
    """All photos of the sample data."""
    return sorted((data / "photos").glob("*.jpg"))


def compare(left: Path, right: Path, photo: Path, model: str) -> Difference:
    """Two files of columns; the plain model says what the logits of differing pixels are."""
    with np.load(left) as ours, np.load(right) as theirs:
        columns = dict(ours), dict(theirs)
    plain = engine(model, "plain")
    embedding = samphire.embed(plain, photo)
    return difference(*columns, lambda key, pixels: logits_at(plain, embedding, key, pixels))


def difference(left: Columns, right: Columns, logits: Logits) -> Difference:
    """How two results differ.

    Args:
        left: columns, see ``everything_work.columns``.
        right: the same.
        logits: of the plain model.
    """
    ours, theirs = keyed(left), keyed(right)
    common = [key for key in ours if key in theirs]
    boxes = pixels = doubtful = 0
    largest = iou = 0.0
    for key in common:
        one, other = ours[key], theirs[key]
        boxes += not np.array_equal(left["boxes"][one], right["boxes"][other])
        iou = max(iou, float(abs(left["predicted_iou"][one] - right["predicted_iou"][other])))
        where = differing(left, one, right, other)
        if len(where):
            found = np.abs(logits(key, where))
            pixels += len(where)
            doubtful += int(np.count_nonzero(found >= ROUNDING))
            largest = max(largest, float(found.max()))
    return Difference(
        masks=len(ours),
        missing=len(ours) - len(common),
        added=len(theirs) - len(common),
        boxes=boxes,
        pixels=pixels,
        doubtful=doubtful,
        largest_logit=largest,
        predicted_iou=iou,
    )


def keyed(columns: Columns) -> dict[Key, int]:
    """Where each record is; points are rounded, for they were computed in other ways."""
    points, candidates = columns["point"].round(3), columns["candidate"]
    return {
        (float(x), float(y), int(candidate)): index
        for index, ((x, y), candidate) in enumerate(zip(points, candidates, strict=True))
    }


def differing(
    left: Columns,
    one: int,
    right: Columns,
    other: int,
) -> npt.NDArray[np.int64]:
    """Pixels on in one of two masks alone, (N, 2), rows and columns of the picture."""
    boxes = np.stack([left["boxes"][one], right["boxes"][other]])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    masks = np.zeros((2, y1 - y0, x1 - x0), np.bool_)
    for mask, box, runs in zip(
        masks, boxes, (runs_of(left, one), runs_of(right, other)), strict=True
    ):
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        window = inside.reshape(box[2] - box[0], box[3] - box[1]).T
        mask[box[1] - y0 : box[3] - y0, box[0] - x0 : box[2] - x0] = window
    return np.argwhere(masks[0] ^ masks[1]) + np.array([y0, x0])


def runs_of(columns: Columns, index: int) -> npt.NDArray[Any]:
    """Run lengths of one mask inside its box."""
    ends = columns["ends"]
    return columns["runs"][ends[index - 1] if index else 0 : ends[index]]


def logits_at(
    plain: Engine, embedding: ImageEmbedding, key: Key, pixels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """The plain logits of pixels, (N,)."""
    x, y, candidate = key
    decoded = samphire.decode(plain, embedding, points=[(x, y)], multimask=True)
    whole = upscale(decoded[0, candidate - 1], embedding.frame)
    return whole[pixels[:, 0], pixels[:, 1]]


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was compared, as Markdown."""
    lines = [
        "| plain against | photo | masks | missing or added | boxes that differ "
        f"| pixels that differ | of them not within {ROUNDING:g} | largest logit there "
        "| predicted IoU | same |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row["against"],
            row["photo"],
            row["masks"],
            f"{row['missing']} + {row['added']}",
            row["boxes"],
            row["pixels"],
            row["doubtful"],
            f"{row['largest_logit']:.1e}",
            f"{row['predicted_iou']:.1e}",
            "yes" if row["same"] else "NO",
        )
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)
