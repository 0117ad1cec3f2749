"""Colours of masks: who differs from whom, and for whose eyes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.geometry import Size
from samphire.masks.colours import (
    COLOURS,
    NEAREST_GAP,
    PALETTE,
    colour_numbers,
    mask_colours,
    neighbours,
    rgb,
)

# What linear RGB becomes for people without one kind of cone.
# Source: Machado, Oliveira and Fernandes 2009, table 1, severity 1.0.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = TO_XYZ.sum(axis=1)


def _lab(colours, eyes: np.ndarray) -> np.ndarray:
    """CIELAB (N, 3), D65, of sRGB colours as seen with these eyes."""
    shares = np.array(colours) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ eyes.T, 0, 1) @ TO_XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def _least_distance(colours, eyes: np.ndarray) -> float:
    lab = _lab(colours, eyes)
    first, second = np.triu_indices(len(lab), 1)
    return np.linalg.norm(lab[first] - lab[second], axis=1).min()


def test_lab_is_that_of_the_standard():
    seen = _lab([(255, 255, 255), (255, 0, 0)], EYES["all cones"])
    np.testing.assert_allclose(seen, [[100, 0, 0], [53.24, 80.09, 67.20]], atol=0.02)


@pytest.mark.parametrize("eyes", EYES.values(), ids=EYES)
def test_the_palette_is_told_apart_with_any_eyes(eyes):
    assert _least_distance(PALETTE, eyes) > 16


@pytest.mark.parametrize("eyes", EYES.values(), ids=EYES)
def test_lighter_and_darker_colours_are_told_apart_too_if_less(eyes):
    assert _least_distance([rgb(number) for number in range(COLOURS)], eyes) > 6


@st.composite
def boxes(draw):
    count = draw(st.integers(0, 40))
    seed, reach = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([10, 40, 100]))
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 200, (count, 2))
    return np.concatenate([corner, corner + rng.integers(0, reach, (count, 2))], axis=1)


def _near(first, second, gap: int) -> bool:
    """The rule in plain words: both hold pixels, and fewer than ``gap`` lie between them."""
    empty = any(x0 == x1 or y0 == y1 for x0, y0, x1, y1 in (first, second))
    between = [max(first[i], second[i]) - min(first[i + 2], second[i + 2]) for i in (0, 1)]
    return not empty and max(between) < gap


@given(boxes(), st.integers(1, 20))
def test_neighbours_are_those_with_less_than_the_gap_between(edges, gap):
    for index in range(len(edges)):
        expected = [i != index and _near(edges[index], other, gap) for i, other in enumerate(edges)]
        assert neighbours(edges, index, gap).tolist() == expected


@given(boxes(), st.integers(1, 20))
def test_neighbours_differ_while_there_are_colours(edges, gap):
    numbers = colour_numbers(edges, gap)
    assert numbers.shape == (len(edges),)
    assert ((numbers >= 0) & (numbers < COLOURS)).all()
    for index in range(len(edges)):
        near = neighbours(edges, index, gap)
        if near.sum() < COLOURS:
            assert numbers[index] not in numbers[near]


@given(boxes(), st.randoms())
def test_colours_do_not_depend_on_the_order_of_boxes_of_different_area(edges, random):
    areas = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    edges = edges[np.unique(areas, return_index=True)[1]]
    order = random.sample(range(len(edges)), len(edges))
    assert colour_numbers(edges[order]).tolist() == colour_numbers(edges)[order].tolist()


def test_masks_apart_take_turns():
    apart = [(20 * i, 0, 20 * i + 10, 10) for i in range(2 * len(PALETTE))]
    assert colour_numbers(apart).tolist() == 2 * list(range(len(PALETTE)))


def test_only_where_the_palette_is_used_up_a_lighter_colour_comes_and_then_a_darker_one():
    nested = [(i, i, 100 - i, 100 - i) for i in range(COLOURS)]
    assert colour_numbers(nested).tolist() == list(range(COLOURS))


def test_a_box_that_meets_all_colours_takes_the_rarest_around():
    nested = [(i, i, 100 - i, 100 - i) for i in range(COLOURS + 2)]
    assert colour_numbers(nested)[-2:].tolist() == [0, 1]


def test_no_boxes_and_empty_boxes_are_welcome():
    assert colour_numbers([]).shape == (0,)
    assert len(colour_numbers(np.zeros((9, 4)))) == 9


def test_the_gap_grows_with_the_picture():
    pair = np.array([(0, 0, 100, 100), (0, 110, 100, 210), (0, 300, 9, 309)])
    more = np.concatenate([pair[:1], [(5000, 0, 5100 + i, 100) for i in range(6)], pair[1:2]])
    assert neighbours(pair, 0, NEAREST_GAP).tolist() == [False] * 3
    assert neighbours(pair, 0, 40).tolist() == [False, True, False]
    assert len(set(mask_colours(pair, Size(8000, 8000))[:2])) == 2
    assert mask_colours(more, Size(8000, 8000))[0] != mask_colours(more, Size(8000, 8000))[-1]
