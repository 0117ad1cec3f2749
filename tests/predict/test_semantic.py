"""Class maps: the best class of each pixel, made one class at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.geometry import Size
from samphire.images.preprocessing import lite_medsam, medsam, sam
from samphire.predict.semantic import best_class
from samphire.predict.upscale import upscale


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    record=st.sampled_from([sam(64), medsam(64), lite_medsam(64)]),
)
def test_each_pixel_gets_the_class_with_the_highest_logit(seed, size, record):
    frame = record.frame(Size(*size))
    side = frame.low_res_side
    logits = np.random.default_rng(seed).normal(size=(4, side, side)).astype(np.float32)
    expected = np.argmax([upscale(plane, frame) for plane in logits], axis=0)
    np.testing.assert_array_equal(best_class(logits, frame), expected)


@pytest.mark.parametrize("value", [-3.0, 0.0, 3.0])
def test_a_tie_goes_to_the_background(value):
    frame = sam(64).frame(Size(20, 30))
    logits = np.full((3, 16, 16), value, np.float32)
    assert not best_class(logits, frame).any()
