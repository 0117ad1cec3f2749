from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from samphire.errors import ImageError
from samphire.geometry import Size
from samphire.images.draw import BACKGROUND, FOREGROUND, draw, line_widths, side_by_side
from samphire.masks import Masks
from samphire.masks.colours import PALETTE, rgb
from samphire.prompts import Prompts

GREY = np.full((100, 140, 3), 128, np.uint8)


def _boxes(*boxes: tuple[int, int, int, int]) -> Masks:
    """Filled rectangles on 140x100."""
    dense = np.zeros((len(boxes), 100, 140), bool)
    for mask, (x0, y0, x1, y1) in zip(dense, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Masks.from_arrays(dense)


def _like(drawn: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Which pixels have the colour, but for a thin line's softness."""
    return (np.abs(drawn.astype(int) - colour) <= 10).all(axis=2)


NONE = Masks.from_runs(Size(100, 140), [], ())


def test_the_drawing_has_the_size_of_the_picture_and_the_picture_stays_as_it_was():
    given = GREY.copy()
    drawn = draw(given, _boxes((20, 20, 60, 60)))
    assert (drawn.mode, drawn.size) == ("RGB", (140, 100))
    assert np.array_equal(given, GREY)


def test_pixels_of_the_mask_change_and_those_away_from_it_do_not(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(GREY).save(path)
    drawn = np.array(draw(path, _boxes((20, 30, 60, 70))))
    changed = (drawn != GREY).any(axis=2)
    assert changed[30:70, 20:60].all()
    outline = 2  # half of the line, rounded up, and its soft edge
    changed[30 - outline : 70 + outline, 20 - outline : 60 + outline] = False
    assert not changed.any()


@pytest.mark.parametrize("opacity", [0.0, 0.25, 1.0])
def test_the_tint_is_the_colour_laid_over_with_the_opacity(opacity):
    inside = np.array(draw(GREY, _boxes((20, 20, 80, 80)), opacity=opacity))[50, 50]
    expected = 128 * (1 - opacity) + np.array(PALETTE[0]) * opacity
    np.testing.assert_allclose(inside, expected, atol=0.51)


def test_a_mask_is_outlined_in_its_colour():
    drawn = np.array(draw(GREY, _boxes((20, 20, 80, 80)), opacity=0))
    assert _like(drawn, PALETTE[0])[20, 30:70].all()


def test_two_masks_have_different_colours():
    drawn = np.array(draw(GREY, _boxes((5, 5, 45, 45), (70, 50, 110, 90)), opacity=1))
    assert drawn[25, 25].tolist() == list(PALETTE[0])
    assert drawn[70, 90].tolist() == list(PALETTE[1])


def test_where_more_masks_meet_than_the_palette_has_colours_they_come_again_lighter():
    boxes = [(5 + 6 * i, 5 + 4 * i, 135 - 6 * i, 95 - 4 * i) for i in range(len(PALETTE) + 1)]
    drawn = np.array(draw(GREY, _boxes(*boxes), opacity=1))
    seen = [tuple(drawn[50, x0 + 3].tolist()) for x0, *_ in boxes]
    assert seen == [*PALETTE, rgb(len(PALETTE))]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_small_mask_stays_visible_on_a_large_one_in_either_order(order):
    small, large = (50, 50, 80, 80), (5, 5, 135, 95)
    drawn = np.array(draw(GREY, _boxes(small, large)[np.array(order)], opacity=1))
    assert drawn[65, 65].tolist() == list(PALETTE[1])
    assert drawn[65, 20].tolist() == list(PALETTE[0])


def test_a_hole_is_not_tinted():
    dense = np.zeros((1, 100, 140), bool)
    dense[0, 10:90, 10:90] = True
    dense[0, 30:70, 30:70] = False
    drawn = np.array(draw(GREY, Masks.from_arrays(dense)))
    assert drawn[50, 50].tolist() == [128] * 3
    assert drawn[20, 20].tolist() != [128] * 3


def test_a_hole_is_outlined():
    dense = np.zeros((1, 100, 140), bool)
    dense[0, 10:90, 10:90] = True
    dense[0, 30:70, 30:70] = False
    drawn = np.array(draw(GREY, Masks.from_arrays(dense), opacity=0))
    assert _like(drawn, PALETTE[0])[50, 25:35].any()


@pytest.mark.parametrize("ground", [0, 255])
def test_the_outline_shows_on_black_and_on_white(ground):
    photo = np.full((300, 400, 3), ground, np.uint8)
    dense = np.zeros((len(PALETTE), 300, 400), bool)
    for i in range(len(PALETTE)):
        dense[i, 20:280, 55 * i + 8 : 55 * i + 48] = True
    drawn = np.array(draw(photo, Masks.from_arrays(dense), opacity=0)).astype(int)
    for i in range(len(PALETTE)):
        across = drawn[150, 55 * i + 3 : 55 * i + 14].sum(axis=1)
        assert abs(across - 3 * ground).max() > 250


def test_lines_grow_with_the_picture_and_are_thinner_for_many_masks():
    few = [line_widths(Size(side, side), 5)[0] for side in (60, 600, 1200, 6000)]
    many = [line_widths(Size(side, side), 300)[0] for side in (60, 600, 1200, 6000)]
    assert few == sorted(few)
    assert few[-1] > few[0]
    assert many[2:] < few[2:]
    assert min(many) == 1


def test_specks_beside_a_mask_are_tinted_without_a_line():
    dense = np.zeros((1, 100, 140), bool)
    dense[0, 10:90, 10:90] = True
    dense[0, 50:52, 110:112] = True
    drawn = np.array(draw(GREY, Masks.from_arrays(dense), opacity=0.25))
    assert (drawn[50:52, 110:112] != 128).any(axis=2).all()
    assert (drawn[49, 105:120] == 128).all()
    alone = np.zeros((1, 100, 140), bool)
    alone[0, 50:52, 110:112] = True
    drawn = np.array(draw(GREY, Masks.from_arrays(alone), opacity=0))
    assert (drawn != 128).any(axis=2)[50:52, 110:112].all()  # the only one there is


def test_captions_are_numbers_on_the_masks_and_scores_beside_them_if_asked():
    photo = np.full((300, 400, 3), 128, np.uint8)
    dense = np.zeros((2, 300, 400), bool)
    dense[0, 20:120, 20:180] = dense[1, 150:290, 200:390] = True
    masks = replace(Masks.from_arrays(dense), predicted_iou=np.array([0.5, np.nan]))
    none, ids, scores = (
        np.array(draw(photo, masks, captions=captions)) for captions in ("none", "ids", "scores")
    )
    assert (ids != none).any(axis=2)[65:75, 95:105].any()
    assert (ids != none).any(axis=2)[215:225, 290:300].any()
    wider = (scores != none).any(axis=2).sum(axis=1)
    assert wider[60:80].max() > 2 * (ids != none).any(axis=2).sum(axis=1)[60:80].max()
    assert np.array_equal(scores[150:], ids[150:])  # the second mask has no score


def test_names_are_captions_where_there_are_names():
    photo = np.full((300, 400, 3), 128, np.uint8)
    dense = np.zeros((2, 300, 400), bool)
    dense[0, 20:120, 20:180] = dense[1, 150:290, 200:390] = True
    masks = replace(Masks.from_arrays(dense), name=("polyp", ""))
    none, names, ids = (
        np.array(draw(photo, masks, captions=captions)) for captions in ("none", "names", "ids")
    )
    width = (names != none).any(axis=2).any(axis=0).sum()
    assert width > 2 * (ids != none)[:150].any(axis=2).any(axis=0).sum()
    assert np.array_equal(names[150:], none[150:])  # the second mask has no name


def test_captions_of_another_word_are_refused():
    with pytest.raises(ValueError, match="captions='areas': expected one of none, ids, scores"):
        draw(GREY, NONE, captions="areas")


def test_empty_masks_and_no_masks_change_nothing():
    for masks in (NONE, Masks.from_arrays(np.zeros((2, 100, 140)))):
        assert np.array_equal(np.array(draw(GREY, masks, captions="ids")), GREY)


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (139, 99, 140, 100), (0, 0, 140, 100), (7, 0, 8, 100)]
)
def test_a_mask_of_one_pixel_one_column_or_the_whole_picture_is_drawn(box):
    drawn = np.array(draw(GREY, _boxes(box)))
    assert (drawn[box[1], box[0]] != 128).any()


def test_clicks_are_drawn_green_on_the_object_and_red_on_the_background():
    prompts = Prompts.of(points=[(30, 40), (100, 70)], labels=[1, 0])
    drawn = np.array(draw(GREY, NONE, prompts))
    assert drawn[40, 30].tolist() == list(FOREGROUND)
    assert drawn[70, 100].tolist() == list(BACKGROUND)
    assert drawn[10, 10].tolist() == [128] * 3


def test_a_box_is_drawn_as_its_outline():
    drawn = np.array(draw(GREY, NONE, Prompts.of(boxes=[(20, 30, 90, 80)])))
    for x, y in ((20, 50), (90, 50), (50, 30), (50, 80)):
        assert drawn[y, x].tolist() == list(FOREGROUND)
    assert drawn[50, 50].tolist() == [128] * 3


def test_a_prompt_at_the_edge_of_the_picture_is_drawn():
    drawn = np.array(draw(GREY, NONE, Prompts.of(points=[(0, 0)], boxes=[(0, 0, 140, 100)])))
    assert drawn[0, 0].tolist() == list(FOREGROUND)


def test_another_picture_than_that_of_the_masks_is_refused(tmp_path):
    path = tmp_path / "other.png"
    Image.new("RGB", (100, 140)).save(path)
    with pytest.raises(ImageError, match=r"other\.png is 100x140, the masks are for 140x100"):
        draw(path, NONE)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2)])
def test_pictures_stand_side_by_side_under_their_captions(count, columns, rows):
    colours = [(200, 10 * i, 0) for i in range(count)]
    pictures = [Image.new("RGB", (280, 200), colour) for colour in colours]
    sheet = side_by_side(pictures, ["a caption"] * count, tile_width=140)
    assert sheet.size == (columns * (140 + 16) + 16, rows * (100 + 52) + 16)
    for index, colour in enumerate(colours):
        left, top = 16 + index % columns * 156, index // columns * 152
        assert sheet.getpixel((left + 70, top + 52 + 50)) == colour
        caption = sheet.crop((left, top, left + 140, top + 52))
        assert caption.getextrema()[0][0] < 100  # dark letters on white


def test_a_picture_without_a_caption_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        side_by_side([Image.new("RGB", (10, 10))] * 2, ["one"])
