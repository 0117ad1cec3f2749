"""``ResizeLongestSide``: the published rule, the published numbers."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samphire.compat import ResizeLongestSide
from samphire.errors import ImageError, ShapeError

# height and width, before and after; run with the published code (the last one gave 0 x 1024)
SIZES = {
    (1200, 1800): (683, 1024),
    (684, 1024): (684, 1024),
    (427, 640): (683, 1024),
    (333, 500): (682, 1024),
    (1, 2048): (1, 1024),
    (1, 2049): (1, 1024),
}


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size):
    assert ResizeLongestSide.get_preprocess_shape(*size, 1024) == SIZES[size]
    image = np.zeros((*size, 3), np.uint8)
    assert ResizeLongestSide(1024).apply_image(image).shape == (*SIZES[size], 3)


@pytest.mark.parametrize(
    "name",
    ["1024x1024", "1200x1800", "1800x1200", "1x200", "200x1", "333x777", "3x2000", "427x640"],
)
def test_pictures_and_points_equal_the_recorded_ones(golden, name):
    with np.load(golden / "preprocessing.npz") as file:
        recorded = {key.split("/")[2]: file[key] for key in file if key.startswith(f"sam/{name}/")}
    width, height = (int(side) for side in name.split("x"))
    transform = ResizeLongestSide(1024)
    resized = transform.apply_image(picture(width, height))
    assert resized.shape[:2] == tuple(recorded["resized_hw"])
    digest = hashlib.sha256(np.ascontiguousarray(resized).tobytes()).hexdigest()
    assert digest == str(recorded["resized_uint8_sha256"])
    points = transform.apply_coords(recorded["points"], (height, width))
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, recorded["points_resized"])
    torch_points = transform.apply_coords_torch(
        torch.from_numpy(recorded["points"]), (height, width)
    )
    assert torch_points.dtype == torch.float32
    np.testing.assert_allclose(torch_points, recorded["points_resized"], rtol=1e-6)


def picture(width, height):
    """The picture of the golden data's README."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    noise = np.random.RandomState(20240 + 7 * width + height).randint(0, 64, (height, width, 3))
    ramps = [191 * x // max(width - 1, 1), 191 * y // max(height - 1, 1), (5 * x + 3 * y) % 192]
    return (np.stack(ramps, -1) + noise).astype(np.uint8)


sides = st.integers(1, 3000)


@given(sides, sides, st.lists(st.tuples(*[st.floats(-100, 3000)] * 4), min_size=1, max_size=4))
def test_boxes_are_their_corners_in_numpy_and_in_torch(height, width, boxes):
    transform = ResizeLongestSide(1024)
    corners = transform.apply_coords(np.reshape(boxes, (-1, 2)), (height, width))
    found = transform.apply_boxes(np.array(boxes), (height, width))
    np.testing.assert_array_equal(found, corners.reshape(-1, 4))
    in_torch = transform.apply_boxes_torch(torch.tensor(boxes), (height, width))
    np.testing.assert_allclose(in_torch, found, rtol=1e-5, atol=1e-5)


def test_nothing_that_is_given_is_changed(photo):
    transform = ResizeLongestSide(100)
    points, boxes = np.ones((1, 2)), np.ones((1, 4))
    image, tensor = photo.copy(), torch.ones(1, 2)
    transform.apply_coords(points, (10, 20))
    transform.apply_boxes(boxes, (10, 20))
    transform.apply_coords_torch(tensor, (10, 20))
    transform.apply_image(image)[:] = 0  # 100 pixels wide: not resized, and still a copy
    assert (points == 1).all()
    assert (boxes == 1).all()
    assert (tensor == 1).all()
    np.testing.assert_array_equal(image, photo)


def test_tensors_are_resized_nearly_as_pictures(photo):
    transform = ResizeLongestSide(64)
    tensor = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    found = transform.apply_image_torch(tensor)[0].permute(1, 2, 0)
    expected = transform.apply_image(photo)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_any_number_of_channels(photo, channels):
    shape = (75, 100) if channels is None else (75, 100, channels)
    resized = ResizeLongestSide(64).apply_image(np.full(shape, 255, np.uint8))
    assert resized.shape == ((48, 64) if channels in (None, 1) else (48, 64, channels))
    assert (resized == 255).all()


def test_a_picture_of_floats_is_refused(photo):
    with pytest.raises(ImageError, match=r"float64: expected uint8.*apply_image_torch"):
        ResizeLongestSide(64).apply_image(photo / 255)


def test_coordinates_come_in_pairs():
    with pytest.raises(ShapeError, match=r"\(2, 3\): expected \(..., 2\)"):
        ResizeLongestSide(64).apply_coords(np.ones((2, 3)), (10, 10))
