"""Pictures of every format with bytes changed, cut and exchanged: a picture or one ImageError."""

import io
import warnings

import cv2
import numpy as np
import pytest
from attacks.damage import attack, damaged
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from samphire.errors import ImageError
from samphire.images.read import read_image

pytestmark = pytest.mark.slow

LIMIT = 200_000


def _picture() -> Image.Image:
    noise = np.random.default_rng(5).integers(0, 256, (24, 30, 3), np.uint8)
    return Image.fromarray(noise)


def _two() -> dict:
    """Options that append a second frame."""
    return {"save_all": True, "append_images": [_picture().rotate(180)]}


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def _files() -> dict[str, bytes]:
    picture = _picture()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = np.asarray(picture).astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "png": _saved(picture, "PNG", icc_profile=profile, exif=exif),
        "apng": _saved(picture, "PNG", **_two()),
        "palette png": _saved(picture.quantize(16), "PNG", transparency=3),
        "png16": cv2.imencode(".png", deep)[1].tobytes(),
        "jpeg": _saved(picture, "JPEG", icc_profile=profile, exif=exif),
        "progressive jpeg": _saved(picture, "JPEG", progressive=True),
        "cmyk jpeg": _saved(picture.convert("CMYK"), "JPEG"),
        "mpo": _saved(picture, "MPO", **_two()),
        "tiff": _saved(picture, "TIFF", **_two()),
        "lzw tiff": _saved(picture, "TIFF", compression="tiff_lzw"),
        "jpeg tiff": _saved(picture, "TIFF", compression="jpeg"),
        "tiff16": _saved(Image.fromarray(deep[..., 0]), "TIFF", compression="tiff_adobe_deflate"),
        "colour tiff16": cv2.imencode(".tif", deep)[1].tobytes(),
        "float64 tiff": cv2.imencode(".tif", deep[..., 0] / 65535)[1].tobytes(),
        "gif": _saved(picture, "GIF", **_two()),
        "webp": _saved(picture, "WEBP", exif=exif),
        "animated webp": _saved(picture, "WEBP", lossless=True, **_two()),
        "avif": _saved(picture, "AVIF", **_two()),
        "jp2": _saved(picture, "JPEG2000"),
        "bmp": _saved(picture, "BMP"),
        "ppm": _saved(picture, "PPM"),
        "pgm16": _saved(Image.fromarray(deep[..., 0]), "PPM"),
        "tga": _saved(picture, "TGA", compression="tga_rle"),
        "ico": _saved(picture, "ICO", sizes=[(16, 16), (24, 24)]),
    }


FILES = _files()


def _is_picture(content: bytes, page: int = 0) -> bool:
    """Whether it was read; fails on any error but an ImageError of one line."""
    refused = None
    try:
        found = read_image(content, LIMIT, page=page)
    except ImageError as error:
        refused = str(error)
    if refused is not None:
        assert "\n" not in refused
        assert "the image" in refused
        assert "emory" not in refused  # a MemoryError would say that the limit was hit
        return False
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert 0 < found.shape[0] * found.shape[1] <= LIMIT
    assert found.shape[2] == 3
    return True


@pytest.mark.parametrize("kind", FILES)
def test_an_undamaged_file_is_a_picture(kind):
    assert _is_picture(FILES[kind])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore")  # what Pillow tells of odd metadata is no error of ours
@given(data=st.data())
@attack(25)
def test_a_damaged_picture_is_a_picture_or_an_image_error(kind, data):
    _is_picture(data.draw(damaged(FILES[kind])), page=data.draw(st.sampled_from([0, 0, 0, 0, 1])))


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp", "lzw tiff", "png16", "ppm"])
def test_no_file_that_lacks_its_second_half_is_a_picture(kind):
    content = FILES[kind]
    for keep in range(len(content) // 10, len(content) // 2, max(1, len(content) // 40)):
        assert not _is_picture(content[:keep]), keep


@attack(150)
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=300))
def test_any_bytes_after_the_start_of_a_format_are_an_image_error_or_a_picture(kind, noise):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _is_picture(FILES[kind][:12] + noise)
