"""Agreement of two masks: by hand, against MONAI, against plain definitions, and by its laws."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from samphire.errors import MissingExtraError, ShapeError
from samphire.evaluation.agreement import (
    agreement,
    boundary_iou,
    dice,
    hausdorff_95,
    iou,
    surface_dice,
)

pytestmark = pytest.mark.slow

MEASURES = ("dice", "iou", "hausdorff_95", "surface_dice", "boundary_iou")
ONES = (1, 1)

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9))


@st.composite
def pairs(draw):
    first = draw(masks)
    return first, draw(hnp.arrays(np.bool_, first.shape)), steps(draw, first.ndim)


def steps(draw, axes):
    return tuple(draw(st.sampled_from([0.5, 1, 2.5])) for _ in range(axes))


def square(top, left, side, shape=(20, 20)):
    mask = np.zeros(shape, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def blobs(rng, shape):
    """A lump with a ragged edge, and some noise far from it."""
    axes = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij")
    centre = rng.uniform(-0.3, 0.3, len(shape))
    distance = sum((axis - place) ** 2 for axis, place in zip(axes, centre, strict=True))
    return (distance + rng.normal(0, 0.05, shape) < 0.3) | (rng.random(shape) > 0.998)


def measured(found):
    return [getattr(found, name) for name in MEASURES]


# ---- definitions, written plainly -----------------------------------------------------------


def outside_within(mask, place, reach):
    """Whether a pixel outside the mask is at most ``reach`` rows and columns away."""
    window = np.pad(mask, reach)[tuple(slice(at, at + 2 * reach + 1) for at in place)]
    return not window.all()


def plain_band(mask, width):
    return {tuple(p) for p in np.argwhere(mask) if outside_within(mask, p, width)}


def plain_boundary_iou(predicted, true, share=0.02):
    width = max(1, round(share * math.hypot(*true.shape)))
    bands = plain_band(predicted, width), plain_band(true, width)
    return len(bands[0] & bands[1]) / len(bands[0] | bands[1])


def plain_surface(mask):
    padded, found = np.pad(mask, 1), []
    for place in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                neighbour = place + 1
                neighbour[axis] += step
                if not padded[tuple(neighbour)]:
                    found.append(tuple(place))
    return np.array(sorted(set(found)))


def plain_distances(predicted, true, spacing):
    surfaces = [plain_surface(mask) * spacing for mask in (predicted, true)]
    between = np.linalg.norm(surfaces[0][:, None] - surfaces[1][None], axis=-1)
    return between.min(axis=1), between.min(axis=0)


# ---- by hand --------------------------------------------------------------------------------


def test_a_square_moved_by_two_is_counted_by_hand():
    true, predicted = square(4, 4, 8), square(4, 6, 8)  # 64 pixels each, 48 in both, 80 in either
    found = agreement(predicted, true, spacing=ONES, tolerance=1)
    assert found.dice == 96 / 128
    assert found.iou == 48 / 80
    assert (found.intersection, found.predicted_pixels, found.true_pixels) == (48, 64, 64)
    # Of the 28 pixels of an outline, the outer side (8) is 2 from the other outline; of the inner
    # side without its corners (6), the middle (4) is 2 away, its ends 1.
    assert found.hausdorff_95 == 2
    assert found.surface_dice == (28 - 8 - 4) / 28
    # 20 x 20 has a diagonal of 28.3: the band is one pixel wide, the outline of 28 itself. They
    # share 6 of each long side.
    assert found.boundary_iou == 12 / (28 + 28 - 12)


def test_the_surface_is_measured_in_the_unit_of_the_spacing():
    true, predicted = square(4, 4, 8), square(4, 6, 8)
    assert hausdorff_95(predicted, true, (1, 0.25)) == 0.5
    assert hausdorff_95(predicted.T, true.T, (0.25, 1)) == 0.5
    assert surface_dice(predicted, true, 0.5, (1, 0.25)) == 1
    assert surface_dice(predicted, true, 0.25, (1, 0.25)) < 1


def test_the_border_of_the_image_is_a_boundary():
    everything = np.ones((5, 5), np.bool_)
    centre = square(1, 1, 3, (5, 5))
    assert boundary_iou(everything, centre) == 0  # 16 pixels at the border, 8 around the centre
    assert hausdorff_95(everything, centre, ONES) == pytest.approx(math.sqrt(2))


def test_the_distance_is_a_percentile_not_the_largest():
    true = np.zeros((3, 101), np.bool_)
    true[1] = True
    predicted = true.copy()
    true[0, 50] = True  # one pixel of 102
    assert hausdorff_95(predicted, true, ONES) == 0
    # One pixel to a row of 101 and the bump: 0, 1, ... 50, 50.01, 51, ... 100; place 0.95 * 101.
    alone = square(1, 0, 1, true.shape)
    assert hausdorff_95(alone, true, ONES) == pytest.approx(94.95)


@pytest.mark.parametrize("shape", [(30, 40), (8, 30, 40)])
def test_the_four_cases_of_empty_masks(shape):
    nothing = np.zeros(shape, np.bool_)
    something = nothing.copy()
    something[..., 10:20, 10:20] = True
    spacing = (2, 1, 1)[-len(shape) :]
    diagonal = 50 if len(shape) == 2 else math.hypot(50, 16)

    def of(predicted, true):
        found = agreement(predicted, true, spacing=spacing, tolerance=1000)
        assert math.isnan(found.boundary_iou) == (len(shape) == 3)
        values = [value for value in measured(found) if not math.isnan(value)]
        return values, found.predicted_is_empty, found.true_is_empty

    bands = [1.0] if len(shape) == 2 else []
    missing = [0.0] if len(shape) == 2 else []
    assert of(nothing, nothing) == ([1, 1, 0, 1, *bands], True, True)
    assert of(something, nothing) == ([0, 0, pytest.approx(diagonal), 0, *missing], False, True)
    assert of(nothing, something) == ([0, 0, pytest.approx(diagonal), 0, *missing], True, False)
    assert of(something, something) == ([1, 1, 0, 1, *bands], False, False)


def test_an_array_without_pixels_is_empty():
    nothing = np.zeros((0, 5), np.bool_)
    assert measured(agreement(nothing, nothing, spacing=ONES)) == [1, 1, 0, 1, 1]


def test_ignored_pixels_count_neither_way():
    true, predicted = square(4, 4, 8), square(4, 4, 8)
    predicted[15:] = True  # found in a crowd
    true[:2] = True  # missed where nobody looked
    ignore = np.zeros_like(true)
    ignore[15:], ignore[:2] = True, True
    assert dice(predicted, true) < 1
    assert dice(predicted, true, ignore) == iou(predicted, true, ignore) == 1
    found = agreement(predicted, true, spacing=ONES, ignore=ignore)
    assert measured(found) == [1, 1, 0, 1, 1]
    assert found.intersection == found.predicted_pixels == found.true_pixels == 64


def test_a_mask_that_is_ignored_altogether_is_empty():
    mask = square(4, 4, 8)
    found = agreement(mask, mask, spacing=ONES, ignore=mask)
    assert found.true_is_empty
    assert found.predicted_is_empty
    assert measured(found) == [1, 1, 0, 1, 1]
    assert dice(square(0, 0, 2), mask, ignore=mask) == 0


def test_the_masks_are_left_as_they_were():
    given = [square(4, 4, 8), square(2, 6, 8), square(0, 0, 6)]
    kept = [mask.copy() for mask in given]
    for mask in given:
        mask.flags.writeable = False
    agreement(given[0], given[1], spacing=ONES, ignore=given[2])
    for mask, before in zip(given, kept, strict=True):
        np.testing.assert_array_equal(mask, before)


# ---- against plain definitions and libraries ------------------------------------------------


@given(pairs())
def test_surfaces_are_measured_as_defined(pair):
    predicted, true, spacing = pair
    if not (predicted.any() and true.any()):
        return
    there, back = plain_distances(predicted, true, spacing)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff_95(predicted, true, spacing) == pytest.approx(expected)
    for tolerance in (0, 1, 1.2):
        near = np.count_nonzero(there <= tolerance) + np.count_nonzero(back <= tolerance)
        assert surface_dice(predicted, true, tolerance, spacing) == near / (len(there) + len(back))


@pytest.mark.parametrize("shape", [(12, 17), (90, 40), (120, 130)])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.05])
def test_bands_are_as_defined(rng, shape, share):
    predicted, true = blobs(rng, shape), blobs(rng, shape)
    predicted[:5], true[:3, 4:] = True, True  # at the border
    expected = plain_boundary_iou(predicted, true, share)
    assert 0 < boundary_iou(predicted, true, share) == expected < 1


@pytest.mark.filterwarnings("ignore")  # MONAI calls what it calls deprecated
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((40, 60), (1, 1)),
        ((40, 60), (0.7, 2.0)),
        ((12, 30, 25), (1, 1, 1)),
        ((12, 30, 25), (3, 1, 1)),
    ],
)
def test_monai_gives_the_same_where_no_mask_is_empty(rng, shape, spacing):
    """MONAI takes the same pixels for a surface, the border of the image included."""
    import torch
    from monai import metrics

    for _ in range(3):
        predicted, true = blobs(rng, shape), blobs(rng, shape)
        true[..., -1] |= true[..., -2]  # some at the border
        found = agreement(predicted, true, spacing=spacing, tolerance=1.5)
        pair = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, true)]
        expected = [
            metrics.compute_dice(*pair),
            metrics.compute_iou(*pair),
            metrics.compute_hausdorff_distance(
                *pair, include_background=True, percentile=95, spacing=spacing
            ),
            metrics.compute_surface_dice(
                *pair, class_thresholds=[1.5], include_background=True, spacing=spacing
            ),
        ]
        np.testing.assert_allclose(measured(found)[:4], [float(v) for v in expected], rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # MONAI calls what it calls deprecated
def test_monai_leaves_out_the_empty_cases_that_we_count():
    """Why its means flatter a model that misses objects: the difference is wanted."""
    import torch
    from monai import metrics

    nothing, something = np.zeros((20, 20), np.bool_), square(4, 4, 8)
    empty, full = (torch.from_numpy(m)[None, None].float() for m in (nothing, something))
    assert math.isnan(float(metrics.DiceMetric()(full, empty)))
    missed = metrics.compute_hausdorff_distance(empty, full, include_background=True, percentile=95)
    assert math.isnan(float(missed))
    assert dice(something, nothing) == 0
    assert hausdorff_95(nothing, something, ONES) == pytest.approx(math.hypot(20, 20))


# ---- laws -----------------------------------------------------------------------------------


@given(pairs())
def test_agreement_is_symmetric_and_bounded(pair):
    predicted, true, spacing = pair
    found = agreement(predicted, true, spacing=spacing)
    back = agreement(true, predicted, spacing=spacing)
    np.testing.assert_array_equal(measured(found), measured(back))
    diagonal = np.linalg.norm(np.multiply(spacing, true.shape))
    assert 0 <= found.iou <= found.dice <= 1
    assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou))
    assert 0 <= found.surface_dice <= 1
    assert 0 <= found.hausdorff_95 <= diagonal * (1 + 1e-12)
    assert found.boundary_iou <= 1 or true.ndim == 3


@given(masks)
def test_a_mask_agrees_with_itself(mask):
    found = agreement(mask, mask, spacing=[1] * mask.ndim, tolerance=0)
    assert measured(found)[:4] == [1, 1, 0, 1]
    assert found.boundary_iou == 1 or mask.ndim == 3


@given(pairs(), st.integers(0, 4), st.integers(0, 4))
def test_room_around_the_masks_changes_nothing(pair, before, after):
    predicted, true, spacing = pair
    roomy = [np.pad(mask, (before, after)) for mask in (predicted, true)]
    found = agreement(predicted, true, spacing=spacing)
    padded = agreement(*roomy, spacing=spacing)
    if found.true_is_empty == found.predicted_is_empty:  # else the diagonal, which grows
        assert padded.hausdorff_95 == found.hausdorff_95
    assert padded.surface_dice == found.surface_dice
    assert (padded.dice, padded.iou) == (found.dice, found.iou)
    if true.ndim == 2:  # both diagonals are short of 75 pixels: bands of one pixel
        assert padded.boundary_iou == found.boundary_iou


def test_an_object_smaller_than_the_band_is_all_boundary():
    predicted, true = np.zeros((2, 3000, 4000), np.bool_)  # a band of 100 pixels
    predicted[500:520, 3000:3020], true[505:525, 3000:3020] = True, True
    assert boundary_iou(predicted, true) == iou(predicted, true) == 15 / 25


def test_a_large_image_gives_what_its_crop_gives():
    predicted, true = np.zeros((2, 3000, 4000), np.bool_)
    predicted[500:520, 3000:3020], true[505:525, 3000:3020] = True, True
    crop = (slice(500, 525), slice(3000, 3020))
    assert hausdorff_95(predicted, true, ONES) == hausdorff_95(predicted[crop], true[crop], ONES)


# ---- refusals -------------------------------------------------------------------------------


def test_masks_that_are_not_bool_are_refused():
    mask, logits = square(4, 4, 8), np.zeros((20, 20), np.float32)
    for measure in (dice, iou, boundary_iou):
        with pytest.raises(TypeError, match=r"predicted is float32: expected bool; compare first"):
            measure(logits, mask)
        with pytest.raises(TypeError, match=r"true is uint8: expected bool"):
            measure(mask, mask.astype(np.uint8) * 255)
    with pytest.raises(TypeError, match=r"ignore is uint8"):
        agreement(mask, mask, spacing=ONES, ignore=mask.astype(np.uint8))


def test_shapes_that_differ_are_refused():
    mask = square(4, 4, 8)
    with pytest.raises(ShapeError, match=r"true has shape \(20, 19\): expected \(20, 20\)"):
        dice(mask, mask[:, 1:])
    with pytest.raises(ShapeError, match=r"ignore has shape \(1, 20\)"):
        iou(mask, mask, mask[:1])
    with pytest.raises(ShapeError, match=r"expected \(H, W\) or \(D, H, W\)"):
        dice(mask[0], mask[0])
    with pytest.raises(ShapeError, match=r"predicted has shape \(1, 20, 20\): expected \(H, W\)"):
        boundary_iou(mask[None], mask[None])


@pytest.mark.parametrize(
    "spacing", [(1,), (1, 1, 1), (1, 0), (1, -1), (1, math.nan), (math.inf, 1)]
)
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(ValueError, match=r"expected 2 distances above 0, one an axis"):
        hausdorff_95(square(4, 4, 8), square(4, 4, 8), spacing)


@pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(ValueError, match=f"tolerance is {tolerance}: expected a distance"):
        surface_dice(square(4, 4, 8), square(4, 4, 8), tolerance, ONES)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    mask = square(4, 4, 8)
    with pytest.raises(MissingExtraError, match=r"pip install 'samphire\[tune\]'"):
        hausdorff_95(mask, mask, ONES)
    assert dice(mask, mask) == boundary_iou(mask, mask) == 1
