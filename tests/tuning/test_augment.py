"""One view of image, masks, points and boxes, against NumPy's flips and against itself."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from samphire.errors import ShapeError
from samphire.tuning.augment import FLIPS, IDENTITY, SCALES, View, augment, draw_view

sides = st.integers(8, 60)
views = st.builds(
    View,
    mirror=st.booleans(),
    quarter_turns=st.integers(0, 3),
    scale=st.floats(0.75, 1.33),
    shift=st.tuples(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15)),
)


def _picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def _disc(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def _neighbours_on(mask):
    padded = np.pad(mask, 1)
    height, width = mask.shape
    shifted = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.logical_and.reduce(shifted)


def _inverse(view):
    # a mirror image turned is its own inverse
    turns = view.quarter_turns if view.mirror else -view.quarter_turns % 4
    return View(mirror=view.mirror, quarter_turns=turns)


@pytest.mark.parametrize("view", FLIPS)
def test_flips_are_those_of_numpy_bit_for_bit(view):
    image = _picture(7, 12)
    masks, ignore = image.transpose(2, 0, 1) > 128, image[:, :, 0] > 200
    made = augment(image, masks, view, ignore=ignore)
    mirrored = image[:, ::-1] if view.mirror else image
    expected = np.rot90(mirrored, view.quarter_turns)
    assert np.array_equal(made.image, expected)
    assert np.array_equal(made.masks, expected.transpose(2, 0, 1) > 128)
    assert np.array_equal(made.ignore, expected[:, :, 0] > 200)
    assert made.valid.all()
    assert made.valid.shape == expected.shape[:2]


def test_the_eight_flips_differ_and_the_first_changes_nothing():
    image = _picture(9, 9)
    made = {augment(image, np.zeros((0, 9, 9), bool), view).image.tobytes() for view in FLIPS}
    assert len(made) == 8
    assert FLIPS[0] == IDENTITY


@given(sides, sides, st.sampled_from(FLIPS), st.integers(0, 99))
def test_a_flip_and_its_inverse_give_all_back(height, width, view, seed):
    image = _picture(height, width, seed)
    masks = image.transpose(2, 0, 1) > 128
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, (width - 1, height - 1), (5, 2))
    low, high = np.sort(rng.uniform(0, 1, (2, 5, 2)), axis=0)
    boxes = np.concatenate([low, high], axis=1) * (width, height, width, height)
    there = augment(image, masks, view, points=points, boxes=boxes)
    back = augment(there.image, there.masks, _inverse(view), points=there.points, boxes=there.boxes)
    assert np.array_equal(back.image, image)
    assert np.array_equal(back.masks, masks)
    np.testing.assert_allclose(back.points, points, rtol=0, atol=1e-9)
    np.testing.assert_allclose(back.boxes, boxes, rtol=0, atol=1e-9)


@pytest.mark.parametrize("view", FLIPS)
def test_every_pixel_of_a_flipped_picture_is_where_its_point_says(view):
    rows, columns = np.mgrid[:5, :8]
    image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    made = augment(image, np.zeros((0, 5, 8), bool), view, points=points)
    x, y = made.points.astype(int).T
    assert np.array_equal(made.points, np.stack([x, y], axis=1))
    assert np.array_equal(made.image[y, x], image.reshape(-1, 3))


@pytest.mark.parametrize("view", FLIPS)
def test_a_tight_box_stays_tight_under_flips(view):
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 3:9, 11:27] = True
    made = augment(_picture(20, 30), mask, view, boxes=[(11, 3, 27, 9)])
    rows, columns = np.nonzero(made.masks[0])
    expected = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert tuple(made.boxes[0]) == expected


@given(sides, sides, views, st.data())
def test_a_point_inside_its_mask_stays_inside(height, width, view, draw):
    centre = draw.draw(st.tuples(st.integers(0, width - 1), st.integers(0, height - 1)))
    mask = _disc(height, width, *centre, draw.draw(st.integers(2, 20)))
    sure = mask if view.scale > 1.001 else _neighbours_on(mask)
    rows, columns = np.nonzero(sure)
    assume(len(rows))
    points = np.stack([columns, rows], axis=1)
    made = augment(_picture(height, width), mask[None], view, points=points)
    x, y = np.floor(made.points + 0.5).astype(int).T
    new_height, new_width = made.valid.shape
    seen = (x >= 0) & (y >= 0) & (x < new_width) & (y < new_height)
    assert made.masks[0, y[seen], x[seen]].all()


@given(views)
def test_a_disc_keeps_its_area_and_its_centre_moves_with_it(view):
    view = dataclasses.replace(view, shift=(view.shift[0] / 4, view.shift[1] / 4))
    disc = _disc(160, 200, 92, 84, 42)
    made = augment(_picture(160, 200), disc[None], view, points=[(92, 84)])
    rows, columns = np.nonzero(made.masks[0])
    assert abs(len(rows) / (disc.sum() * view.scale**2) - 1) < 0.02
    np.testing.assert_allclose((columns.mean(), rows.mean()), made.points[0], rtol=0, atol=0.5)


@given(views)
def test_the_box_of_a_disc_moves_with_it(view):
    disc = _disc(160, 200, 92, 84, 22)
    made = augment(_picture(160, 200), disc[None], view, boxes=[(70, 62, 115, 107)])
    rows, columns = np.nonzero(made.masks[0])
    tight = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    # a row of one pixel, the disc's outermost, may be left out when the picture gets smaller
    np.testing.assert_allclose(made.boxes[0], tight, rtol=0, atol=2)


@given(sides, sides, views)
def test_labels_are_moved_not_mixed(height, width, view):
    classes = np.random.default_rng(1).integers(0, 4, (height, width))
    masks = classes == np.arange(4)[:, None, None]
    made = augment(_picture(height, width), masks, view)
    # each valid pixel has exactly one class, and nothing else has any
    assert np.array_equal(made.masks.sum(axis=0), made.valid.astype(int))


@given(sides, sides, views)
def test_what_lies_outside_is_black_and_not_valid(height, width, view):
    white = np.full((height, width, 3), 255, np.uint8)
    full = np.ones((1, height, width), bool)
    made = augment(white, full, view, ignore=full[0])
    assert np.array_equal(made.image, np.repeat(made.valid[:, :, None] * np.uint8(255), 3, 2))
    assert np.array_equal(made.masks[0], made.valid)
    assert np.array_equal(made.ignore, made.valid)


def test_a_smaller_picture_lies_in_the_middle_of_its_frame():
    made = augment(_picture(40, 80), np.zeros((0, 40, 80), bool), View(scale=0.75))
    expected = np.zeros((40, 80), bool)
    expected[5:35, 10:70] = True
    assert np.array_equal(made.valid, expected)


def test_a_shift_is_a_share_of_the_turned_picture():
    mask = np.zeros((1, 10, 20), bool)
    mask[0, 0, 19] = True
    view = View(quarter_turns=1, shift=(0.2, 0.25))
    made = augment(_picture(10, 20), mask, view, points=[(19, 0)])
    assert np.argwhere(made.masks[0]).tolist() == [[5, 2]]
    assert made.points.tolist() == [[2, 5]]


@given(views, st.integers(3, 37), st.integers(3, 57))
def test_the_image_moves_with_its_labels(view, y, x):
    # a ramp is linear, so bilinear interpolation gives at each place the place it came from
    rows, columns = np.mgrid[:40, :60]
    image = np.stack([4 * rows, 4 * columns, 0 * rows], axis=2).astype(np.uint8)
    made = augment(image, np.zeros((0, 40, 60), bool), view, points=[(x, y)])
    there = np.floor(made.points[0] + 0.5).astype(int)
    assume((there >= 0).all() and (there < made.valid.shape[::-1]).all())
    came_from = made.image[there[1], there[0], :2] / 4
    np.testing.assert_allclose(came_from, (y, x), rtol=0, atol=0.5 / view.scale + 0.2)


def test_an_object_that_leaves_keeps_its_row_with_nothing_in_it():
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 0, 0] = masks[1, 10, 10] = True
    made = augment(_picture(20, 20), masks, View(scale=1.3), boxes=[(0, 0, 1, 1), (10, 10, 11, 11)])
    assert made.masks.any(axis=(1, 2)).tolist() == [False, True]
    assert (made.boxes[0, 2:] - made.boxes[0, :2]).prod() == 0
    assert (made.boxes[1, 2:] - made.boxes[1, :2]).prod() == pytest.approx(1.69)


def test_light_changes_the_image_only_and_contrast_keeps_its_mean():
    image = np.full((10, 10, 3), 100, np.uint8)
    image[:5] = 140
    masks = np.ones((1, 10, 10), bool)
    view = View(contrast=0.5)
    assert np.unique(augment(image, masks, view).image).tolist() == [110, 130]
    brighter = augment(image, masks, View(brightness=0.2, scale=0.8))
    assert np.unique(brighter.image[brighter.valid]).tolist() >= [151]
    assert not brighter.image[~brighter.valid].any()
    assert augment(image, masks, View(brightness=1)).image.min() == 255
    assert augment(image, masks, View(brightness=-1)).image.max() == 0


def test_a_grey_picture_stays_grey():
    image = np.repeat(_picture(30, 40)[:, :, :1], 3, axis=2)
    view = draw_view("full", np.random.default_rng(3))
    made = augment(image, np.zeros((0, 30, 40), bool), view).image
    assert (made == made[:, :, :1]).all()


def test_views_are_drawn_from_their_kind():
    rng = np.random.default_rng(0)
    assert draw_view("none", rng) == IDENTITY
    assert {draw_view("flips", rng) for _ in range(200)} == set(FLIPS)
    full = [draw_view("full", rng) for _ in range(200)]
    scales = np.array([view.scale for view in full])
    assert SCALES[0] <= scales.min() < 0.8
    assert 1.25 < scales.max() <= SCALES[1]
    assert {view.mirror for view in full} == {True, False}
    assert {view.quarter_turns for view in full} == {0, 1, 2, 3}
    assert len({view.brightness for view in full}) == len({view.contrast for view in full}) == 200


def test_the_same_generator_gives_the_same_view():
    drawn = [draw_view("full", np.random.default_rng(5)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert hash(drawn[0]) == hash(drawn[1])


def test_full_views_show_a_smaller_picture_whole_and_fill_the_frame_with_a_larger_one():
    rng = np.random.default_rng(0)
    for _ in range(100):
        view = draw_view("full", rng)
        made = augment(_picture(40, 60), np.ones((1, 40, 60), bool), view)
        if view.scale >= 1:
            assert made.valid.all()
        else:
            seen = made.valid.any(axis=1).sum(), made.valid.any(axis=0).sum()
            height, width = made.valid.shape
            np.testing.assert_allclose(seen, (height * view.scale, width * view.scale), atol=1)


def test_the_inputs_are_not_changed_and_the_results_cannot_be():
    image, masks = _picture(12, 15), np.ones((2, 12, 15), bool)
    points = np.ones((3, 2))
    kept = image.copy(), masks.copy(), points.copy()
    view = View(mirror=True, scale=0.9, brightness=0.1)
    made = augment(image, masks, view, points=points)
    assert all(map(np.array_equal, kept, (image, masks, points)))
    for array in (made.image, made.masks, made.points, made.valid):
        assert not array.flags.writeable
    assert made.ignore is None
    assert made.boxes is None


def test_read_only_inputs_are_taken():
    image, masks = _picture(6, 6), np.ones((1, 6, 6), bool)
    image.flags.writeable = masks.flags.writeable = False
    assert np.array_equal(augment(image, masks, IDENTITY).image, image)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"image": np.zeros((5, 6, 3))}, ValueError, "image is float64: expected uint8"),
        ({"image": np.zeros((5, 6), np.uint8)}, ShapeError, "image has shape"),
        ({"masks": np.zeros((1, 5, 6), np.uint8)}, ValueError, "masks > 0"),
        ({"masks": np.zeros((1, 6, 5), bool)}, ShapeError, "masks has shape"),
        ({"ignore": np.zeros((5, 6), np.uint8)}, ValueError, "ignore is uint8"),
        ({"ignore": np.zeros((6, 5), bool)}, ShapeError, "ignore has shape"),
        ({"points": np.zeros((2, 3))}, ShapeError, "points has shape"),
        ({"boxes": np.zeros((2, 2))}, ShapeError, "boxes has shape"),
    ],
)
def test_what_cannot_be_moved_is_refused(changed, error, words):
    given = {"image": np.zeros((5, 6, 3), np.uint8), "masks": np.zeros((1, 5, 6), bool)} | changed
    with pytest.raises(error, match=words):
        augment(view=IDENTITY, **given)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quarter_turns", 4),
        ("scale", 0.0),
        ("scale", float("nan")),
        ("shift", (0.0, float("inf"))),
        ("contrast", -0.5),
        ("brightness", 30.0),
    ],
)
def test_a_view_that_is_none_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is .*expected"):
        View(**{field: value})


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="'none', 'flips' or 'full'"):
        draw_view("heavy", np.random.default_rng(0))
