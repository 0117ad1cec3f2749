import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from samphire.errors import ImageError
from samphire.images import jpeg
from samphire.images.read import read_image


@pytest.fixture
def picture(rng):
    """(24, 40, 3): smooth, so that lossy formats keep it, with noise that fills their data."""
    y, x = np.mgrid[:24, :40]
    smooth = np.stack([6 * x, 10 * y, 3 * x + 5 * y], axis=-1)
    return np.clip(smooth + rng.integers(-4, 5, smooth.shape), 0, 255).astype(np.uint8)


def _bytes(picture, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def _frames(kind: str, count: int) -> tuple[list[np.ndarray], bytes]:
    """Greys that differ by 40, as pages or frames."""
    frames = [np.full((24, 40, 3), 40 * i, np.uint8) for i in range(count)]
    others = [Image.fromarray(frame) for frame in frames[1:]]
    return frames, _bytes(frames[0], kind, save_all=True, append_images=others)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP", "AVIF"])
def test_a_page_is_the_one_asked_for_and_the_first_without_asking(kind, tmp_path):
    frames, content = _frames(kind, 4)
    path = tmp_path / "stack.bin"
    path.write_bytes(content)
    assert np.abs(read_image(path) - frames[0].astype(int)).max() <= 3
    for number, frame in enumerate(frames):
        assert np.abs(read_image(path, page=number) - frame.astype(int)).max() <= 3
    with pytest.raises(ImageError, match=r"stack\.bin has no page 4: .* its 4 pages, 0 to 3"):
        read_image(path, page=4)


def test_the_second_picture_in_a_photo_of_two_is_its_page_1():
    frames, content = _frames("MPO", 3)
    for number in (0, 1):
        assert np.array_equal(read_image(content, page=number), frames[number])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "TGA"])
def test_a_file_of_one_picture_has_page_0_only(kind, picture):
    with pytest.raises(ImageError, match="the image has no page 1: expected one of its 1 page"):
        read_image(_bytes(picture, kind), page=1)


def test_the_size_of_the_page_asked_for_is_checked_and_not_that_of_the_first():
    small, large = Image.new("L", (4, 4)), Image.new("L", (50, 50))
    buffer = io.BytesIO()
    small.save(buffer, "TIFF", save_all=True, append_images=[large])
    assert read_image(buffer.getvalue(), 100).shape == (4, 4, 3)
    with pytest.raises(ImageError, match="is 50x50"):
        read_image(buffer.getvalue(), 100, page=1)


def test_a_frame_that_would_take_too_long_to_draw_is_refused(monkeypatch):
    _, content = _frames("GIF", 4)
    monkeypatch.setattr("samphire.images.limits._MOST_DRAWN", 3)
    assert read_image(content, 24 * 40, page=2).shape == (24, 40, 3)
    with pytest.raises(ImageError, match="the image draws 40x24 pixels 4 times over"):
        read_image(content, 24 * 40, page=3)


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"it begins with b'%!PS-Adobe"),
        (b"8BPS\0\1", r"is a Photoshop file \(export it as PNG or TIFF\)"),
    ],
)
def test_formats_that_run_programs_or_are_not_promised_are_not_tried(start, found):
    with pytest.raises(ImageError, match=f"{found}.*: expected AVIF, BMP"):
        read_image(start + bytes(200))


def test_what_follows_a_picture_in_its_file_is_not_looked_at(picture):
    for kind in ("PNG", "GIF", "BMP"):
        content = _bytes(picture, kind)
        assert np.array_equal(read_image(content + b"PK\3\4<script>" * 50), read_image(content))


def _chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    return content


def _png(width, height, raw, depth=8, colour=2, interlace=0, pieces=1) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = zlib.compress(raw)
    step = -(-len(data) // pieces)
    parts = [(b"IDAT", data[at : at + step]) for at in range(0, len(data), step)]
    return _chunks((b"IHDR", header), *parts, (b"IEND", b""))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (9, 1), (1, 9)])
def test_a_sound_png_of_any_kind_is_read(mode, size):
    buffer = io.BytesIO()
    Image.new(mode, size, 1 if mode in ("1", "P") else None).save(buffer, "PNG")
    assert read_image(buffer.getvalue()).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (8, 8), (11, 3), (3, 17)])
def test_an_interlaced_png_needs_the_data_of_its_passes_and_no_more(size):
    width, height = size
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    raw = b""
    for x, y, across, down in [*steps, (0, 1, 1, 2)]:
        columns, rows = len(range(x, width, across)), len(range(y, height, down))
        raw += (b"\0" + b"\x50" * 3 * columns) * (rows if columns else 0)
    assert (read_image(_png(width, height, raw, interlace=1)) == 0x50).all()
    with pytest.raises(ImageError, match="is damaged: its PNG data hold"):
        read_image(_png(width, height, raw[:-1], interlace=1))


def test_a_png_in_many_pieces_is_read_and_one_row_less_is_not():
    raw = (b"\0" + b"\x50" * 30) * 10
    assert (read_image(_png(10, 10, raw, pieces=7)) == 0x50).all()
    with pytest.raises(ImageError, match=r"hold 310 of the 341 bytes that the header promises"):
        read_image(_png(10, 11, raw, pieces=7))


def test_any_changed_bit_in_the_data_of_a_png_is_found(picture, rng):
    content = _bytes(picture)
    start = content.index(b"IDAT") + 4
    for at in rng.integers(start, len(content) - 20, 40):
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ImageError):
            read_image(bytes(damaged))


@pytest.mark.slow
def test_a_png_that_unpacks_to_more_than_it_promises_is_not_unpacked_further():
    content = _png(4, 4, b"\0" * 200_000_000)
    tracemalloc.start()
    read_image(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("quality", [40, 95])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(quality, picture):
    content = _bytes(picture, "JPEG", quality=quality)
    assert np.array_equal(read_image(content[:-2]), read_image(content))


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_lacks_data_is_refused(options, picture):
    content = _bytes(picture, "JPEG", quality=95, **options)
    for missing in (3, 4, 6, 10, 50, len(content) // 2):
        with pytest.raises(ImageError, match=r"truncated|Truncated|broken"):
            read_image(content[:-missing])


def test_a_progressive_jpeg_without_its_end_is_refused(picture):
    # a refinement may be missing, and nothing in the data would tell
    with pytest.raises(ImageError, match="truncated"):
        read_image(_bytes(picture, "JPEG", progressive=True)[:-2])


def test_a_jpeg_that_draws_itself_thousands_of_times_is_refused(picture):
    content = _bytes(picture, "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    limit = picture.shape[0] * picture.shape[1]
    assert read_image(content[:-2] + 50 * last + content[-2:], limit).shape == picture.shape
    with pytest.raises(ImageError, match=r"draws 40x24 pixels 10\d\d times over"):
        read_image(content[:-2] + 1000 * last + content[-2:], limit)


def test_the_second_picture_of_a_photo_of_two_may_not_draw_itself_so_often_either(picture):
    content = _bytes(picture, "MPO", save_all=True, append_images=[Image.fromarray(picture)])
    last = content[content.rindex(b"\xff\xda") : -2]
    bomb = content[:-2] + 1000 * last + content[-2:]
    with pytest.raises(ImageError, match=r"draws 40x24 pixels 100\d times over"):
        read_image(bomb, picture.shape[0] * picture.shape[1], page=1)


def test_the_fillers_of_the_test_for_completeness_differ():
    assert len(set(jpeg._FILLERS)) == 2
