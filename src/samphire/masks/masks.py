"""N masks on one image, as one value of aligned columns.

Never N full-size arrays: a mask is its tight box and the run lengths inside it (``rle.py``), a few
kB whatever the size of the picture. Writing and drawing on a photo are functions above
(``formats/``, ``images/draw.py``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray, FloatArray, IntArray, read_only, same_array
from samphire.errors import FileFormatError, check_shape
from samphire.geometry import Size
from samphire.masks import colours, picture, rle

_COLUMNS: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {
    "boxes": (np.int32, (4,)),
    "predicted_iou": (np.float32, ()),
    "stability": (np.float32, ()),
    "prompt_index": (np.int32, ()),
    "candidate": (np.int32, ()),
    "point": (np.float64, (2,)),
    "crop_box": (np.int32, (4,)),
    "parent": (np.int32, ()),
    "label": (np.int32, ()),
    "edited": (np.bool_, ()),
}


@dataclass(frozen=True, eq=False)
class Masks:
    """N masks on one image.

    Make them with :meth:`from_arrays` or :meth:`from_runs`, and set columns with
    ``dataclasses.replace``.

    Attributes:
        size: of the image.
        boxes: (N, 4) int32, the tight box x0, y0, x1, y1 in pixels, half-open; zeros if empty.
        runs: N arrays uint32, run lengths inside the box, column by column, background first.
        predicted_iou: (N,) float32, the model's own guess; NaN where there is none.
        stability: (N,) float32, see ``scores.py``; NaN where there is none.
        prompt_index: (N,) int32, the object of the prompts it answers; -1 if none.
        candidate: (N,) int32, the model's mask token, 0 to 3; -1 if none.
        point: (N, 2) float64, x and y of the first point of its prompt; NaN if none.
        crop_box: (N, 4) int32, the part of the image that the model saw; half-open.
        parent: (N,) int32, index of the mask it is a part of; -1 if none.
        label: (N,) int32, class; 0 if none.
        edited: (N,) bool, changed since the model made it: the scores are those of before.
        name: N strings, of the class or of the object; empty if none.
    """

    size: Size
    boxes: IntArray
    runs: tuple[IntArray, ...]
    predicted_iou: FloatArray
    stability: FloatArray
    prompt_index: IntArray
    candidate: IntArray
    point: FloatArray
    crop_box: IntArray
    parent: IntArray
    label: IntArray
    edited: BoolArray
    name: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.runs)
        for column, (dtype, shape) in _COLUMNS.items():
            values = read_only(getattr(self, column), dtype)
            check_shape(values, (count, *shape), column)
            object.__setattr__(self, column, values)
        if len(self.name) != count:
            raise ValueError(f"{len(self.name)} names for {count} masks")
        if count and not (self.parent.min() >= -1 and self.parent.max() < count):
            raise FileFormatError(
                f"parents from {self.parent.min()} to {self.parent.max()}: expected the index of "
                f"one of {count} masks, or -1"
            )
        object.__setattr__(self, "runs", tuple(read_only(runs, np.uint32) for runs in self.runs))
        for box, runs in zip(self.boxes, self.runs, strict=True):
            _check_window(box, runs, self.size)

    @classmethod
    def from_runs(cls, size: Size, boxes: npt.ArrayLike, runs: tuple[IntArray, ...]) -> "Masks":
        """Masks of their boxes and run lengths; the other columns say "none"."""
        count = len(runs)
        return cls(
            size=size,
            boxes=np.asarray(boxes, np.int32).reshape(count, 4),
            runs=runs,
            predicted_iou=np.full(count, np.nan),
            stability=np.full(count, np.nan),
            prompt_index=np.full(count, -1),
            candidate=np.full(count, -1),
            point=np.full((count, 2), np.nan),
            crop_box=np.tile([0, 0, size.width, size.height], (count, 1)),
            parent=np.full(count, -1),
            label=np.zeros(count, np.int32),
            edited=np.zeros(count, np.bool_),
            name=("",) * count,
        )

    @classmethod
    def from_arrays(cls, masks: npt.ArrayLike) -> "Masks":
        """Masks of dense ones, (N, H, W), anything that is not 0 being on."""
        dense = np.asarray(masks) != 0
        check_shape(dense, ("N", "H", "W"), "masks")
        size = Size(*dense.shape[1:])
        return cls.from_image_runs(size, (rle.encode(mask) for mask in dense))

    @classmethod
    def from_image_runs(cls, size: Size, runs: Iterable[IntArray]) -> "Masks":
        """Masks of run lengths over the whole image, as COCO has them."""
        windows = [rle.narrow(whole, size.height) for whole in runs]
        return cls.from_runs(size, [box for box, _ in windows], tuple(runs for _, runs in windows))

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        return f"Masks({len(self)} on {self.size})"

    def _repr_png_(self) -> bytes:
        """What a notebook shows: each mask in a colour, the largest first, without the photo."""
        canvas, factor = picture.blank(self.size), picture.shrink_factor(self.size)
        given = colours.mask_colours(self.boxes, self.size)
        for index in np.argsort(-self.area, kind="stable"):
            corner = (int(self.boxes[index, 0]), int(self.boxes[index, 1]))
            picture.paint(canvas, self.window(index), corner, given[index], factor)
        return picture.rgb_to_png(canvas)

    def __getitem__(self, index: int | slice | IntArray | BoolArray) -> "Masks":
        """The chosen masks, always as Masks: ``masks[0]`` is one mask.

        ``parent`` follows; a mask whose parent is not among the chosen has none.
        """
        chosen = np.atleast_1d(np.arange(len(self))[index])
        columns: dict[str, Any] = {column: getattr(self, column)[chosen] for column in _COLUMNS}
        place = np.full(len(self) + 1, -1)  # the last one answers for "no parent"
        place[chosen] = np.arange(len(chosen))
        columns["parent"] = place[columns["parent"]]
        return replace(
            self,
            runs=tuple(self.runs[i] for i in chosen),
            name=tuple(self.name[i] for i in chosen),
            **columns,
        )

    def __iter__(self) -> Iterator["Masks"]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def area(self) -> IntArray:
        """(N,) int64, pixels that are on."""
        return read_only([rle.area(runs) for runs in self.runs], np.int64)

    def to_array(self) -> BoolArray:
        """Dense masks (N, H, W) bool: N x H x W bytes, so take a few at a time."""
        dense = np.zeros((len(self), self.size.height, self.size.width), np.bool_)
        for index, (x0, y0, x1, y1) in enumerate(self.boxes):
            dense[index, y0:y1, x0:x1] = self.window(index)
        return dense

    def window(self, index: int) -> BoolArray:
        """One mask inside its box, (y1 - y0, x1 - x0) bool."""
        x0, y0, x1, y1 = (int(edge) for edge in self.boxes[index])
        return rle.decode(self.runs[index], y1 - y0, x1 - x0)

    def image_runs(self, index: int) -> IntArray:
        """Run lengths of one mask over the whole image: COCO's uncompressed counts, uint32."""
        x0, y0, x1, y1 = (int(edge) for edge in self.boxes[index])
        return rle.widen(self.runs[index], (x0, y0, x1, y1), self.size.height, self.size.width)

    def equal(self, other: "Masks") -> bool:
        """Same size and the same columns."""
        runs_equal = len(self) == len(other) and all(map(same_array, self.runs, other.runs))
        return (
            runs_equal
            and self.size == other.size
            and self.name == other.name
            and all(
                same_array(getattr(self, field.name), getattr(other, field.name))
                for field in fields(self)
                if field.name in _COLUMNS
            )
        )


def _check_window(box: IntArray, runs: IntArray, size: Size) -> None:
    x0, y0, x1, y1 = (int(edge) for edge in box)
    inside = 0 <= x0 <= x1 <= size.width and 0 <= y0 <= y1 <= size.height
    if not inside or int(runs.sum(dtype=np.int64)) != (x1 - x0) * (y1 - y0):
        raise FileFormatError(
            f"a mask has the box {x0}, {y0}, {x1}, {y1} and run lengths that add up to "
            f"{int(runs.sum(dtype=np.int64))}: expected a box inside {size} and as many pixels"
        )
