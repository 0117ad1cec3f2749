"""Files deeper than 8 bits, those of OpenCV and those of Pillow; TIFFs are written by hand here."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from samphire.errors import ImageError
from samphire.images.orientation import upright
from samphire.images.read import read_image

FORMAT_OF_KIND = {"u": 1, "i": 2, "f": 3}


def _tiff(
    *pages: np.ndarray, order: str = "<", big: bool = False, **tags: tuple[int, ...]
) -> bytes:
    """An uncompressed TIFF of one strip a page; ``tags`` replace, named t and their number."""
    first = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    content = (b"II" if order == "<" else b"MM") + first
    long, inline = ("Q", 8) if big else ("I", 4)
    for number, page in enumerate(pages):
        samples = page.shape[2] if page.ndim == 3 else 1
        raw = page.astype(page.dtype.newbyteorder(order)).tobytes()
        bits = (8 * page.dtype.itemsize,) * samples
        entries = {
            256: page.shape[1:2],
            257: page.shape[:1],
            258: bits,
            259: (1,),
            262: (2 if samples > 2 else 1,),
            273: (0,),
            277: (samples,),
            278: page.shape[:1],
            279: (len(raw),),
            339: (FORMAT_OF_KIND[page.dtype.kind],) * samples,
        }
        entries |= {int(tag[1:]): values for tag, values in tags.items()}
        head = len(content) + struct.calcsize(order + ("Q" if big else "H"))
        after = head + len(entries) * (20 if big else 12) + inline
        table, extra = b"", b""
        entries[273] = (after + sum(4 * len(v) for v in entries.values() if 4 * len(v) > inline),)
        for tag, values in sorted(entries.items()):
            body = struct.pack(f"{order}{len(values)}I", *values)
            if len(body) > inline:
                at, extra = after + len(extra), extra + body
                body = struct.pack(order + long, at)
            table += struct.pack(f"{order}HH{long}", tag, 4, len(values)) + body.ljust(
                inline, b"\0"
            )
        following = entries[273][0] + len(raw) if number + 1 < len(pages) else 0
        content += struct.pack(order + ("Q" if big else "H"), len(entries)) + table
        content += struct.pack(order + long, following) + extra + raw
    return content


def _ramp(dtype, *shape):
    """0 to 4095 in steps, so that the picture is that of 12 bits."""
    values = np.linspace(0, 4095, int(np.prod(shape))).reshape(shape)
    return values.astype(dtype)


def _saved(values: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def _encoded(values: np.ndarray, suffix: str) -> bytes:
    """By OpenCV, from RGB(A)."""
    order = [2, 1, 0, 3][: values.shape[2]]
    return cv2.imencode(suffix, np.ascontiguousarray(values[..., order]))[1].tobytes()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32, np.int32, np.float32, float])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_deep_grey_tiff_is_the_picture_of_its_array(dtype, order):
    values = _ramp(dtype, 5, 7)
    if dtype is np.int16:
        values -= 1000
    content = _tiff(values, order=order)
    assert np.array_equal(read_image(content), read_image(values))
    assert np.array_equal(read_image(content, window=(5, 900)), read_image(values, window=(5, 900)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint16, 3), (np.uint16, 4), (np.float32, 3)])
def test_a_deep_colour_tiff_is_the_picture_of_its_array(order, big, dtype, channels):
    values = _ramp(dtype, 5, 7, channels)
    content = _tiff(values, order=order, big=big, **({"t338": (2,)} if channels == 4 else {}))
    assert np.array_equal(read_image(content), read_image(values))


def test_a_fourth_band_that_is_not_said_to_be_alpha_is_left_out():
    values = _ramp(np.uint16, 5, 7, 4)
    assert np.array_equal(read_image(_tiff(values, t338=(0,))), read_image(values[..., :3]))


def test_an_unsigned_32_bit_value_does_not_become_negative():
    values = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    assert read_image(_tiff(values))[0, :, 0].tolist() == [0, 128, 255]


def test_a_single_band_in_planes_is_read():
    values = _ramp(np.uint16, 5, 7)
    assert np.array_equal(read_image(_tiff(values, t284=(2,))), read_image(values))


@pytest.mark.parametrize("suffix", [".png", ".ppm", ".tif"])
def test_16_bit_colour_is_not_cut_to_8_bits(suffix):
    values = _ramp(np.uint16, 5, 7, 3)
    assert np.array_equal(read_image(_encoded(values, suffix)), read_image(values))
    window = (1000, 1100)
    found = read_image(_encoded(values, suffix), window=window)
    assert np.array_equal(found, read_image(values, window=window))


def test_16_bit_colour_with_alpha_is_laid_on_white():
    values = _ramp(np.uint16, 5, 7, 4)
    values[..., 3] = 0
    assert (read_image(_encoded(values, ".png")) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_grey_is_the_picture_of_its_array(kind):
    values = _ramp(np.uint16, 24, 37)
    if kind == "JPEG2000":
        assert np.abs(read_image(_saved(values, kind)).astype(int) - read_image(values)).max() < 3
    else:
        assert np.array_equal(read_image(_saved(values, kind)), read_image(values))


def test_a_grey_map_keeps_its_unit_whatever_its_largest_value():
    content = b"P5 3 1 1000\n" + np.array([0, 500, 1000], ">u2").tobytes()
    assert read_image(content, window=(0, 1000))[0, :, 0].tolist() == [0, 128, 255]
    assert read_image(content)[0, :, 0].tolist() == [0, 125, 249]  # of 1023


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_a_deep_pillow_image_is_the_picture_of_its_array(mode):
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "i4", "F": "f4"}[mode]
    values = _ramp(dtype, 5, 7)
    image = Image.frombytes(mode, (7, 5), values.tobytes())
    assert np.array_equal(read_image(image), read_image(values))


@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 do not exist
@pytest.mark.parametrize("kind", ["deep PNG", "deep TIFF", "colour TIFF", "float64 TIFF"])
def test_the_orientation_is_obeyed_in_deep_files(orientation, kind):
    values = _ramp(np.uint16, 5, 7)
    expected = upright(np.repeat(read_image(values)[..., :1], 3, axis=2), orientation)
    if kind == "deep PNG":
        exif, buffer = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        Image.fromarray(values).save(buffer, "PNG", exif=exif)
        content = buffer.getvalue()
    else:
        stored = np.stack([values] * 3, axis=-1) if kind == "colour TIFF" else values
        stored = stored.astype(float) if kind == "float64 TIFF" else stored
        content = _tiff(stored, t274=(orientation,))
    found = read_image(content, window=(0, 4095))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_each_page_of_a_deep_tiff_is_itself(dtype):
    pages = [_ramp(dtype, 5, 7) * 0 + 1000 * number for number in range(4)]
    pages[2] = _ramp(dtype, 3, 4)
    content = _tiff(*pages)
    for number, page in enumerate(pages):
        assert np.array_equal(read_image(content, page=number), read_image(page))
    with pytest.raises(ImageError, match=r"has no page 4: expected one of its 4 pages, 0 to 3"):
        read_image(content, page=4)


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        (np.zeros((4, 4, 5), np.uint16), {}),
        (np.zeros((4, 4, 2), np.uint16), {}),
        (np.zeros((4, 4, 4), np.uint16), {"t262": (1,)}),
    ],
)
def test_bands_that_are_no_colours_are_refused_by_name(values, tags, tmp_path):
    (tmp_path / "bands.tif").write_bytes(_tiff(values, **tags))
    with pytest.raises(ImageError, match=r"bands\.tif has \d bands of 16 bits: expected a TIFF of"):
        read_image(tmp_path / "bands.tif")


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
@pytest.mark.parametrize("keep", [0.05, 0.3, 0.5, 0.95])
def test_a_deep_tiff_that_ends_early_is_refused(dtype, keep):
    shape = (40, 40, 3) if dtype is np.uint16 else (40, 40)
    content = _tiff(_ramp(dtype, *shape))
    with pytest.raises(ImageError):
        read_image(content[: int(len(content) * keep)])


def test_a_deep_png_that_ends_early_is_refused(rng):
    content = _encoded(rng.integers(0, 65536, (40, 40, 3)).astype(np.uint16), ".png")
    with pytest.raises(ImageError, match="PNG data are cut off"):
        read_image(content[: len(content) // 2])


def test_a_deep_png_whose_last_chunk_promises_more_than_follows_is_refused():
    content = _encoded(_ramp(np.uint16, 24, 30, 3), ".png")
    at = content.rindex(b"IDAT") - 4
    bomb = content[:at] + (1 << 20).to_bytes(4, "big") + content[at + 4 :]
    with pytest.raises(ImageError, match="PNG data are cut off"):
        read_image(bomb)


@pytest.mark.parametrize("tags", [{"t256": (60_000,), "t257": (60_000,)}])
def test_the_limit_of_pixels_is_that_of_opencvs_files_too(tags):
    with pytest.raises(ImageError, match="is 60000x60000, 3600 megapixels"):
        read_image(_tiff(np.zeros((4, 4)), **tags))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])  # of Pillow, of OpenCV
def test_a_tile_far_larger_than_its_page_is_refused(dtype):
    tags = {"t322": (60_000,), "t323": (60_000,), "t324": (8,), "t325": (100,)}
    with pytest.raises(ImageError, match="is damaged: its tiles are 60000x60000, its page 4x4"):
        read_image(_tiff(np.zeros((4, 4), dtype), **tags))


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 1), (np.uint16, 3)])
def test_a_tiff_whose_strips_end_before_its_page_is_refused(dtype, channels):
    values = np.ones((4, 5, channels), dtype).squeeze()
    assert read_image(_tiff(values)).shape == (4, 5, 3)
    with pytest.raises(ImageError, match="lists 1 of the 8 strips or tiles that its page needs"):
        read_image(_tiff(values, t257=(30,)))


def test_a_directory_that_points_at_itself_has_one_page():
    content = bytearray(_tiff(np.zeros((4, 4))))
    end = 8 + 2 + 12 * 10
    content[end : end + 4] = struct.pack("<I", 8)
    assert read_image(bytes(content)).shape == (4, 4, 3)
    with pytest.raises(ImageError, match="has no page 3: expected one of its 1 page, page 0"):
        read_image(bytes(content), page=3)
