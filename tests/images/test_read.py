import contextlib
import io
import os
import struct
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from samphire.errors import ImageError
from samphire.images.read import image_name, pixels_id, read_image


@pytest.fixture
def picture(rng):
    """(5, 8, 3): no two pixels alike, no symmetry."""
    return rng.permutation(np.arange(120, 240)).astype(np.uint8).reshape(5, 8, 3)


def _bytes(picture: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes, complete but for its pixels."""
    chunks = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + kind + body
        chunks += struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_path_a_string_bytes_a_pillow_image_and_an_array_are_one_picture(picture, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(_bytes(picture))
    for given in (path, str(path), path.read_bytes(), Image.fromarray(picture), picture):
        found = read_image(given)
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        assert np.array_equal(found, picture)


def test_the_content_decides_and_not_the_name(picture, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(_bytes(picture))
    assert np.array_equal(read_image(path), picture)


def test_a_view_of_an_array_is_read_in_its_own_order(picture):
    found = read_image(picture[:, ::-1])
    assert np.array_equal(found, picture[:, ::-1])
    assert found.flags.c_contiguous


def test_grey_is_repeated_to_three_channels(picture):
    grey = picture[..., 0]
    expected = np.stack([grey] * 3, axis=-1)
    assert np.array_equal(read_image(grey), expected)
    assert np.array_equal(read_image(_bytes(grey)), expected)


def test_one_bit_pixels_are_0_and_255():
    bits = np.eye(5, dtype=bool)
    found = read_image(_bytes(Image.fromarray(bits)))
    assert np.array_equal(found, np.repeat(bits[..., None] * np.uint8(255), 3, axis=2))


def test_palette_pixels_become_their_colours():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert read_image(_bytes(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_cmyk_is_converted():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    found = read_image(_bytes(image, "JPEG", quality=95))
    assert np.abs(found.astype(int) - [255, 0, 0]).max() < 10


def test_transparent_pixels_are_laid_on_white_and_hide_their_colour():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [[255, 0, 255, 0], [0, 0, 200, 255], [0, 0, 0, 51]]
    expected = [[[255, 255, 255], [0, 0, 200], [204, 204, 204]]]
    assert read_image(_bytes(rgba)).tolist() == expected
    assert read_image(Image.fromarray(rgba)).tolist() == expected


def test_grey_with_alpha_and_a_transparent_palette_entry_are_laid_on_white():
    grey = Image.fromarray(np.array([[[9, 0], [9, 255]]], np.uint8))
    assert grey.mode == "LA"
    assert read_image(_bytes(grey)).tolist() == [[[255] * 3, [9] * 3]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert read_image(_bytes(palette, transparency=0)).tolist() == [[[255] * 3, [200, 100, 50]]]


# What a camera stores for each orientation, so that obeying the tag shows the picture upright.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("opened", [False, True])
def test_the_exif_orientation_is_obeyed(orientation, opened, picture):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = _bytes(np.ascontiguousarray(STORED[orientation](picture)), exif=exif)
    given = Image.open(io.BytesIO(content)) if opened else content
    assert np.array_equal(read_image(given), picture)


def test_an_orientation_that_does_not_exist_is_ignored(picture):
    exif = Image.Exif()
    exif[0x0112] = 9
    assert np.array_equal(read_image(_bytes(picture, exif=exif)), picture)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_metadata_that_cannot_be_read_are_ignored(kind, picture):
    whole = read_image(_bytes(picture, kind))
    found = read_image(_bytes(picture, kind, exif=b"Exif\0\0ZZ*\0nothing of the kind"))
    assert np.array_equal(found, whole)


def test_a_pillow_image_stays_as_it_was(picture):
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = 6
    read_image(image)
    assert image.size == (8, 5)
    assert np.array_equal(np.array(image), picture)


def test_of_an_animation_the_first_frame_is_taken(picture):
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    content = _bytes(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(content)).n_frames == 2
    assert np.array_equal(read_image(content), picture)


@pytest.mark.parametrize("page", [-1, 1])
def test_an_array_a_pillow_image_and_a_photo_have_no_other_page(page, picture):
    for given in (picture, Image.fromarray(picture), _bytes(picture)):
        with pytest.raises(ImageError, match=rf"page {page}.*expected"):
            read_image(given, page=page)


def test_an_array_of_truth_values_is_black_and_white():
    assert read_image(np.eye(2, dtype=bool))[..., 1].tolist() == [[255, 0], [0, 255]]


def test_an_array_with_alpha_is_laid_on_white_like_its_file(rng):
    rgba = rng.integers(0, 256, (6, 7, 4), np.uint8)
    assert np.array_equal(read_image(rgba), read_image(_bytes(rgba)))
    rgba[..., 3] = 0
    assert (read_image(rgba) == 255).all()


def test_an_array_with_one_channel_is_grey(picture):
    assert np.array_equal(read_image(picture[..., :1]), read_image(picture[..., 0]))


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (1, 9, 3), (9, 1, 4)])
def test_one_row_one_column_and_one_pixel_are_pictures(shape):
    for dtype in (np.uint8, np.uint16, np.float32):
        assert read_image(np.ones(shape, dtype)).shape == (*shape[:2], 3)


@pytest.mark.parametrize("dtype", ["complex64", "U1", "O", "M8[s]", "longdouble"])
def test_an_array_that_holds_no_intensities_is_refused(dtype):
    with pytest.raises(ImageError, match="expected bool, integers or floats"):
        read_image(np.zeros((4, 4), dtype))


@pytest.mark.parametrize(
    "shape", [(4,), (4, 4, 2), (4, 4, 5), (3, 4, 5), (1, 4, 4, 3), (0, 4), (4, 0, 3), ()]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_array_of_another_shape_is_refused(shape, dtype):
    with pytest.raises(ImageError, match=r"has shape .*: expected \(height, width\), or"):
        read_image(np.zeros(shape, dtype))


@pytest.mark.parametrize("mode", ["LAB", "HSV"])
def test_a_pillow_image_of_another_colour_space_is_refused(mode):
    with pytest.raises(ImageError, match=f"holds '{mode}' pixels: expected grey, RGB"):
        read_image(Image.new(mode, (2, 2)))


def test_a_pillow_image_is_read_at_the_frame_where_it_stands(picture):
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    opened = Image.open(io.BytesIO(_bytes(frames[0], "TIFF", save_all=True, append_images=frames)))
    opened.seek(2)
    assert np.array_equal(read_image(opened), 255 - picture)
    assert opened.tell() == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zero.jpg", b"", "is not an image that can be read here, it is empty: expected AVIF"),
        ("text.png", b"no picture", "it begins with b'no picture': expected AVIF"),
        ("page.jpg", b"\n <!DOCTYPE HTML><html>404</html>", r"is a web page \(download the pict"),
        ("pointer.jpg", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", r"is an HEIC photo \(save it as JPEG or PNG"),
        ("slice.png", bytes(128) + b"DICM", r"is a DICOM file \(read it with pydicom"),
        ("scan.nii", b"\x5c\1" + bytes(342) + b"n+1\0", r"is a NIfTI volume \(take a slice out"),
        ("signature.png", b"\x89PNG\r\n\x1a\n", "is damaged: it begins like PNG, but is cut"),
        ("start.jpg", b"\xff\xd8", "is damaged: it begins like JPEG, but is cut short"),
    ],
)
def test_a_file_that_no_decoder_opens_is_refused_for_what_it_is(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=f"^{name} .*{message}"):
        read_image(tmp_path / name)
    with pytest.raises(ImageError, match=f"^the image .*{message}"):
        read_image(content)


def test_a_packed_volume_is_told_from_other_archives_by_its_name(tmp_path):
    for name, kind in (("scan.nii.gz", "a NIfTI volume"), ("scan.tar.gz", "a gzip archive")):
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08\0")
        with pytest.raises(ImageError, match=f"^{name} is {kind} "):
            read_image(tmp_path / name)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "AVIF"])
def test_a_truncated_file_is_refused_by_name(kind, rng, tmp_path):
    content = _bytes(rng.integers(0, 256, (40, 40, 3), np.uint8), kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=path.name):
        read_image(path)


def test_an_error_of_a_decoder_is_an_image_error_that_names_the_file(
    picture, tmp_path, monkeypatch
):
    path = tmp_path / "photo.png"
    path.write_bytes(_bytes(picture))

    def divide(_: Image.Image) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", divide)
    with pytest.raises(ImageError, match=r"photo\.png cannot be read: ZeroDivisionError"):
        read_image(path)


def test_a_file_that_is_not_there_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match=r"none\.jpg does not exist"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match=f"{tmp_path.name} is a folder: expected an image file"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("nul\0letter.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png is no regular file: expected an image file"):
        read_image(tmp_path / "pipe.png")


@contextlib.contextmanager
def _no_root() -> Iterator[None]:
    """Root reads every file: be nobody for a while."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users of this kind here")
def test_a_file_that_must_not_be_read_is_refused_by_name(picture):
    with TemporaryDirectory() as folder:  # pytest's own is closed to nobody
        Path(folder).chmod(0o755)
        path = Path(folder) / "secret.png"
        path.write_bytes(_bytes(picture))
        read_image(path)  # imports what it needs
        path.chmod(0)
        refused = pytest.raises(
            ImageError, match=r"secret\.png cannot be read: .*Permission denied"
        )
        with refused, _no_root():
            read_image(path)


def test_too_many_pixels_are_refused_by_the_header_before_anything_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_that_claims(50_000, 50_000))
    tracemalloc.start()
    with pytest.raises(ImageError, match=r"bomb\.png is 50000x50000, 2500 megapixels: .* most 100"):
        read_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_an_array_is_in_memory_already_and_has_no_limit(picture):
    assert read_image(picture, max_pixels=1).shape == (5, 8, 3)


def test_the_limit_counts_pixels_of_files_and_pillow_images(picture):
    for given in (_bytes(picture), Image.fromarray(picture)):
        assert read_image(given, max_pixels=40).shape == (5, 8, 3)
        with pytest.raises(ImageError, match=r"is 8x5.*expected at most"):
            read_image(given, max_pixels=39)


def test_the_limit_is_the_callers_and_not_pillows(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert np.array_equal(read_image(_bytes(picture)), picture)
    assert not heard
    assert Image.MAX_IMAGE_PIXELS == 10


def test_pillows_limit_stands_again_after_two_threads_that_read_at_once(picture, monkeypatch):
    before, content, really_open = Image.MAX_IMAGE_PIXELS, _bytes(picture), Image.open
    both_inside = threading.Barrier(2)

    def open_slowly(source: io.BytesIO, **options) -> Image.Image:
        with contextlib.suppress(threading.BrokenBarrierError):
            if both_inside.wait(timeout=0.2):  # the thread that came last leaves last
                time.sleep(0.1)
        return really_open(source, **options)

    monkeypatch.setattr(Image, "open", open_slowly)
    threads = [threading.Thread(target=read_image, args=(content,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_name_of_a_picture_is_that_of_its_file():
    assert image_name("folder/photo.jpg") == "photo.jpg"
    assert image_name(b"...") == image_name(np.zeros((2, 2), np.uint8)) == "the image"


def test_the_id_of_pixels_changes_with_a_pixel_and_with_the_shape(picture):
    changed = picture.copy()
    changed[2, 3, 1] ^= 1
    assert len(pixels_id(picture)) == 64
    assert pixels_id(picture) == pixels_id(picture.copy())
    assert pixels_id(picture[:, ::-1]) == pixels_id(np.ascontiguousarray(picture[:, ::-1]))
    others = (changed, picture.reshape(8, 5, 3), picture.reshape(4, 10, 3))
    assert len({pixels_id(picture), *map(pixels_id, others)}) == 4


def test_an_array_with_its_channels_first_is_told_what_to_do(picture):
    with pytest.raises(ImageError, match=r"\(channels first\? then np\.moveaxis\(image, 0, -1\)\)"):
        read_image(picture.transpose(2, 0, 1))


@pytest.mark.parametrize("image", [None, [[1, 2]], memoryview(b"abc"), 7])
def test_what_is_no_kind_of_image_is_refused_by_its_type(image):
    with pytest.raises(ImageError, match=f"the image is a {type(image).__name__}: expected a path"):
        read_image(image)
