"""Every file of the collections of odd and of broken images against its ``expected.csv``."""

import csv
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samphire.errors import ImageError
from samphire.images.read import read_image

# Rows that show the reference picture, and how far off their coding may take them, of 255.
LIKE_REFERENCE = 8
ON_WHITE = {"rgba.png", "rgba_magenta_under_alpha.png", "rgba16.png", "lossless_alpha.webp"}
ON_WHITE_OTHERWISE = {"la.png", "palette_transparent.png", "transparent.gif"}
GREY = {"grey.jpg", "grey16.png", "grey16_12bit.png", "grey16.tif", "grey16_bigendian.tif"}
GREY |= {"float32_0_1.tif", "float64.tif"}
STRETCHED = {"int16_hounsfield.tif", "float32_nan_inf.tif"}
REFUSED = {"five_bands.tif"}
SHAPE_ONLY = {"bit1.png", "stack_7x64x64_16bit.tif", "noise.png", "icon.ico"}
SMALL = {"rgb.bmp", "palette.bmp", "rgb.ppm", "grey.pgm", "grey16.pgm"}


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "expected.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _outcome(path: Path) -> np.ndarray | str:
    """The picture, or what the ImageError says; any other error passes."""
    try:
        return read_image(path)
    except ImageError as error:
        return str(error)


@pytest.fixture(scope="module")
def odd(data):
    """{file name: picture or message}, in the order of the table."""
    folder = data / "odd_formats"
    found = {row["file"]: _outcome(folder / row["file"]) for row in _rows(folder)}
    assert len(found) == 76
    return found


@pytest.fixture(scope="module")
def reference(odd):
    return odd["reference_rgb8.png"].astype(float)


def _luma(rgb):
    return np.rint(rgb @ [0.299, 0.587, 0.114])


def _difference(found, expected):
    return float(np.abs(found.astype(float) - expected).mean())


def test_every_odd_file_is_a_picture_of_its_upright_size_or_refused_as_stated(data, odd):
    for row in _rows(data / "odd_formats"):
        name, found = row["file"], odd[row["file"]]
        if name in REFUSED:
            assert found.startswith(f"{name} has 5 bands of 8 bits: expected a TIFF of one grey")
            continue
        size = int(row["width"] or 160), int(row["height"] or 106)
        width, height = (160, 106) if "orientation" in name else size
        assert not isinstance(found, str), found
        assert found.shape == (height, width, 3), name


def test_every_odd_file_of_the_reference_picture_shows_it(odd, reference):
    others = ON_WHITE | ON_WHITE_OTHERWISE | GREY | STRETCHED | REFUSED | SHAPE_ONLY | SMALL
    alike = [
        name
        for name in odd
        if name not in others and not name.startswith(("size_", "flat_", "noise"))
    ]
    assert others <= odd.keys()
    assert len(alike) == 38
    for name in alike:
        assert _difference(odd[name], reference) < LIKE_REFERENCE, name


def test_every_grey_odd_file_of_any_depth_is_the_grey_reference(odd, reference):
    grey = np.stack([_luma(reference)] * 3, axis=-1)
    for name in GREY:
        assert _difference(odd[name], grey) < (3 if name.endswith(".jpg") else 1), name


def test_every_16_bit_odd_file_is_the_8_bit_picture_exactly_or_within_one(odd, reference):
    assert np.abs(odd["rgb16.png"] - reference).max() <= 1
    assert np.abs(odd["rgba16.png"].astype(int) - odd["rgba.png"]).max() <= 1


def test_odd_files_of_negative_values_run_from_the_smallest_to_the_largest(odd, data, reference):
    for name in STRETCHED:
        with Image.open(data / "odd_formats" / name) as image:
            values = np.asarray(image)
        finite = values[np.isfinite(values)]
        window = float(finite.min()), float(finite.max())
        assert window[0] < 0
        given = read_image(data / "odd_formats" / name, window=window)
        assert np.array_equal(given, odd[name]), name
        alike = np.corrcoef(odd[name][..., 0].ravel(), _luma(reference).ravel())[0, 1]
        assert alike > 0.95, name


def test_transparent_odd_files_are_on_white_and_hide_what_is_under_it(odd, data):
    assert np.array_equal(odd["rgba.png"], odd["rgba_magenta_under_alpha.png"])
    for name in ON_WHITE | ON_WHITE_OTHERWISE:
        assert (odd[name][[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all(), name


def test_the_bits_of_an_odd_file_are_0_and_255(odd):
    assert set(np.unique(odd["bit1.png"])) == {0, 255}


def test_a_12_bit_and_a_16_bit_odd_file_are_one_picture(odd):
    assert np.abs(odd["grey16_12bit.png"].astype(int) - odd["grey16.png"]).max() <= 1


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("five_pages.tif", [(106, 160)] * 5),
        ("pages_of_different_size.tif", [(106, 160), (53, 80), (26, 40)]),
        ("animated.gif", [(106, 160)] * 5),
        ("animated.webp", [(106, 160)] * 5),
        ("animated.avif", [(106, 160)] * 5),
    ],
)
def test_every_page_of_an_odd_file_is_read_and_there_is_no_other(name, sizes, data):
    path = data / "odd_formats" / name
    pages = [read_image(path, page=number) for number in range(len(sizes))]
    assert [page.shape[:2] for page in pages] == sizes
    for first, second in pairwise(pages):
        assert first.shape != second.shape or _difference(first, second) > 1
    with pytest.raises(ImageError, match=f"{name} has no page {len(sizes)}: expected one of its"):
        read_image(path, page=len(sizes))


def test_every_plane_of_a_16_bit_stack_is_read_and_there_is_no_other(data):
    path = data / "odd_formats" / "stack_7x64x64_16bit.tif"  # seven times the same plane
    first = read_image(path)
    assert all(np.array_equal(read_image(path, page=plane), first) for plane in range(1, 7))
    with pytest.raises(ImageError, match=r"tif has no page 7: expected one of its 7 pages, 0 to 6"):
        read_image(path, page=7)


def test_a_satellite_tile_of_16_bits_with_geographic_tags_is_read(data):
    found = read_image(data / "aerial" / "raw16" / "tile01.tif", window=(85, 1232))
    shown = read_image(data / "aerial" / "images" / "tile01.png")
    assert found.shape == shown.shape
    assert np.corrcoef(found[..., 0].ravel(), shown[..., 0].ravel())[0, 1] > 0.9


def test_every_broken_file_is_what_its_row_asks_and_every_error_names_it(data):
    folder = data / "corrupt_images"
    rows = _rows(folder)
    assert len(rows) == 53
    read = set()
    for row in rows:
        found = _outcome(folder / row["file"])
        if isinstance(found, str):
            assert row["file"] in found
            assert "\n" not in found
            assert (
                "picture" in row["expect"]
                or "error" in row["expect"]
                or "refuse" in found
                or ("megapixels: expected at most" in found)
            ), row
            assert row["expect"] != "picture or warning", row
        else:
            read.add(row["file"])
            assert "picture" in row["expect"] or "page" in row["expect"], row
    assert {"truncated_before_eoi.jpg", "truncated_no_iend.png", "tiff_ifd_loop.tif"} <= read
    assert not any(name.startswith("truncated_") and name[10].isdigit() for name in read)


def test_a_jpeg_without_its_end_marker_is_the_whole_picture(data):
    folder = data / "corrupt_images"
    whole = read_image(folder / "truncated_before_eoi.jpg").astype(float)
    reference = read_image(folder / "truncated_no_iend.png")
    assert abs(whole[-20:].mean() - reference[-13:].mean()) < 3  # no grey below


def test_a_broken_file_has_the_same_outcome_where_warnings_are_only_told(data):
    folder = data / "corrupt_images"
    for row in _rows(folder):
        strict = _outcome(folder / row["file"])
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            lenient = _outcome(folder / row["file"])
        assert type(strict) is type(lenient), row["file"]


CHILD = """
import resource, signal, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from samphire.errors import ImageError
from samphire.images.read import read_image

def memory():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmSize:")[1].split()[0])

signal.alarm(60)
read_image(sys.argv[2])
limit = memory() + 300_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sorted(Path(sys.argv[1]).iterdir()):
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 3, 600))
    try:
        read_image(path)
    except ImageError as error:
        assert "MemoryError" not in str(error) and "memory" not in str(error), error
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits that the kernel enforces")
def test_every_broken_file_takes_at_most_300_mb_and_some_seconds(data):
    arguments = [data / "corrupt_images", data / "odd_formats" / "plain.jpg"]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # the bombs among them claim 7.5 GB and more
