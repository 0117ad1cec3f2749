import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.errors import ShapeError
from samphire.geometry import Frame, Size
from samphire.images.preprocessing import lite_medsam, medsam, sam
from samphire.predict.mask_prompt import CERTAINTY, mask_prompt_logits
from samphire.predict.upscale import upscale

SURE = np.log((1 - CERTAINTY) / CERTAINTY)


def _share_covered(mask: np.ndarray, frame: Frame) -> np.ndarray:
    """The area of each cell that is on, pixel by pixel, in the original frame."""
    x_scale, y_scale = frame.scale
    width, height = 4 / x_scale, 4 / y_scale
    shares = np.zeros((frame.low_res_side, frame.low_res_side))
    cells = np.arange(frame.low_res_side)
    for y, x in np.argwhere(mask):
        tall = np.minimum((cells + 1) * height, y + 1) - np.maximum(cells * height, y)
        wide = np.minimum((cells + 1) * width, x + 1) - np.maximum(cells * width, x)
        shares += np.outer(tall.clip(0), wide.clip(0)) / (width * height)
    return shares


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_each_logit_is_that_of_the_share_of_its_cell_that_is_covered(height, width, seed):
    frame = sam(64).frame(Size(height, width))
    mask = np.random.default_rng(seed).random((height, width)) > 0.4
    logits = mask_prompt_logits(mask, frame)
    assert logits.shape == (16, 16)
    assert logits.dtype == np.float32
    expected = np.clip(_share_covered(mask, frame), CERTAINTY, 1 - CERTAINTY)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.astype(np.float64))), expected, atol=2e-5)


def test_a_full_mask_is_as_sure_as_it_gets_and_the_padding_is_background():
    logits = mask_prompt_logits(np.ones((20, 40), bool), sam(64).frame(Size(20, 40)))
    np.testing.assert_allclose(logits[:8], SURE, rtol=1e-3)
    np.testing.assert_allclose(logits[8:], -SURE, rtol=1e-3)


@pytest.mark.parametrize("record", [sam(64), medsam(64), lite_medsam(16)])
@pytest.mark.parametrize("size", [(43, 100), (100, 43), (30, 30)])
def test_a_mask_prompt_lies_where_its_answer_would(record, size):
    frame = record.frame(Size(*size))
    mask = np.zeros(size, bool)
    mask[size[0] // 4 : -size[0] // 4, size[1] // 3 : -size[1] // 5] = True
    back = upscale(mask_prompt_logits(mask, frame), frame) > 0
    assert np.count_nonzero(back != mask) < 0.25 * mask.sum()
    rows, columns = np.argwhere(mask).mean(axis=0)
    assert np.argwhere(back).mean(axis=0) == pytest.approx([rows, columns], abs=1.5)


def test_an_empty_mask_is_background_everywhere_and_finite():
    logits = mask_prompt_logits(np.zeros((20, 40), bool), sam(64).frame(Size(20, 40)))
    np.testing.assert_allclose(logits, -SURE, rtol=1e-3)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"mask has shape \(40, 20\): expected \(20, 40\)"):
        mask_prompt_logits(np.zeros((40, 20), bool), sam(64).frame(Size(20, 40)))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 300_000), (300_000, 1)])
def test_memory_follows_the_pixels_not_the_sides(size):
    mask = np.ones(size, bool)
    tracemalloc.start()
    logits = mask_prompt_logits(mask, sam(1024).frame(Size(*size)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    quarter = np.log(0.25 / 0.75)  # one input pixel of the four that a cell has across
    assert np.count_nonzero(np.isclose(logits, quarter)) == 256
    assert peak < 40e6  # a matrix of 256 x 300,000: 307 MB


@pytest.mark.parametrize("size", [(3, 1000), (700, 5)])
def test_a_mask_longer_than_a_band_gives_the_shares_too(size, rng):
    frame = sam(64).frame(Size(*size))
    mask = rng.random(size) > 0.5
    expected = np.clip(_share_covered(mask, frame), CERTAINTY, 1 - CERTAINTY)
    logits = mask_prompt_logits(mask, frame)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.astype(np.float64))), expected, atol=2e-5)
