"""What numbers in mask files mean, and which files are refused instead of guessed at."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from samphire.errors import FileFormatError, ImageError
from samphire.samples.mask_files import read_masked

DISC = np.zeros((24, 36), np.uint8)
cv2.circle(DISC, (20, 9), 7, 1, -1)  # off the diagonal of a picture that is no square


def read(folder, *masks, labels=(), classes=(), suffix=".png"):
    """The objects of masks saved beside a grey picture of their size."""
    paths = []
    for place, mask in enumerate(masks):
        path = folder / f"mask{place}{suffix}"
        made = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        made.save(path)
        paths.append(path)
    size = made.size[::-1]
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(folder / "image.png")
    return read_masked(folder / "image.png", tuple(paths), labels, classes)


@pytest.mark.parametrize(
    ("value", "classes"),
    [(1, ()), (7, ()), (128, ()), (255, ()), (1, ("polyp",)), (255, ("polyp",))],
)
def test_one_number_besides_0_is_one_object_of_label_1(value, classes, tmp_path):
    found = read(tmp_path, DISC * np.uint8(value), classes=classes).objects
    assert np.array_equal(found.to_array(), DISC[None] == 1)
    assert found.label.tolist() == [1]
    assert found.name == (classes or ("",))


@pytest.mark.parametrize("value", [1, 65535])
def test_16_bits_are_read_whole(value, tmp_path):
    found = read(tmp_path, DISC.astype(np.uint16) * np.uint16(value)).objects
    assert np.array_equal(found.to_array(), DISC[None] == 1)


def test_more_than_255_objects_come_from_16_bits(tmp_path):
    numbers = np.kron(np.arange(300).reshape(15, 20), np.ones((2, 3))).astype(np.uint16)
    found = read(tmp_path, numbers).objects
    assert len(found) == 299
    assert np.array_equal(found.to_array()[258], numbers == 259)


def test_black_and_white_of_one_bit_is_a_mask(tmp_path):
    found = read(tmp_path, Image.fromarray(DISC == 1)).objects
    assert np.array_equal(found.to_array(), DISC[None] == 1)


def test_a_palettes_indices_count_and_not_its_colours(tmp_path):
    numbers = DISC.copy()
    numbers[18:, :4] = 2
    picture = Image.new("P", numbers.shape[::-1])
    picture.putdata(numbers.ravel().tolist())
    picture.putpalette([200, 0, 0, 200, 0, 0, 0, 0, 0])  # 0 and 1 look alike, 2 is black
    found = read(tmp_path, picture, classes=("disc", "corner"))
    assert np.array_equal(found.objects.to_array(), [numbers == 1, numbers == 2])
    assert found.objects.name == ("disc", "corner")


def test_rgb_of_three_equal_channels_is_grey(tmp_path):
    found = read(tmp_path, np.stack([DISC * 255] * 3, axis=-1)).objects
    assert np.array_equal(found.to_array(), DISC[None] == 1)


@pytest.mark.parametrize("classes", [(), ("a",), ("a", "b")])
def test_an_empty_mask_is_no_object(classes, tmp_path):
    assert len(read(tmp_path, np.zeros_like(DISC), classes=classes).objects) == 0


@pytest.mark.parametrize("classes", [(), ("a",), ("a", "b")])
def test_a_mask_without_background_is_one_object(classes, tmp_path):
    found = read(tmp_path, np.ones_like(DISC), classes=classes).objects
    assert found.area.tolist() == [DISC.size]
    assert found.label.tolist() == [1]


def test_without_names_each_number_is_an_object_of_label_1(tmp_path):
    numbers = DISC * np.uint8(3)
    numbers[18:, :4] = 9
    found = read(tmp_path, numbers).objects
    assert np.array_equal(found.to_array(), [numbers == 3, numbers == 9])
    assert found.label.tolist() == [1, 1]


def test_with_names_each_number_is_a_class_and_255_does_not_count(tmp_path):
    numbers = DISC * np.uint8(2)
    numbers[18:, :4] = 255
    found = read(tmp_path, numbers, classes=("a", "b"))
    assert found.objects.label.tolist() == [2]
    assert found.objects.name == ("b",)
    assert np.array_equal(found.ignore, numbers == 255)


def test_objects_of_several_files_may_overlap_and_keep_their_classes(tmp_path):
    other = np.zeros_like(DISC)
    other[5:20, 10:30] = 255
    found = read(tmp_path, DISC * 255, other, labels=(2, 1), classes=("a", "b")).objects
    assert np.array_equal(found.to_array(), [DISC == 1, other > 0])
    assert found.label.tolist() == [2, 1]
    assert found.name == ("b", "a")


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".jpg", "JPEG"), (".webp", "WebP"), (".avif", "AVIF")]
)
def test_lossy_masks_are_refused_by_content(suffix, kind, tmp_path):
    with pytest.raises(ImageError, match=rf"mask0\{suffix} is a mask in {kind}.*PNG or TIFF"):
        read(tmp_path, DISC * 255, suffix=suffix)


def test_a_jpeg_called_png_is_refused(tmp_path):
    Image.fromarray(DISC * 255).save(tmp_path / "mask.png", "JPEG")
    Image.fromarray(DISC).save(tmp_path / "image.png")
    with pytest.raises(ImageError, match="JPEG"):
        read_masked(tmp_path / "image.png", (tmp_path / "mask.png",), (), ())


def soft_edges():
    return cv2.GaussianBlur(DISC * 255, (0, 0), 1.2)


def shrunk():
    large = cv2.resize(DISC * 255, (360, 240), interpolation=cv2.INTER_NEAREST)
    cv2.circle(large, (100, 180), 33, 255, -1)
    return cv2.resize(large, (45, 30), interpolation=cv2.INTER_AREA)


def noise_of_jpeg():
    data = cv2.imencode(".jpg", DISC * 255)[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize("mask", [soft_edges, shrunk, noise_of_jpeg])
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("classes", [(), ("a",), ("a", "b")])
def test_soft_edges_and_lossy_noise_are_refused(mask, strength, classes, tmp_path):
    grey = (mask() * strength).astype(np.uint8)
    with pytest.raises(FileFormatError, match=r"mask0\.png holds .* besides 0"):
        read(tmp_path, grey, classes=classes)


def test_a_number_beyond_the_classes_is_refused_with_both_named(tmp_path):
    with pytest.raises(FileFormatError, match="holds 3 besides 0, and there are 2 classes"):
        read(tmp_path, DISC * np.uint8(3), classes=("a", "b"))


def test_0_and_255_are_no_mask_of_two_classes(tmp_path):
    with pytest.raises(FileFormatError, match="one name, and none for the background"):
        read(tmp_path, DISC * 255, classes=("background", "polyp"))


def test_colours_are_refused(tmp_path):
    colours = np.zeros((*DISC.shape, 3), np.uint8)
    colours[DISC == 1] = (200, 0, 0)
    with pytest.raises(ImageError, match="mask in colours"):
        read(tmp_path, colours)


def test_fractions_are_refused(tmp_path):
    with pytest.raises(ImageError, match="float32"):
        read(tmp_path, DISC.astype(np.float32), suffix=".tif")


def test_another_size_is_refused_with_both_files_and_sizes(tmp_path):
    Image.fromarray(DISC).save(tmp_path / "mask.png")
    Image.fromarray(DISC.T).save(tmp_path / "image.png")
    with pytest.raises(FileFormatError, match=r"image\.png is 24x36.*mask\.png 36x24.*EXIF"):
        read_masked(tmp_path / "image.png", (tmp_path / "mask.png",), (), ())


@given(coarse=arrays(np.uint8, (3, 5), elements=st.integers(0, 6)))
def test_instance_maps_come_back_number_by_number(coarse, tmp_path_factory):
    numbers = np.kron(coarse, np.ones((2, 2), np.uint8))
    found = read(tmp_path_factory.getbasetemp(), numbers).objects.to_array()
    values = [value for value in np.unique(numbers) if value]
    assert len(found) == len(values)
    assert all(np.array_equal(mask, numbers == k) for mask, k in zip(found, values, strict=True))
