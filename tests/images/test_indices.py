"""Numbers of pixels come back as stored, or not at all."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from samphire.errors import ImageError
from samphire.images.indices import read_indices

NUMBERS = np.arange(35, dtype=np.uint8).reshape(5, 7)


def few_bits(numbers, bits, colour_type=0):
    """The bytes of a PNG of few bits a pixel, which no library here writes."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = numbers.shape
    planes = np.unpackbits(numbers[..., None], axis=2)[..., -bits:].reshape(height, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in planes)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(3 * 2**bits))) if colour_type == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("colour_type", [0, 3])
def test_few_bits_are_not_spread(bits, colour_type, tmp_path):
    numbers = NUMBERS % 2**bits
    path = tmp_path / "mask.png"
    path.write_bytes(few_bits(numbers, bits, colour_type))
    assert np.array_equal(read_indices(path), numbers)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif", ".pgm"])
def test_eight_bits_come_back_from_every_lossless_format(suffix, tmp_path):
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(NUMBERS).save(path)
    found = read_indices(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, NUMBERS)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_deep_numbers_come_back_from_tiff(dtype, tmp_path):
    numbers = NUMBERS.astype(dtype) * 1000
    Image.fromarray(numbers).save(tmp_path / "mask.tif")
    assert np.array_equal(read_indices(tmp_path / "mask.tif"), numbers)


def test_a_mask_is_turned_as_its_picture_is(tmp_path):
    picture = Image.fromarray(NUMBERS)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "mask.png", exif=exif)
    assert np.array_equal(read_indices(tmp_path / "mask.png"), np.rot90(NUMBERS, -1))


def test_lossless_webp_with_grey_pixels_is_read(tmp_path):
    grey = Image.fromarray(np.stack([NUMBERS] * 3, axis=-1))
    grey.save(tmp_path / "mask.webp", lossless=True)
    assert np.array_equal(read_indices(tmp_path / "mask.webp"), NUMBERS)


def test_damaged_and_huge_files_raise_an_image_error_with_their_name(tmp_path):
    Image.fromarray(NUMBERS).save(tmp_path / "mask.png")
    with pytest.raises(ImageError, match=r"mask\.png is 7x5"):
        read_indices(tmp_path / "mask.png", max_pixels=30)
    whole = (tmp_path / "mask.png").read_bytes()
    (tmp_path / "mask.png").write_bytes(whole[:-20])
    with pytest.raises(ImageError, match=r"mask\.png"):
        read_indices(tmp_path / "mask.png")
