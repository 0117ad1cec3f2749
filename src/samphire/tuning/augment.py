"""One augmentation of a picture and of all that is drawn on it, in one call.

A :class:`View` is one concrete augmentation: eight flips and turns, which are exact, then a zoom,
then light. Image, masks, points and boxes go through it together, so that none can be forgotten.
Not for resizing to the model's input: that is the preprocessing's. No hue: a grey picture has none.
Source: the ranges are those of large-scale jitter made gentle, see :data:`SCALES`; Kirillov et al.
2023, appendix A, uses no augmentation for its large data set and jitter only for small ones.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from samphire.arrays import BoolArray, ByteArray, FloatArray, IntArray, read_only
from samphire.errors import check_shape

Kind = Literal["none", "flips", "full"]

# The picture becomes up to a third larger or smaller; ten times smaller, as in training from
# scratch, would leave few of the objects that a small data set has.
SCALES = (0.75, 1.33)
# Shares of white, and factors about the picture's mean.
BRIGHTNESS, CONTRASTS = (-0.1, 0.1), (0.8, 1.25)


@dataclass(frozen=True)
class View:
    """One concrete augmentation; its parts are applied in this order after the light.

    Attributes:
        mirror: left and right are exchanged.
        quarter_turns: counter-clockwise, 0 to 3; an odd number exchanges height and width.
        scale: zoom about the picture's centre, > 0; the size in pixels stays.
        shift: then right and down, in shares of width and height.
        contrast: factor of the distance from the picture's mean, >= 0.
        brightness: added to all pixels, a share of white, -1 to 1.
    """

    mirror: bool = False
    quarter_turns: int = 0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    contrast: float = 1.0
    brightness: float = 0.0

    def __post_init__(self) -> None:
        if self.quarter_turns not in range(4):
            raise ValueError(f"quarter_turns is {self.quarter_turns}: expected 0, 1, 2 or 3")
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale is {self.scale}: expected a number above 0, 1 for no zoom")
        if not np.isfinite(self.shift).all():
            raise ValueError(f"shift is {self.shift}: expected shares of width and height")
        if not 0 <= self.contrast < np.inf:
            raise ValueError(f"contrast is {self.contrast}: expected 0 or more, 1 for no change")
        if not -1 <= self.brightness <= 1:
            raise ValueError(f"brightness is {self.brightness}: expected a share, -1 to 1")


IDENTITY = View()
# Few enough that what the encoder makes of each can be kept.
FLIPS = tuple(View(mirror=mirror, quarter_turns=k) for mirror in (False, True) for k in range(4))


@dataclass(frozen=True, eq=False)
class Augmented:
    """What a view shows; all arrays are read-only.

    Attributes:
        image: (H', W', 3) uint8, 0 where it is not valid.
        masks: (N, H', W') bool, in the order given; one is empty if its object has left the view.
        ignore: (H', W') bool, or None as given.
        points: (P, 2) float64 x, y, or None as given; those that left are outside the picture.
        boxes: (K, 4) float64 XYXY, or None as given; cut at the border, of no area if they left.
        valid: (H', W') bool, false for what lay outside the picture: it counts in no loss and no
            metric.
    """

    image: ByteArray
    masks: BoolArray
    ignore: BoolArray | None
    points: FloatArray | None
    boxes: FloatArray | None
    valid: BoolArray

    def __post_init__(self) -> None:
        for name in ("image", "masks", "ignore", "points", "boxes", "valid"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, read_only(value, value.dtype))


def draw_view(kind: Kind, rng: np.random.Generator) -> View:
    """A view at random.

    Args:
        kind: ``none`` is :data:`IDENTITY`; ``flips`` one of the eight of :data:`FLIPS`; ``full``
            zooms by ``SCALES`` too, uniform in the logarithm, and changes the light. A smaller
            picture lies anywhere within the frame, a larger one fills it.
        rng: the same state gives the same view.

    Raises:
        ValueError: there is no such kind.
    """
    if kind == "none":
        return IDENTITY
    if kind not in ("flips", "full"):
        raise ValueError(f"augmentation {kind!r}: expected 'none', 'flips' or 'full'")
    flip = FLIPS[int(rng.integers(len(FLIPS)))]
    if kind == "flips":
        return flip
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    room = abs(1 - scale) / 2
    return View(
        mirror=flip.mirror,
        quarter_turns=flip.quarter_turns,
        scale=scale,
        shift=(float(rng.uniform(-room, room)), float(rng.uniform(-room, room))),
        contrast=float(np.exp(rng.uniform(*np.log(CONTRASTS)))),
        brightness=float(rng.uniform(*BRIGHTNESS)),
    )


def augment(
    image: ByteArray,
    masks: BoolArray,
    view: View,
    *,
    ignore: BoolArray | None = None,
    points: npt.ArrayLike | None = None,
    boxes: npt.ArrayLike | None = None,
) -> Augmented:
    """Show a picture and all that is drawn on it in a view.

    Labels are moved by nearest neighbour: a pixel is that of the source under its centre. So a
    point keeps its pixel when the picture is enlarged; when it is made smaller, pixels are left
    out, and only a point whose neighbours are inside its mask is sure to stay inside.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: (N, H, W) bool.
        view: what to do.
        ignore: (H, W) bool, pixels that count neither way.
        points: (P, 2) x, y; whole numbers are the centres of pixels.
        boxes: (K, 4) XYXY, half-open: whole numbers are the edges of pixels.

    Raises:
        ShapeError: a part has the wrong shape.
        ValueError: the image is not of bytes, or a mask not of booleans.
    """
    _check_type(image, np.uint8, "image", "read it with samphire's reader, which gives bytes")
    _check_type(masks, np.bool_, "masks", "compare with what means 'on', as in masks > 0")
    check_shape(image, ("H", "W", 3), "image")
    size = image.shape[0], image.shape[1]
    check_shape(masks, ("N", *size), "masks")

    lit = _turn(cv2.LUT(image, _light(float(image.mean()), view)), view, (0, 1))
    height, width = lit.shape[:2]
    rows, rows_inside = _nearest(height, view.scale, view.shift[1])
    columns, columns_inside = _nearest(width, view.scale, view.shift[0])
    valid = rows_inside[:, None] & columns_inside

    moved_ignore = None
    if ignore is not None:
        _check_type(ignore, np.bool_, "ignore", "compare with what means 'ignore'")
        check_shape(ignore, size, "ignore")
        moved_ignore = _turn(ignore, view, (0, 1))[np.ix_(rows, columns)] & valid
    moved_points = moved_boxes = None
    if points is not None:
        centres = np.asarray(points, np.float64)
        check_shape(centres, ("P", 2), "points")
        moved_points = _move(centres + 0.5, size, view) - 0.5
    if boxes is not None:
        edges = np.asarray(boxes, np.float64)
        check_shape(edges, ("K", 4), "boxes")
        corners = np.stack([_move(edges[:, :2], size, view), _move(edges[:, 2:], size, view)])
        corners = np.clip(corners, 0, (width, height))
        moved_boxes = np.concatenate([corners.min(axis=0), corners.max(axis=0)], axis=1)
    return Augmented(
        image=_zoom(lit, view) * valid[:, :, None],
        masks=_turn(masks, view, (1, 2)).take(rows, axis=1).take(columns, axis=2) & valid,
        ignore=moved_ignore,
        points=moved_points,
        boxes=moved_boxes,
        valid=valid,
    )


def _check_type(array: npt.NDArray[Any], dtype: type, name: str, advice: str) -> None:
    if array.dtype != dtype:
        raise ValueError(f"{name} is {array.dtype}: expected {np.dtype(dtype)}; {advice}")


def _light(mean: float, view: View) -> ByteArray:
    """What each of the 256 values becomes; about the mean, or contrast would change brightness."""
    values = (np.arange(256) - mean) * view.contrast + mean + 255 * view.brightness
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _turn(array: npt.NDArray[Any], view: View, axes: tuple[int, int]) -> npt.NDArray[Any]:
    """Mirrored and turned, exactly; the axes are those of rows and columns."""
    mirrored = np.flip(array, axes[1]) if view.mirror else array
    return np.rot90(mirrored, view.quarter_turns, axes)


def _nearest(length: int, scale: float, shift: float) -> tuple[IntArray, BoolArray]:
    """The pixel of the source under each pixel's centre along an axis, and whether there is one."""
    source = (np.arange(length) + 0.5 - length * (0.5 + shift)) / scale + length / 2
    cells = np.floor(source).astype(np.int64)
    return np.clip(cells, 0, length - 1), (cells >= 0) & (cells < length)


def _zoom(image: ByteArray, view: View) -> ByteArray:
    """Bilinear; the border is repeated outwards, so that no black bleeds into the picture."""
    height, width = image.shape[:2]
    # pixel centres of the view -> of the source: _nearest's line, for OpenCV's coordinates
    offset = [
        (0.5 - length * (0.5 + shift)) / view.scale + length / 2 - 0.5
        for length, shift in zip((width, height), view.shift, strict=True)
    ]
    matrix = np.array([[1 / view.scale, 0, offset[0]], [0, 1 / view.scale, offset[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    source = np.ascontiguousarray(image)
    zoomed = cv2.warpAffine(
        source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(zoomed, np.uint8)


def _move(edges: FloatArray, size: tuple[int, int], view: View) -> FloatArray:
    """Places (P, 2) x, y, counted from the picture's outer edge, as the pixels there move."""
    height, width = size
    x, y = edges.T
    if view.mirror:
        x = width - x
    for _ in range(view.quarter_turns):
        x, y, width, height = y, width - x, height, width
    x = (x - width / 2) * view.scale + width * (0.5 + view.shift[0])
    y = (y - height / 2) * view.scale + height * (0.5 + view.shift[1])
    return np.stack([x, y], axis=1)
