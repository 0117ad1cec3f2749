"""What ``samphire.decode`` gives: the decoder's logits, and where they lie."""

from dataclasses import dataclass

import numpy as np

from samphire.arrays import ByteArray, FloatArray, IntArray, read_only, same_array
from samphire.embedding import LowRes
from samphire.errors import check_shape
from samphire.geometry import Frame, Size
from samphire.masks import picture

# What a notebook shows: the longest side of a heat map, and of how many objects.
TILE_SIDE, OBJECTS_SHOWN = 320, 6


@dataclass(frozen=True, eq=False)
class Decoded:
    """A :class:`LowRes` and where it lies: what ``samphire.decode`` gives.

    ``decoded[b, m]`` is the (S, S) logits of one candidate, as ``previous=`` takes them. A
    notebook shows the logits as heat maps, see ``masks/picture.py``.

    Attributes:
        low_res: one row of candidates an object, in the order of the prompts.
        candidates: (B, M) int32, which of the model's four mask tokens each column is: 0 the
            single answer, 1 to 3 the three for an ambiguous prompt.
        frame: of the picture.
    """

    low_res: LowRes
    candidates: IntArray
    frame: Frame

    def __post_init__(self) -> None:
        check_shape(self.candidates, self.low_res.predicted_iou.shape, "candidates")
        object.__setattr__(self, "candidates", read_only(self.candidates, np.int32))

    def __getitem__(self, index: tuple[int, int]) -> FloatArray:
        logits: FloatArray = self.logits[index]
        return logits

    def __repr__(self) -> str:
        objects, candidates = self.candidates.shape
        return f"Decoded({objects} objects x {candidates} candidates, {self.frame.original})"

    def _repr_png_(self) -> bytes:
        """The candidates of the first objects side by side, without the padding."""
        objects = len(self.candidates)
        rows = [
            [self._captioned(b, m) for m in range(self.candidates.shape[1])]
            for b in range(min(objects, OBJECTS_SHOWN))
        ]
        more = f"the first {len(rows)} of {objects} objects" if objects > len(rows) else ""
        return picture.rgb_to_png(picture.captioned_grid(rows, more))

    def _captioned(self, b: int, m: int) -> tuple[str, ByteArray]:
        """One candidate's heat map in the shape of the photo, and the line above it."""
        frame, original = self.frame, self.frame.original
        cells = frame.low_res_side / frame.input_side
        height, width = (
            max(1, round(side * cells)) for side in (frame.resized.height, frame.resized.width)
        )
        scale = TILE_SIDE / max(original.height, original.width)
        tile = Size(
            max(1, round(original.height * scale)),
            max(1, round(original.width * scale)),
        )
        caption = (
            f"object {b}, token {self.candidates[b, m]}, "
            f"predicted IoU {self.predicted_iou[b, m]:.2f}"
        )
        return caption, picture.heat_map(self[b, m][:height, :width], tile)

    def equal(self, other: "Decoded") -> bool:
        """The same answers on the same frame."""
        return (
            self.frame == other.frame
            and same_array(self.candidates, other.candidates)
            and self.low_res.equal(other.low_res)
        )

    @property
    def logits(self) -> FloatArray:
        """(B, M, S, S) float32."""
        return self.low_res.grid

    @property
    def predicted_iou(self) -> FloatArray:
        """(B, M) float32."""
        return self.low_res.predicted_iou
