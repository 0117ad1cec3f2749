import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from samphire.errors import ShapeError
from samphire.masks.scores import stability_score

logits = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-4, 4, width=32),
)


@settings(max_examples=100)
@given(logits, st.sampled_from([0.0, -1.5, 0.25]), st.sampled_from([0.5, 1.0]))
def test_the_score_is_the_iou_of_the_two_cuts(values, threshold, offset):
    expected = np.zeros(values.shape[:-2], np.float32)
    for index in np.ndindex(*values.shape[:-2]):
        inner, outer = values[index] > threshold + offset, values[index] > threshold - offset
        union = (inner | outer).sum()
        expected[index] = (inner & outer).sum() / union if union else 0
    found = stability_score(values, threshold, offset)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_a_mask_that_is_empty_at_both_cuts_scores_0_and_not_nan():
    assert stability_score(np.full((2, 3, 3), -9, np.float32)).tolist() == [0, 0]


def test_a_mask_that_no_shift_changes_scores_1():
    assert stability_score(np.where(np.eye(4) > 0, 9, -9).astype(np.float32)) == 1


def test_logits_without_two_axes_are_refused():
    with pytest.raises(ShapeError, match=r"logits has shape \(3,\): expected \(\.\.\., H, W\)"):
        stability_score(np.zeros(3, np.float32))


@pytest.mark.parametrize("offset", [0.0, -1.0, float("nan")])
def test_an_offset_that_is_not_positive_is_refused(offset):
    with pytest.raises(ValueError, match="expected a positive number of logits"):
        stability_score(np.zeros((2, 2), np.float32), offset=offset)
