"""A case to look at: before, the truth and after, side by side, near enough to see the edges.

Not for whole pictures with many masks (``images/draw.py``).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from samphire.arrays import BoolArray, ByteArray, read_only
from samphire.errors import check_shape
from samphire.evaluation.protocols import Protocol
from samphire.images.draw import HALO
from samphire.masks.colours import PALETTE

TRUE, PREDICTED = PALETTE[0], PALETTE[1]
# Longest side of a panel, and the gap between two, pixels.
PANEL, GAP = 256, 4
# Around the object so much of its longest side is shown, and no window is smaller.
MARGIN, LEAST = 0.4, 48
_SUBPIXEL = 4  # bits


@dataclass(frozen=True, eq=False)
class CasePicture:
    """A measured case, drawn.

    Attributes:
        protocol: by which it was measured.
        id: of the sample, as ``Case.id``.
        target: as ``Case.target``.
        before_dice: None where there was nothing to ask before.
        after_dice: of the adapter.
        image: (h, w, 3) uint8 RGB, of :func:`case_picture`.
    """

    protocol: Protocol
    id: str
    target: str
    before_dice: float | None
    after_dice: float
    image: ByteArray

    def __post_init__(self) -> None:
        check_shape(self.image, ("h", "w", 3), "image")
        object.__setattr__(self, "image", read_only(self.image, np.uint8))


def case_picture(
    image: ByteArray, true: BoolArray, before: BoolArray | None, after: BoolArray
) -> ByteArray:
    """Panels in a row: before (where there is one), the truth, after.

    Each is the window around all three masks. The true outline is blue in every panel, the
    predicted one orange and on top; a mask without pixels has none.

    Args:
        image: (H, W, 3) uint8 RGB.
        true: (H, W) bool.
        before: (H, W) bool, or None.
        after: (H, W) bool.

    Returns:
        (h, w, 3) uint8 RGB, panels with a longest side of ``PANEL``.

    Raises:
        ShapeError: the sizes differ.
    """
    check_shape(image, ("H", "W", 3), "image")
    given = {"true": true, "before": before, "after": after}
    masks = {name: mask for name, mask in given.items() if mask is not None}
    for name, mask in masks.items():
        check_shape(mask, image.shape[:2], name)
    rows, columns = _window(np.logical_or.reduce(list(masks.values())))
    ground = image[rows, columns]
    scale = PANEL / max(ground.shape[:2])
    side = tuple(max(1, round(length * scale)) for length in ground.shape[1::-1])
    kernel = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    ground = cv2.resize(ground, side, interpolation=kernel).astype(np.uint8)
    panels = []
    for name in ("before", "true", "after"):
        if name not in masks:
            continue
        panel = ground.copy()
        _outline(panel, true[rows, columns], TRUE, scale)
        if name != "true":
            _outline(panel, masks[name][rows, columns], PREDICTED, scale)
        panels += [panel, np.full((len(panel), GAP, 3), 128, np.uint8)]
    return np.hstack(panels[:-1])


def _window(mask: BoolArray) -> tuple[slice, slice]:
    """Rows and columns around a mask, with a margin; all of an image without one."""
    found = []
    places = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in range(2)]
    if not len(places[0]):
        return slice(None), slice(None)
    longest = max(int(place[-1] - place[0]) + 1 for place in places)
    side = max(LEAST, round(longest * (1 + 2 * MARGIN)))
    for place, length in zip(places, mask.shape, strict=True):
        middle = (int(place[0]) + int(place[-1]) + 1) // 2
        start = max(0, min(middle - side // 2, length - side))
        found.append(slice(start, min(length, start + side)))
    return found[0], found[1]


def _outline(panel: ByteArray, mask: BoolArray, colour: tuple[int, int, int], scale: float) -> None:
    """Draw the line around a mask and its holes on its enlarged picture, in place."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # to the middle of the enlarged pixel, in fractions: small pictures grow a lot
    drawn = [
        np.rint(((outline + 0.5) * scale - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)
        for outline in outlines
    ]
    for ink, width in ((HALO, 5), (colour, 3)):
        cv2.polylines(panel, drawn, True, ink, width, cv2.LINE_AA, _SUBPIXEL)  # noqa: FBT003
