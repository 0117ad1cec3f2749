import io
import logging
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from samphire.images.read import read_image


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _swapping() -> bytes:
    """sRGB with the primaries of red and green exchanged: it says red where green is stored."""
    profile = bytearray(_srgb())
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (6, 9, 3), np.uint8)


def _bytes(picture, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_the_profile_of_a_file_is_obeyed(kind, picture):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = _bytes(picture, kind, icc_profile=_swapping(), **options)
    assert np.abs(read_image(content) - picture[..., [1, 0, 2]].astype(int)).max() <= 1


def test_the_profile_is_obeyed_under_transparency(picture):
    rgba = np.concatenate([picture, np.full((6, 9, 1), 255, np.uint8)], axis=2)
    rgba[0, :, 3] = 0
    found = read_image(_bytes(rgba, icc_profile=_swapping()))
    assert (found[0] == 255).all()
    assert np.abs(found[1:] - picture[1:, :, [1, 0, 2]].astype(int)).max() <= 1


def test_the_profile_is_obeyed_in_16_bit_colour(picture):
    import cv2

    deep = picture.astype(np.uint16) * 257
    content = cv2.imencode(".png", np.ascontiguousarray(deep[..., ::-1]))[1].tobytes()
    profile = _with_profile(content, _swapping())
    assert np.abs(read_image(profile) - picture[..., [1, 0, 2]].astype(int)).max() <= 1


def _with_profile(png: bytes, profile: bytes) -> bytes:
    import zlib

    body = b"profile\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body
    return png[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + png[33:]


def test_a_profile_of_srgb_leaves_every_pixel_as_it_is(picture):
    assert np.array_equal(read_image(_bytes(picture, icc_profile=_srgb())), picture)


@pytest.mark.parametrize("profile", [b"", b"\0" * 128, b"nonsense" * 40, _srgb()[:200]])
def test_a_broken_profile_is_ignored_and_told(profile, picture, caplog):
    with caplog.at_level(logging.INFO):
        found = read_image(_bytes(picture, icc_profile=profile))
    assert np.array_equal(found, picture)
    assert not profile or "its colour profile cannot be used" in caplog.text


def test_a_profile_of_another_colour_space_is_ignored(picture):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    grey = picture[..., 0]
    assert np.array_equal(read_image(_bytes(picture, icc_profile=lab)), picture)
    assert np.array_equal(read_image(_bytes(grey, icc_profile=_srgb()))[..., 0], grey)


def test_any_changed_byte_of_a_profile_is_a_picture_of_the_same_size(picture, rng):
    profile = _swapping()
    for _ in range(60):
        damaged = bytearray(profile)
        for at in rng.integers(0, len(profile), 4):
            damaged[at] = rng.integers(256)
        found = read_image(_bytes(picture, icc_profile=bytes(damaged)))
        assert found.shape == picture.shape
