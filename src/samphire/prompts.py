"""Prompts: what a user says about the objects wanted, and the same for the model.

Two types, so that frames cannot be mixed: :class:`Prompts` is in pixels of the original picture,
:class:`InputPrompts` in pixels of the model's input square. The grammar, the same in Python, on
the command line and in files:

- a flat list of points is one object; a list of lists of points is one object each;
- ``labels`` nest as the points do: 1 the object, 0 background; left out, all are 1;
- ``boxes`` (B, 4), corners x0, y0, x1, y1, are B objects; one flat list of points with one box
  is one object; B lists of points go with B boxes;
- a mask, and previous logits, are one an object;
- objects with different numbers of points are decoded apart (:meth:`Prompts.groups`), never
  padded: the published model's padding point changes the answer.

Not for moving coordinates: ``geometry.py`` does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray, FloatArray, IntArray, read_only, same_array
from samphire.errors import PromptError, check_shape
from samphire.geometry import Size

POINTS_EXAMPLE = "expected a list of points, for example [(520, 375)], or one such list an object"


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """All that is said about one object.

    Attributes:
        points: (N, 2) float64, x and y in original pixels; N may be 0.
        labels: (N,) int32, 1 the object, 0 background.
        box: (4,) float64, x0, y0, x1, y1 in original pixels, or None.
        mask: (H, W) bool, a rough mask of the original's size, or None.
        previous: (S, S) float32, low-resolution logits of an earlier answer, or None.
    """

    points: FloatArray
    labels: IntArray
    box: FloatArray | None = None
    mask: BoolArray | None = None
    previous: FloatArray | None = None

    def __post_init__(self) -> None:
        points = read_only(self.points, np.float64)
        labels = np.asarray(self.labels)  # checked before the cast, which wraps and truncates
        check_shape(points, ("N", 2), "points")
        check_shape(labels, ("N",), "labels")
        if len(labels) != len(points):
            raise PromptError(
                f"{len(labels)} labels for {len(points)} points: expected one label a point"
            )
        if not np.isin(labels, (0, 1)).all():
            raise PromptError(
                f"labels {labels.tolist()}: expected 1 for the object and 0 for background"
            )
        if not np.isfinite(points).all():
            raise PromptError(f"points {points.tolist()} are not all finite numbers")
        if self.mask is not None and self.previous is not None:
            raise PromptError("an object takes a mask or previous logits, not both: leave one out")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "labels", read_only(labels, np.int32))
        if self.box is not None:
            object.__setattr__(self, "box", _checked_box(self.box))
        if self.mask is not None:
            object.__setattr__(self, "mask", _checked_mask(self.mask))
        if self.previous is not None:
            object.__setattr__(self, "previous", _checked_logits(self.previous))

    def __repr__(self) -> str:
        clicks = ", ".join(
            f"({x:g}, {y:g}) {'object' if label else 'background'}"
            for (x, y), label in zip(self.points, self.labels, strict=True)
        )
        parts = [
            f"points {clicks}" if clicks else "",
            f"box {self.box.tolist()}" if self.box is not None else "",
            "a mask" if self.mask is not None else "",
            "previous logits" if self.previous is not None else "",
        ]
        return f"ObjectPrompt({'; '.join(filter(None, parts)) or 'nothing'})"

    def equal(self, other: "ObjectPrompt") -> bool:
        """All parts are the same."""
        return _equal_arrays(self, other)

    @property
    def is_single_point(self) -> bool:
        """One point and nothing else: the ambiguous prompt that deserves three answers."""
        return self.kind == (1, False, False)

    @property
    def is_empty(self) -> bool:
        """Nothing is said."""
        return self.kind == (0, False, False)

    @property
    def kind(self) -> tuple[int, bool, bool]:
        """What objects must share to be decoded in one call: points, box or not, mask or not."""
        has_mask = self.mask is not None or self.previous is not None
        return (len(self.points), self.box is not None, has_mask)


@dataclass(frozen=True, eq=False)
class Prompts:
    """One :class:`ObjectPrompt` an object, in pixels of the original picture."""

    objects: tuple[ObjectPrompt, ...]

    @classmethod
    def of(
        cls,
        points: Sequence[Any] | FloatArray | None = None,
        labels: Sequence[Any] | IntArray | None = None,
        boxes: Sequence[Any] | FloatArray | None = None,
        mask: npt.ArrayLike | None = None,
        previous: npt.ArrayLike | None = None,
    ) -> "Prompts":
        """Read the grammar above.

        Args:
            points: (N, 2) numbers for one object, or one such list an object.
            labels: nested as ``points``.
            boxes: (B, 4), or (4,) for one.
            mask: (H, W) or (B, H, W) bool, original size.
            previous: (S, S) or (B, S, S) float, logits from ``Decoded``.

        Raises:
            PromptError: the parts do not fit together, or a value is out of range.

        >>> len(Prompts.of(points=[(1, 2), (3, 4)]))
        1
        >>> len(Prompts.of(points=[[(1, 2)], [(3, 4), (5, 6)]]))
        2
        >>> len(Prompts.of(boxes=[(0, 0, 5, 5), (1, 1, 2, 2)]))
        2
        """
        parts: dict[str, list[Any]] = {}
        if points is not None:
            parts["points"] = _point_lists(points)
        if labels is not None:
            if points is None:
                raise PromptError("labels without points: give the points they label")
            parts["labels"] = _label_lists(labels, parts["points"])
        for name, given, axes in (
            ("boxes", boxes, 1),
            ("mask", mask, 2),
            ("previous", previous, 2),
        ):
            if given is not None:
                parts[name] = _one_an_object(given, axes, name)
        counts = {name: len(values) for name, values in parts.items()}
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name} for {count}" for name, count in counts.items())
            raise PromptError(
                f"prompts speak of different numbers of objects ({shown}): a flat list of points "
                "is one object; give one list of points an object"
            )
        return cls(
            tuple(
                ObjectPrompt(
                    points=parts["points"][i] if "points" in parts else np.zeros((0, 2)),
                    labels=_labels_of(parts, i),
                    box=parts["boxes"][i] if "boxes" in parts else None,
                    mask=parts["mask"][i] if "mask" in parts else None,
                    previous=parts["previous"][i] if "previous" in parts else None,
                )
                for i in range(max(counts.values(), default=0))
            )
        )

    def __len__(self) -> int:
        return len(self.objects)

    def __repr__(self) -> str:
        return f"Prompts({', '.join(map(repr, self.objects))})"

    def equal(self, other: "Prompts") -> bool:
        """The same objects in the same order."""
        return len(self) == len(other) and all(
            mine.equal(theirs) for mine, theirs in zip(self.objects, other.objects, strict=True)
        )

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the objects that can be decoded together, in order of first appearance."""
        groups: dict[tuple[int, bool, bool], list[int]] = {}
        for index, item in enumerate(self.objects):
            groups.setdefault(item.kind, []).append(index)
        return tuple(tuple(indices) for indices in groups.values())

    def check_inside(self, size: Size, image: str) -> None:
        """Refuse prompts that do not lie on a picture of this size.

        Args:
            size: of the original picture.
            image: what to call it in the message.

        Raises:
            PromptError: a point or box lies outside, or a mask has another size.
        """
        for item in self.objects:
            for x, y in item.points:
                if not (0 <= x < size.width and 0 <= y < size.height):
                    raise PromptError(
                        f"point ({x:g}, {y:g}) lies outside {image}: expected 0 <= x < "
                        f"{size.width} and 0 <= y < {size.height} (points are x,y in pixels; "
                        "were they swapped?)"
                    )
            if item.box is not None:
                _check_box_inside(item.box, size, image)
            if item.mask is not None and item.mask.shape != (size.height, size.width):
                height, width = item.mask.shape
                raise PromptError(
                    f"the mask prompt is {width}x{height}, {image} is {size}: "
                    "expected a mask of the picture's size"
                )


@dataclass(frozen=True, eq=False)
class InputPrompts:
    """B objects with N points each, in pixels of the model's input square.

    Attributes:
        points: (B, N, 2) float32; N may be 0. Pixel centres are added by the prompt encoder.
        labels: (B, N) int32: 1 the object, 0 background, -1 padding (which is not neutral).
        boxes: (B, 4) float32, x0, y0, x1, y1, or None.
        masks: (B, 1, S, S) float32, low-resolution logits, or None.
    """

    points: FloatArray
    labels: IntArray
    boxes: FloatArray | None = None
    masks: FloatArray | None = None

    def __post_init__(self) -> None:
        check_shape(self.points, ("B", "N", 2), "points")
        count, points, _ = self.points.shape
        check_shape(self.labels, (count, points), "labels")
        if self.boxes is not None:
            check_shape(self.boxes, (count, 4), "boxes")
        if self.masks is not None:
            check_shape(self.masks, (count, 1, "S", "S"), "masks")
        object.__setattr__(self, "labels", read_only(self.labels, np.int32))
        for name in ("points", "boxes", "masks"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, read_only(value, np.float32))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, objects: slice) -> "InputPrompts":
        """Some of the objects."""
        return InputPrompts(
            points=self.points[objects],
            labels=self.labels[objects],
            boxes=None if self.boxes is None else self.boxes[objects],
            masks=None if self.masks is None else self.masks[objects],
        )

    def __repr__(self) -> str:
        objects, points, _ = self.points.shape
        boxes = "" if self.boxes is None else ", boxes"
        masks = "" if self.masks is None else ", masks"
        return f"InputPrompts({objects} objects x {points} points{boxes}{masks})"

    def equal(self, other: "InputPrompts") -> bool:
        """All arrays are the same."""
        return _equal_arrays(self, other)


def _equal_arrays(left: ObjectPrompt | InputPrompts, right: ObjectPrompt | InputPrompts) -> bool:
    return all(
        same_array(getattr(left, field.name), getattr(right, field.name)) for field in fields(left)
    )


def _as_points(given: object) -> FloatArray | None:
    """The list of points as (N, 2) float64, or None where it is not one."""
    try:
        array = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if array.shape == (0,):
        return np.zeros((0, 2))
    return array if array.ndim == 2 and array.shape[1] == 2 else None


def _point_lists(points: Sequence[Any] | FloatArray) -> list[FloatArray]:
    """One (N, 2) array an object."""
    one_object = _as_points(points)
    if one_object is not None and len(one_object):
        return [one_object]
    lists = [_as_points(item) for item in points] if np.iterable(points) else []
    arrays = [item for item in lists if item is not None]
    if not arrays or len(arrays) < len(lists):
        raise PromptError(f"points={points!r}: {POINTS_EXAMPLE}")
    return arrays


def _label_lists(labels: Sequence[Any] | IntArray, points: list[FloatArray]) -> list[IntArray]:
    """One (N,) array an object, nested as the points."""
    try:
        one_list = len(points) == 1 and np.ndim(labels) == 1
        lists = [np.asarray(item) for item in ([labels] if one_list else labels)]
    except (TypeError, ValueError):  # not a list, or ragged inside
        lists = []
    if [item.shape for item in lists] != [(len(item),) for item in points]:
        raise PromptError(
            f"labels={labels!r} do not nest as the points do: expected "
            f"{[len(item) for item in points]} labels, one a point"
        )
    if any(len(item) and item.dtype.kind not in "iub" for item in lists):
        raise PromptError(f"labels={labels!r}: expected whole numbers, 0 or 1")
    return lists


def _labels_of(parts: dict[str, list[Any]], index: int) -> IntArray:
    if "labels" in parts:
        labels: IntArray = parts["labels"][index]
        return labels
    count = len(parts["points"][index]) if "points" in parts else 0
    return np.ones(count, np.int32)


def _one_an_object(given: npt.ArrayLike, axes: int, name: str) -> list[npt.NDArray[Any]]:
    """Split (B, ...) into B arrays of ``axes`` axes; one array without the B axis is one object."""
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise PromptError(f"{name} is ragged: expected rows of equal length") from error
    if array.ndim == axes:
        array = array[None]
    if array.ndim != axes + 1 or not len(array):
        raise PromptError(
            f"{name} has shape {np.shape(given)}: expected {axes} axes for one object, "
            f"or {axes + 1} for several"
        )
    return list(array)


def _checked_box(box: npt.ArrayLike) -> FloatArray:
    found = np.asarray(box)
    if found.shape != (4,) or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        raise PromptError(f"box {box!r}: expected four numbers x0, y0, x1, y1")
    x0, y0, x1, y1 = found
    if not (x0 < x1 and y0 < y1):
        raise PromptError(
            f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is empty: expected x0 < x1 and y0 < y1 "
            "(boxes are corners x0, y0, x1, y1; was it x, y, width, height?)"
        )
    return read_only(found, np.float64)


def _check_box_inside(box: FloatArray, size: Size, image: str) -> None:
    x0, y0, x1, y1 = box
    if not (x0 >= 0 and y0 >= 0 and x1 <= size.width and y1 <= size.height):
        raise PromptError(
            f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) reaches outside {image}: expected 0 <= x0 < "
            f"x1 <= {size.width} and 0 <= y0 < y1 <= {size.height}"
        )


def _checked_mask(mask: npt.ArrayLike) -> BoolArray:
    found = np.asarray(mask)
    check_shape(found, ("H", "W"), "mask")
    if found.dtype != np.bool_ and not np.isin(np.unique(found), (0, 1, 255)).all():
        raise PromptError(
            f"the mask prompt holds values from {found.min()} to {found.max()}: expected a binary "
            "mask of False and True, 0 and 1, or 0 and 255 (logits go into previous=)"
        )
    return read_only(found != 0, np.bool_)


def _checked_logits(previous: npt.ArrayLike) -> FloatArray:
    found = np.asarray(previous)
    check_shape(found, ("S", "S"), "previous")
    if found.dtype.kind != "f" or not np.isfinite(found).all():
        raise PromptError(
            "previous holds something else than finite logits: expected decoded[b, m] of an "
            "earlier answer (a binary mask goes into mask=)"
        )
    return read_only(found, np.float32)
