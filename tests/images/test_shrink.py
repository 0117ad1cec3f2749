import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from samphire.geometry import Size
from samphire.images.shrink import jpeg, shrunk

sides = st.integers(1, 5000)


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG"
        return np.array(picture)


@given(height=sides, width=sides, most=sides)
def test_no_side_is_longer_and_the_shape_stays(height, width, most):
    size = shrunk(Size(height, width), most)
    if max(height, width) <= most:
        assert size == Size(height, width)
        return
    assert max(size.height, size.width) == most
    assert abs(size.height - max(1, height * most / max(height, width))) <= 0.5
    assert abs(size.width - max(1, width * most / max(height, width))) <= 0.5


@pytest.mark.parametrize(("most", "shape"), [(600, (60, 90, 3)), (30, (20, 30, 3))])
def test_the_file_shows_the_picture_at_that_size(most, shape):
    rgb = np.zeros((60, 90, 3), np.uint8)
    rgb[:, 45:] = (200, 30, 90)
    shown = _pixels(jpeg(rgb, most)).astype(int)
    assert shown.shape == shape
    left, right = shown[:, : shape[1] // 3], shown[:, -shape[1] // 3 :]
    assert left.max() < 12
    assert np.abs(right - (200, 30, 90)).max() < 12


def test_a_line_stays_a_line():
    assert _pixels(jpeg(np.full((1, 4000, 3), 90, np.uint8), 100)).shape == (1, 100, 3)


def test_the_same_picture_gives_the_same_bytes(rng):
    rgb = rng.integers(0, 256, (40, 50, 3), np.uint8)
    assert jpeg(rgb, 32) == jpeg(rgb.copy(), 32)
