import cv2
import numpy as np
import pytest

from samphire import save_masks
from samphire.errors import FileFormatError
from samphire.formats import Picture, png
from samphire.masks import Masks


@pytest.fixture
def masks(rng):
    return Masks.from_arrays(rng.random((3, 20, 33)) > 0.5)


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_the_picture_is_255_on_the_object_and_0_elsewhere(masks):
    for index, dense in enumerate(masks.to_array()):
        pixels = cv2.imdecode(
            np.frombuffer(next(png.encode(masks[index], Picture())), np.uint8), cv2.IMREAD_UNCHANGED
        )
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, dense * 255)


def test_one_mask_is_one_file_of_that_name(masks, tmp_path):
    save_masks(masks[1], tmp_path / "dog.png")
    assert [path.name for path in tmp_path.iterdir()] == ["dog.png"]
    assert png.read(tmp_path / "dog.png").equal(masks[1])


def test_several_masks_are_numbered_files_in_their_order(masks, tmp_path):
    save_masks(masks, tmp_path / "dog.v2.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dog.v2_0.png",
        "dog.v2_1.png",
        "dog.v2_2.png",
    ]
    for index in range(3):
        assert png.read(tmp_path / f"dog.v2_{index}.png").equal(masks[index])


def test_no_masks_are_no_file(masks, tmp_path):
    save_masks(masks[:0], tmp_path / "dog.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whatever_is_not_black_is_on(dtype, tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(_png(np.array([[0, 1, 7], [255, 0, 0]], dtype)))
    assert png.read(path).to_array()[0].tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_in_colour_is_no_mask(channels, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(_png(np.zeros((4, 4, channels), np.uint8)))
    with pytest.raises(FileFormatError, match=r"photo\.png is not a mask: expected a grey PNG"):
        png.read(path)


def test_a_jpeg_under_the_name_of_a_png_is_no_mask(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(cv2.imencode(".jpg", np.zeros((40, 40), np.uint8))[1].tobytes())
    with pytest.raises(FileFormatError, match=r"mask\.png is not a PNG"):
        png.read(path)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_and_not_half_a_mask(keep, masks, tmp_path):
    path, whole = tmp_path / "mask.png", next(png.encode(masks[0], Picture()))
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(FileFormatError, match=r"mask\.png"):
        png.read(path)


def test_changed_bytes_are_a_mask_or_a_file_format_error(masks, tmp_path, rng):
    path, whole = tmp_path / "mask.png", next(png.encode(masks[0], Picture()))
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert len(png.read(path)) == 1
        except FileFormatError:
            refused += 1
    assert refused > 30  # each chunk carries a checksum


def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(masks, tmp_path):
    path, bomb = tmp_path / "bomb.png", bytearray(next(png.encode(masks[0], Picture())))
    bomb[16:24] = (50_000).to_bytes(4, "big") * 2
    path.write_bytes(bomb)
    with pytest.raises(FileFormatError, match=r"bomb\.png is not a PNG of at most \d+ pixels"):
        png.read(path)
