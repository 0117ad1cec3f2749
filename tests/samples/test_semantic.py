"""One class a pixel: small objects lie on large ones, and ignored pixels stay ignored."""

import dataclasses

import numpy as np
import pytest

from samphire.errors import FileFormatError
from samphire.masks import Masks
from samphire.samples.sample import Labelled
from samphire.samples.semantic import IGNORE, contested, semantic_map

LARGE = np.zeros((5, 9), bool)
LARGE[:, :6] = True
SMALL = np.zeros((5, 9), bool)
SMALL[2:4, 4:8] = True


def picture(*masks, labels, ignore=None):
    objects = dataclasses.replace(
        Masks.from_arrays(np.array(masks).reshape(-1, 5, 9)), label=np.array(labels, np.int32)
    )
    return Labelled(np.zeros((5, 9, 3), np.uint8), objects, ignore)


@pytest.mark.parametrize("order", [1, -1])
def test_the_smaller_object_has_the_pixel_whatever_the_order(order):
    found = picture(*[LARGE, SMALL][::order], labels=[1, 2][::order])
    expected = np.where(SMALL, 2, np.where(LARGE, 1, 0))
    assert np.array_equal(semantic_map(found, 2), expected)
    assert semantic_map(found, 2).dtype == np.int32
    assert contested(found) == np.count_nonzero(LARGE & SMALL)


def test_objects_of_one_class_contest_nothing():
    found = picture(LARGE, SMALL, labels=[2, 2])
    assert np.array_equal(semantic_map(found, 3), 2 * (LARGE | SMALL))
    assert contested(found) == 0


def test_ignored_pixels_are_minus_1_and_not_contested():
    ignore = np.zeros((5, 9), bool)
    ignore[2] = True
    found = picture(LARGE, SMALL, labels=[1, 2], ignore=ignore)
    assert np.array_equal(semantic_map(found, 2) == IGNORE, ignore)
    assert contested(found) == np.count_nonzero(LARGE & SMALL & ~ignore)


def test_no_objects_are_background():
    assert not semantic_map(picture(labels=[]), 2).any()
    assert contested(picture(labels=[])) == 0


@pytest.mark.parametrize("label", [0, 3])
def test_a_label_beyond_the_classes_is_refused(label):
    with pytest.raises(FileFormatError, match=f"label {label}, and there are 2 classes"):
        semantic_map(picture(LARGE, labels=[label]), 2)
