"""Places of captions: on what is seen of their masks, or nowhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from samphire.geometry import Size
from samphire.images.captions import (
    NOBODY,
    SMALLEST,
    Caption,
    owners,
    place_captions,
    text_size,
    write_captions,
)
from samphire.masks import Masks


def _boxes(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Masks:
    dense = np.zeros((len(boxes), height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(dense, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Masks.from_arrays(dense)


def _rectangle(caption: Caption) -> tuple[float, float, float, float]:
    (x, y), (width, height) = caption.centre, text_size(caption.text, caption.size)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def test_a_caption_stands_in_the_middle_of_a_square():
    (caption,) = place_captions(_boxes(200, 300, (50, 60, 151, 161)), ["0"])
    assert caption.text == "0"
    assert caption.centre == pytest.approx((100.5, 110.5), abs=1.01)


def test_the_picture_s_edge_is_an_edge():
    (caption,) = place_captions(_boxes(100, 100, (0, 0, 100, 100)), ["0"])
    assert caption.centre == pytest.approx((50, 50), abs=1.5)


def test_a_caption_stands_beside_the_smaller_mask_on_top():
    whole, part = (10, 10, 290, 190), (120, 60, 180, 140)
    places = {c.text: c.centre for c in place_captions(_boxes(200, 300, whole, part), ["0", "1"])}
    assert places["1"] == pytest.approx((150, 100), abs=1.5)
    assert not 110 < places["0"][0] < 190


def test_what_does_not_fit_is_left_out():
    thin, tiny, fine = (0, 10, 200, 18), (150, 150, 155, 155), (30, 60, 130, 160)
    placed = place_captions(_boxes(200, 300, thin, tiny, fine), ["0", "1", "2"])
    assert [caption.text for caption in placed] == ["2"]


def test_a_long_text_on_a_small_mask_is_smaller_and_then_left_out():
    def sizes(width: int) -> list[int]:
        masks = _boxes(1200, 1200, (100, 100, 100 + width, 200))
        return [caption.size for caption in place_captions(masks, ["12  0.97"])]

    assert sizes(200) == [20]
    assert sizes(80) == [14]
    assert sizes(30) == []


@pytest.mark.parametrize(("side", "size"), [(40, SMALLEST), (1200, 20), (9000, 150)])
def test_letters_grow_with_the_picture_and_are_never_tiny(side, size):
    whole = Masks.from_runs(
        Size(side, side), [(0, 0, side, side)], (np.array([0, side**2], np.uint32),)
    )
    (caption,) = place_captions(whole, ["1"])
    assert caption.size == size


@given(st.data())
def test_captions_lie_inside_their_mask_and_meet_no_other(data):
    side = st.integers(0, 240)
    corners = data.draw(st.lists(st.tuples(side, side, side, side), min_size=1, max_size=9))
    boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    masks = _boxes(241, 241, *boxes)
    placed = place_captions(masks, [str(i) for i in range(len(masks))])
    dense = masks.to_array()
    areas = np.array([c.text for c in placed], int)
    assert masks.area[areas].tolist() == sorted(masks.area[areas].tolist(), reverse=True)
    for number, caption in enumerate(placed):
        x0, y0, x1, y1 = _rectangle(caption)
        inside = np.s_[
            int(np.floor(y0 + 0.5)) : int(y1 + 0.5), int(np.floor(x0 + 0.5)) : int(x1 + 0.5)
        ]
        assert dense[int(caption.text)][inside].all()
        for other in placed[:number]:
            ox0, oy0, ox1, oy1 = _rectangle(other)
            assert x1 <= ox0 + 1 or ox1 <= x0 + 1 or y1 <= oy0 + 1 or oy1 <= y0 + 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_smallest_mask_is_seen_at_each_cell(seed, factor):
    rng = np.random.default_rng(seed)
    dense = rng.random((4, 13, 17)) < rng.random((4, 1, 1))
    masks = Masks.from_arrays(dense)
    seen = owners(masks, factor)
    assert seen.shape == (-(-13 // factor), -(-17 // factor))
    for (row, column), owner in np.ndenumerate(seen):
        there = np.flatnonzero(dense[:, row * factor, column * factor])
        if not len(there):
            assert owner == NOBODY
        else:
            assert owner in there
            assert masks.area[owner] == masks.area[there].min()


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_letters_are_light_with_a_dark_rim_on_any_ground(ground):
    picture = Image.new("RGB", (100, 60), (ground,) * 3)
    write_captions(picture, [Caption("8", (50, 30), 30)])
    around = np.array(picture)[:, :, 0]
    assert around.max() == 255
    assert (around == 255).any()
    assert around[15:45, 35:65].min() == 0
    assert (around[:, :20] == ground).all()
