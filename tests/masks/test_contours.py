"""Exact polygons against SciPy's labels, pycocotools and exact fractions."""

import dataclasses
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco
from scipy import ndimage

from samphire.errors import ShapeError
from samphire.geometry import Size
from samphire.masks import Masks, rle
from samphire.masks.contours import Polygon, from_polygons, polygons, simplified
from samphire.masks.regions import fill_holes

dense_masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))
quarters = st.integers(-12, 44).map(lambda quarter: quarter / 4)
rings = st.lists(st.tuples(quarters, quarters), min_size=3, max_size=7).map(np.array)
SIZE = Size(7, 8)
# A part with two holes, the first around another part with a hole of its own.
NESTED = np.ones((7, 9), bool)
NESTED[1:6, 1:6] = NESTED[3, 7] = False
NESTED[2:5, 2:5] = True
NESTED[3, 3] = False


def _polygons(dense):
    return polygons(Masks.from_arrays([dense]), 0)


def _painted(size, *parts):
    return from_polygons(size, [parts]).to_array()[0]


def _signed_area(ring):
    """Positive if it goes clockwise on the screen."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _exactly_inside(rings, x, y):
    """Even-odd by a ray to the right in exact numbers; None on an edge."""
    inside = False
    for ring in rings:
        exact = [(Fraction(float(a)), Fraction(float(b))) for a, b in ring]
        for (ax, ay), (bx, by) in zip(exact, exact[1:] + exact[:1], strict=True):
            side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            within = min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)
            if side == 0 and within:
                return None
            if (ay > y) != (by > y) and (side > 0) == (by > ay):
                inside = not inside
    return inside


@given(dense_masks)
@example(np.eye(3) > 0)
@example(np.eye(3)[::-1] > 0)
@example(np.indices((7, 7)).sum(axis=0) % 2 > 0)
@example(np.ones((1, 1), bool))
def test_a_mask_comes_back_from_its_polygons(dense):
    masks = Masks.from_arrays([dense])
    back = from_polygons(masks.size, [polygons(masks, 0)])
    assert back.equal(masks)


@given(dense_masks)
@example(np.eye(3)[::-1] > 0)
@example(NESTED)
def test_each_polygon_is_one_part_in_order_of_appearance(dense):
    labels, count = ndimage.label(dense, np.ones((3, 3)))
    found = _polygons(dense)
    assert len(found) == count
    down = labels.ravel(order="F")
    appearance = list(dict.fromkeys(down[down > 0].tolist()))
    for polygon, label in zip(found, appearance, strict=True):
        assert np.array_equal(_painted(Size(*dense.shape), polygon), labels == label)


@given(dense_masks)
def test_there_is_a_hole_for_each_part_of_the_background_but_the_outside(dense):
    background, count = ndimage.label(np.pad(~dense, 1, constant_values=True))
    found = [hole for polygon in _polygons(dense) for hole in polygon.holes]
    assert len(found) == count - 1
    areas = np.bincount(background.ravel())[1:].tolist()
    areas.remove(areas[background[0, 0] - 1])
    assert sorted(-_signed_area(hole) for hole in found) == sorted(areas)


@given(dense_masks)
def test_rings_follow_pixel_edges_turn_at_each_vertex_and_enclose_the_area(dense):
    found = _polygons(dense)
    for polygon in found:
        assert _signed_area(polygon.outer) > 0
        for ring in polygon.rings:
            steps = np.roll(ring, -1, axis=0) - ring
            assert np.array_equal(ring, np.rint(ring))
            assert ((steps == 0).sum(axis=1) == 1).all()
            across = steps[:, 0] != 0
            assert (across != np.roll(across, 1)).all()
            assert ring[0].tolist() == min(ring.tolist())
    total = sum(_signed_area(ring) for polygon in found for ring in polygon.rings)
    assert total == dense.sum()


@given(dense_masks)
def test_outer_rings_give_pycocotools_the_same_mask_where_there_are_no_holes(dense):
    masks = fill_holes(Masks.from_arrays([dense]), dense.size)
    flat = [polygon.outer.ravel().tolist() for polygon in polygons(masks, 0)]
    if flat:
        merged = coco.merge(coco.frPyObjects(flat, *dense.shape))["counts"].decode()
        assert merged == rle.to_coco(masks.image_runs(0))


@given(dense_masks, st.data())
def test_runs_of_length_zero_change_no_polygon(dense, data):
    masks = Masks.from_arrays([dense])
    runs = masks.runs[0].tolist()
    at = data.draw(st.integers(0, len(runs) - 1))
    part = data.draw(st.integers(0, runs[at]))
    split = np.array([*runs[:at], part, 0, runs[at] - part, *runs[at + 1 :]], np.uint32)
    other = polygons(dataclasses.replace(masks, runs=(split,)), 0)
    expected = polygons(masks, 0)
    assert len(other) == len(expected)
    assert all(a.equal(b) for a, b in zip(other, expected, strict=True))


def test_an_island_in_a_hole_is_a_polygon_of_its_own_and_holes_go_to_their_parts():
    whole, island = _polygons(NESTED)
    assert [ring.tolist()[0] for ring in whole.rings] == [[0, 0], [1, 1], [7, 3]]
    assert island.outer.tolist() == [[2, 2], [5, 2], [5, 5], [2, 5]]
    assert island.holes[0].tolist() == [[3, 3], [3, 4], [4, 4], [4, 3]]
    assert repr(whole) == "Polygon(4 vertices, 2 holes)"


def test_an_empty_mask_has_no_polygons_and_no_polygons_give_an_empty_mask():
    assert _polygons(np.zeros((3, 4))) == ()
    empty = Masks.from_arrays(np.zeros((2, 3, 4)))
    assert from_polygons(Size(3, 4), [[], []]).equal(empty)
    assert len(from_polygons(Size(3, 4), [])) == 0


@given(st.lists(rings, min_size=1, max_size=3))
def test_a_pixel_is_on_where_its_centre_is_inside_whatever_the_rings(given_rings):
    painted = _painted(SIZE, Polygon(given_rings[0], tuple(given_rings[1:])))
    half = Fraction(1, 2)
    for y, x in np.ndindex(painted.shape):
        inside = _exactly_inside(given_rings, x + half, y + half)
        assert inside is None or painted[y, x] == inside, (x, y)


@given(rings, rings)
def test_polygons_of_one_mask_are_united(left, right):
    apart = _painted(SIZE, Polygon(left)), _painted(SIZE, Polygon(right))
    assert np.array_equal(_painted(SIZE, Polygon(left), Polygon(right)), apart[0] | apart[1])


@given(arrays(np.float64, 2, elements=st.floats(0.5, 6.5)))
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(centre):
    corners = np.array([[0, 0], [8, 0], [8, 7], [0, 7]])
    wedges = [Polygon([*corners[[i, (i + 1) % 4]], centre]) for i in range(4)]
    painted = from_polygons(SIZE, [[wedge] for wedge in wedges]).to_array()
    assert (painted.sum(axis=0) == 1).all()


def test_what_lies_outside_is_cut_off_however_far():
    huge = np.array([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]])
    assert _painted(SIZE, Polygon(huge)).all()
    assert not _painted(SIZE, Polygon(huge[:2])).any()
    assert not _painted(SIZE, Polygon(np.array([[9, 9], [12, 9], [9, 12]]))).any()


@pytest.mark.parametrize("ring", [[[0, 0], [1, np.nan]], [[np.inf, 0]], [[0, 0], [-2e9, 1]]])
def test_coordinates_that_are_none_are_refused(ring):
    with pytest.raises(ValueError, match="not numbers between -1e\\+09 and 1e\\+09"):
        Polygon(np.zeros((3, 2)), (ring,))


def test_rings_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"ring has shape \(6,\): expected \(V, 2\)"):
        Polygon(np.arange(6))


def test_polygons_are_equal_by_all_their_rings_and_cannot_be_changed():
    outer, hole = np.arange(6).reshape(3, 2), np.zeros((3, 2))
    polygon = Polygon(outer, (hole,))
    assert polygon.equal(Polygon(outer.astype(float), (hole,)))
    assert not polygon.equal(Polygon(outer))
    assert not polygon.equal(Polygon(outer[::-1], (hole,)))
    assert not polygon.equal(Polygon(outer, (hole + 1,)))
    assert not any(ring.flags.writeable for ring in polygon.rings)


@given(dense_masks, st.sampled_from([0, 0.5, 1, 2.5]))
def test_a_simpler_ring_keeps_some_vertices_and_moves_little(dense, tolerance):
    for polygon in _polygons(dense):
        for before, after in zip(polygon.rings, simplified(polygon, tolerance).rings, strict=True):
            assert 3 <= len(after) <= len(before)
            assert set(map(tuple, after)) <= set(map(tuple, before))
            step = np.roll(after, -1, axis=0) - after
            offset = before[:, None] - after[None]
            along = np.clip((offset * step).sum(axis=2) / (step**2).sum(axis=1), 0, 1)
            distance = np.linalg.norm(offset - along[..., None] * step, axis=2).min(axis=1)
            assert distance.max() <= 1.5 * tolerance + 1e-6


def test_a_staircase_becomes_a_line_and_a_ring_too_small_stays():
    stairs, dot = _polygons(np.pad(np.tri(20), ((0, 0), (0, 2))) + np.eye(20, 22, 21) > 0)
    simple = simplified(stairs, 1)
    assert len(stairs.outer) == 42
    assert len(simple.outer) <= 5
    assert simplified(dot, 9).equal(dot)


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(ValueError, match="expected a number of pixels, at least 0"):
        simplified(Polygon(np.zeros((5, 2))), tolerance)


@pytest.mark.slow
def test_a_polygon_of_twenty_megapixels_makes_no_picture():
    size = Size(4000, 5000)
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    disc = np.stack([2500 + 2400 * np.cos(angle), 2000 + 1900 * np.sin(angle)], axis=1)
    tracemalloc.start()
    masks = from_polygons(size, [[Polygon(disc, (disc / 2 + 1000,))]])
    back = from_polygons(size, [polygons(masks, 0)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert back.equal(masks)
    assert masks.area[0] == pytest.approx(np.pi * 2400 * 1900 * 0.75, rel=1e-3)
    assert peak < 10_000_000
