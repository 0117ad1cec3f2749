import hashlib

import numpy as np
import pytest

from samphire.errors import ShapeError
from samphire.geometry import Size
from samphire.images.preprocessing import PREPROCESSING, preprocessing, sam
from samphire.images.resize import resize


def _picture(width: int, height: int) -> np.ndarray:
    """The source of the golden data, from its recipe."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    noise = np.random.RandomState(20240 + 7 * width + height).randint(0, 64, (height, width, 3))
    ramps = [191 * x // max(width - 1, 1), 191 * y // max(height - 1, 1), (5 * x + 3 * y) % 192]
    return (np.stack(ramps, -1) + noise).astype(np.uint8)


@pytest.fixture
def recorded(golden):
    """The golden arrays of SAM, by size: {(width, height): {name: array}}."""
    sizes: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    with np.load(golden / "preprocessing.npz") as arrays:
        for key in arrays.files:
            family, size, name = key.split("/")
            if family == "sam":
                width, height = map(int, size.split("x"))
                sizes.setdefault((width, height), {})[name] = arrays[key]
    assert len(sizes) == 10
    return sizes


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_the_input_is_that_of_the_published_code_for_ten_odd_sizes(recorded):
    for (width, height), expected in recorded.items():
        image = _picture(width, height)
        assert _sha256(image) == str(expected["source_sha256"])
        pixels, frame = sam(1024).apply(image)
        rows, columns = frame.resized.height, frame.resized.width
        assert [rows, columns] == expected["resized_hw"].tolist()
        assert _sha256(resize(image, frame.resized)) == str(expected["resized_uint8_sha256"])
        assert pixels.shape == (1, 3, 1024, 1024)
        assert pixels.dtype == np.float32
        part = pixels[0, :, :rows, :columns]
        parts = {
            "mean": part.mean(axis=(1, 2), dtype=np.float64),
            "std": part.std(axis=(1, 2), dtype=np.float64),
            "top_left": part[:, :8, :8],
            "bottom_right": part[:, -8:, -8:],
        }
        for name, found in parts.items():
            np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-5, err_msg=name)
        assert not pixels[0, :, rows:].any()
        assert not pixels[0, :, :, columns:].any()


def test_points_move_as_apply_coords_moves_them_for_ten_odd_sizes(recorded):
    for (width, height), expected in recorded.items():
        frame = sam(1024).frame(Size(height, width))
        found = frame.to_input(expected["points"])
        np.testing.assert_allclose(found, expected["points_resized"], rtol=1e-14, atol=1e-12)


def test_a_picture_of_the_mean_colour_is_0_like_the_padding():
    image = np.tile(np.array([124, 116, 104], np.uint8), (20, 40, 1))
    pixels, frame = sam(64).apply(image)
    assert frame.resized == Size(32, 64)
    np.testing.assert_allclose(pixels[0, :, 0, 0], [0.00557, -0.0049, 0.00819], atol=1e-5)
    assert not pixels[0, :, 32:].any()


def test_channels_stay_in_their_order_and_rows_stay_rows():
    image = np.zeros((64, 64, 3), np.uint8)
    image[3, 7] = [255, 0, 0]
    pixels, _ = sam(64).apply(image)
    assert np.argwhere(pixels[0, 0] > 2).tolist() == [[3, 7]]
    assert pixels[0, 1].max() < 0
    assert pixels[0, 2].max() < 0


def test_a_picture_of_the_right_size_is_not_resampled():
    image = _picture(64, 48)
    assert resize(image, Size(48, 64)) is image


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (1, 8, 8, 3)])
def test_what_is_no_rgb_picture_is_refused(shape):
    with pytest.raises(ShapeError, match=r"image has shape .*: expected \(H, W, 3\)"):
        sam(64).apply(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_an_id_gives_its_record_back(side):
    for make in PREPROCESSING.values():
        assert preprocessing(make(side).id) == make(side)


def test_the_low_resolution_square_has_a_quarter_of_the_side():
    assert sam(1024).low_res_side == 256
    assert sam(1024).id == "sam-1024"


@pytest.mark.parametrize(
    "name", ["", "sam", "sam-", "sam-0", "sam-1000", "sam--16", "sam-64.0", "squash-64"]
)
def test_an_id_that_is_not_known_is_refused(name):
    with pytest.raises(
        ValueError, match=f"preprocessing '{name}' is not known here: expected FAMILY-"
    ):
        preprocessing(name)
