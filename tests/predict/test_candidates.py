"""Masks of a large picture are made in little memory, whatever the picture's size."""

import tracemalloc

import cv2
import numpy as np
import pytest

from samphire.embedding import LowRes
from samphire.geometry import Size
from samphire.images.preprocessing import preprocessing
from samphire.predict.candidates import Filters, Place, candidates
from samphire.predict.crops import Crop
from samphire.predict.grid import point_grid

LARGE = Size(4000, 5000)


class Blobs:
    """A session that answers each point by a blob of its own."""

    def decode(self, prompts, *, multimask, min_predicted_iou=None):
        rng = np.random.default_rng(int(prompts.points.sum()))
        logits = np.full((len(prompts), 256, 256), -9, np.float32)
        for low, (x, y) in zip(logits, prompts.points[:, 0] / 4, strict=True):
            side = int(rng.integers(4, 60))
            cv2.ellipse(low, (int(x), int(y)), (side, side // 2), 30, 0, 360, 9, -1)
        kept = np.stack([np.arange(len(prompts)), np.zeros(len(prompts), int)], axis=1)
        return LowRes(logits, kept, np.ones((len(prompts), 1), np.float32))


@pytest.mark.slow
def test_a_thousand_masks_of_a_20_megapixel_picture_take_less_than_100_mb():
    frame = preprocessing("sam-1024").frame(LARGE)
    place = Place(Blobs(), frame, Crop((0, 0, LARGE.width, LARGE.height), 0), LARGE)
    tracemalloc.start()
    masks = candidates(place, point_grid(32), Filters(0, 0, 1, 0, 20))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(masks) == 1024
    assert masks.area.mean() > 20_000
    assert held < 40e6
    assert peak < 100e6  # the logits of one call, 4 MB, among them
