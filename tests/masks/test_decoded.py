import cv2
import numpy as np
import pytest

from samphire.embedding import LowRes
from samphire.errors import ShapeError
from samphire.geometry import Size
from samphire.images.preprocessing import sam
from samphire.masks import Decoded
from samphire.masks.decoded import OBJECTS_SHOWN, TILE_SIDE
from samphire.masks.picture import INSIDE, OUTSIDE

WIDE = sam(64).frame(Size(30, 50))


def _decoded(logits, frame=WIDE) -> Decoded:
    """Candidates of these logits, (B, M, S, S)."""
    objects, candidates, side, _ = logits.shape
    scores = np.linspace(0.5, 1, objects * candidates).reshape(objects, candidates)
    low_res = LowRes(logits.reshape(-1, side, side), np.argwhere(np.ones(scores.shape)), scores)
    return Decoded(low_res, np.tile(np.arange(1, candidates + 1), (objects, 1)), frame)


def _shown(decoded: Decoded) -> np.ndarray:
    """The notebook's picture, RGB."""
    data = np.frombuffer(decoded._repr_png_(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def _tile(shown: np.ndarray) -> np.ndarray:
    """The only heat map of a picture: what is not white below the caption."""
    rows, columns = ((shown[24:] != 255).any(axis=(axis, 2)) for axis in (1, 0))
    return shown[24:][rows][:, columns]


def test_it_gives_the_logits_of_one_candidate_and_prints_in_one_line(rng):
    decoded = _decoded(rng.standard_normal((2, 3, 16, 16)).astype(np.float32))
    assert np.array_equal(decoded[1, 2], decoded.low_res.logits[5])
    assert np.array_equal(decoded.logits, decoded.low_res.grid)
    assert decoded.predicted_iou is decoded.low_res.predicted_iou
    assert repr(decoded) == "Decoded(2 objects x 3 candidates, 50x30)"


def test_candidates_that_do_not_fit_the_scores_are_refused():
    low_res = _decoded(np.zeros((2, 3, 4, 4))).low_res
    with pytest.raises(ShapeError, match=r"candidates has shape \(3, 2\): expected \(2, 3\)"):
        Decoded(low_res, np.zeros((3, 2)), WIDE)


def test_answers_are_equal_by_logits_tokens_and_frame():
    logits = np.zeros((1, 3, 16, 16), np.float32)
    decoded = _decoded(logits)
    assert decoded.equal(_decoded(logits))
    assert not decoded.equal(_decoded(logits + 1))
    assert not decoded.equal(_decoded(logits, sam(64).frame(Size(30, 49))))
    assert not decoded.equal(Decoded(decoded.low_res, decoded.candidates - 1, WIDE))


def test_a_notebook_shows_inside_red_outside_blue_and_the_cut_at_zero_black():
    logits = np.full((1, 1, 16, 16), -20, np.float32)
    logits[..., 8:] = 20
    tile = _shown(_decoded(logits, sam(64).frame(Size(64, 64))))[24 : 24 + TILE_SIDE, 8:-8]
    assert tile[160, 40].tolist() == list(OUTSIDE)
    assert tile[160, 280].tolist() == list(INSIDE)
    black = np.flatnonzero((tile[160] == 0).all(axis=1))
    assert black.tolist() == [160, 319]  # the cut, and the end of the red part at the edge


def test_a_logit_of_zero_is_white_and_a_small_one_is_pale():
    logits = np.zeros((1, 2, 16, 16), np.float32)
    logits[0, 1] = -2
    shown = _shown(_decoded(logits, sam(64).frame(Size(64, 64))))
    assert shown[180, 160].tolist() == [255, 255, 255]
    pale = 255 + (np.array(OUTSIDE) - 255) * 2 / 8
    np.testing.assert_allclose(shown[180, 16 + TILE_SIDE + 160], pale, atol=1)


@pytest.mark.parametrize("size", [Size(30, 50), Size(50, 30), Size(2, 1000)])
def test_the_padding_is_left_out_and_the_photo_keeps_its_shape(size):
    frame = sam(64).frame(size)
    logits = np.full((1, 1, 16, 16), 20, np.float32)
    logits[..., -(-frame.resized.height // 4) :, :] = -20
    logits[..., :, -(-frame.resized.width // 4) :] = -20
    tile = _tile(_shown(_decoded(logits, frame)))
    height, width = tile.shape[:2]
    assert max(height, width) == TILE_SIDE
    assert height == pytest.approx(TILE_SIDE * size.height / max(size.height, size.width), abs=1)
    assert width == pytest.approx(TILE_SIDE * size.width / max(size.height, size.width), abs=1)
    assert not (tile == OUTSIDE).all(axis=2).any()


@pytest.mark.parametrize("size", [Size(900, 300), Size(1920, 1080), Size(2000, 1)])
def test_captions_of_tall_pictures_do_not_touch(size):
    logits = np.full((1, 3, 16, 16), -20, np.float32)
    three = _shown(_decoded(logits, sam(64).frame(size)))[:24]
    one = _shown(_decoded(logits[:, :1], sam(64).frame(size)))[:24]
    step = one.shape[1] - 8
    assert three.shape[1] == 3 * step + 8
    letters = (three < 250).any(axis=(0, 2))
    for column in range(4):
        assert not letters[column * step : column * step + 8].any()
    for column in range(3):
        assert letters[column * step + 8 : column * step + 40].any()
        assert letters[(column + 1) * step - 20 : (column + 1) * step].any()


def test_candidates_stand_side_by_side_objects_below_each_other():
    logits = np.full((2, 3, 16, 16), -20, np.float32)
    logits[1, 2] = 20
    shown = _shown(_decoded(logits, sam(64).frame(Size(64, 64))))
    step_y, step_x = TILE_SIDE + 24, TILE_SIDE + 8
    centres = shown[24 + 160 :: step_y, 8 + 160 :: step_x][:2, :3]
    assert centres.shape == (2, 3, 3)
    assert (centres == INSIDE).all(axis=2).tolist() == [[False] * 3, [False, False, True]]


def test_many_objects_are_shown_by_the_first_few_and_a_line_says_so():
    logits = np.zeros((OBJECTS_SHOWN, 1, 4, 4), np.float32)
    few = _shown(_decoded(logits))
    many = _shown(_decoded(np.concatenate([logits] * 50)))
    assert many.shape[1] == few.shape[1]
    assert many.shape[0] == few.shape[0] + 24
    assert (many[-24:] < 128).any()  # the line's letters


def test_the_line_below_narrow_pictures_is_whole():
    logits = np.zeros((OBJECTS_SHOWN * 1000, 1, 4, 4), np.float32)
    shown = _shown(_decoded(logits, sam(16).frame(Size(300, 20))))
    assert (shown[-24:, :-8] < 128).any()
    assert (shown[:, -8:] == 255).all()
