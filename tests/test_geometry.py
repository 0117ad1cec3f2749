import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samphire.geometry import AxisWeights, Band, Frame, Size, coverage_weights, resize_weights
from samphire.images.preprocessing import lite_medsam, medsam, sam

quick = settings(max_examples=60)
sides = st.integers(1, 3000)
sizes = st.builds(Size, sides, sides)
small_sizes = st.builds(Size, st.integers(1, 150), st.integers(1, 150))


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5)])
def test_a_size_with_an_empty_side_is_refused(height, width):
    with pytest.raises(ValueError, match=rf"size {width}x{height} has an empty side"):
        Size(height, width)


def test_a_size_prints_width_first():
    assert str(Size(height=800, width=1200)) == "1200x800"


@pytest.mark.parametrize(
    ("original", "resized"),
    [
        ((1200, 1800), (683, 1024)),
        ((684, 1024), (684, 1024)),
        ((427, 640), (683, 1024)),
        ((333, 500), (682, 1024)),
        ((1, 2048), (1, 1024)),  # half a pixel rounds up
        ((5, 2048), (3, 1024)),
        ((3, 2048), (2, 1024)),
        ((7, 7), (1024, 1024)),
        ((1, 2049), (1, 1024)),  # the published code gives 0 and fails
        ((300, 1), (1024, 3)),
    ],
)
def test_the_longest_side_fills_the_square_and_half_pixels_round_up(original, resized):
    assert sam(1024).frame(Size(*original)).resized == Size(*resized)


@quick
@given(sizes, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_points_go_to_the_input_and_back_within_a_thousandth_of_a_pixel(size, shares):
    frame = sam(1024).frame(size)
    points = np.array(shares) * [size.width, size.height]
    there = frame.to_input(points)
    assert there.dtype == np.float64
    assert (there >= 0).all()
    assert (there <= [frame.resized.width, frame.resized.height]).all()
    np.testing.assert_allclose(frame.to_original(there), points, rtol=0, atol=1e-3)


@quick
@given(sizes)
def test_a_box_moves_as_its_two_corners_do(size):
    frame = sam(1024).frame(size)
    box = np.array([0.1, 0.2, 0.8, 0.9]) * ([size.width, size.height] * 2)
    corners = frame.to_input(box.reshape(2, 2))
    assert frame.to_input(box[None]).tolist() == [corners.ravel().tolist()]


@quick
@given(sizes)
def test_the_whole_picture_is_the_whole_resized_part(size):
    frame = sam(1024).frame(size)
    corner = frame.to_input([[size.width, size.height]])
    np.testing.assert_allclose(corner, [[frame.resized.width, frame.resized.height]], rtol=1e-12)


def test_a_picture_that_does_not_fit_the_input_is_refused():
    with pytest.raises(ValueError, match=r"resized to 65x10 does not fit .* at most 64x64"):
        sam(64).frame(Size(20, 130), Size(10, 65))


def test_a_size_the_caller_resized_to_is_taken():
    assert sam(64).frame(Size(20, 130), Size(9, 60)).scale == (60 / 130, 9 / 20)


def test_lite_medsam_moves_both_axes_by_one_scale_and_cuts_boxes_to_whole_pixels():
    frame = lite_medsam(256).frame(Size(181, 258))
    assert frame.resized == Size(180, 256)
    assert frame.scale == (256 / 258, 256 / 258)
    box = [89, 60, 148, 101]  # of the golden case s0114_111
    assert frame.to_input(box).tolist() == [88, 59, 146, 100]
    assert frame.to_input([box, box]).tolist() == [[88, 59, 146, 100]] * 2
    found = frame.to_input([[89.0, 60.0]])
    np.testing.assert_allclose(found, [[88.31007752, 59.53488372]])  # points are not cut


def test_a_frame_made_again_from_its_sizes_is_the_same():
    for record in (sam(64), medsam(64), lite_medsam(64)):
        frame = record.frame(Size(30, 50))
        assert record.frame(Size(30, 50), frame.resized) == frame


def _dense(bands: list[Band], pixels: int, cells: int) -> np.ndarray:
    """The matrix (pixels, cells) that the bands are parts of."""
    matrix = np.zeros((pixels, cells), np.float32)
    for band in bands:
        assert band.weights.dtype == np.float32
        matrix[band.pixels, band.cells] = band.weights
    return matrix


def _matrix(axis: AxisWeights) -> np.ndarray:
    return _dense(axis.bands(0, axis.length), axis.length, axis.source.shape[1])


def _coverage(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = coverage_weights(frame)
    side, size = frame.low_res_side, frame.original
    return _dense(rows, size.height, side).T, _dense(columns, size.width, side).T


def _as_torch_does(logits: np.ndarray, frame: Frame) -> np.ndarray:
    """``Sam.postprocess_masks``, call by call."""
    torch = pytest.importorskip("torch")
    resize = torch.nn.functional.interpolate
    masks = torch.from_numpy(logits)[None, None]
    if "resize_to_input" in frame.output_steps:
        square = (frame.input_side, frame.input_side)
        masks = resize(masks, square, mode="bilinear", align_corners=False)
    if "crop_to_resized" in frame.output_steps:
        masks = masks[..., : frame.resized.height, : frame.resized.width]
    original = (frame.original.height, frame.original.width)
    return resize(masks, original, mode="bilinear", align_corners=False)[0, 0].numpy()


def _assert_as_torch_does(frame: Frame, scale: float, seed: int) -> None:
    shape = (frame.low_res_side, frame.low_res_side)
    logits = (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)
    rows, columns = map(_matrix, resize_weights(frame))
    assert rows.dtype == columns.dtype == np.float32
    expected = _as_torch_does(logits, frame)
    np.testing.assert_allclose(rows @ logits @ columns.T, expected, rtol=0, atol=1e-4 * scale)


@quick
@given(
    small_sizes, st.sampled_from([16, 64, 112]), st.sampled_from([1.0, 50.0]), st.integers(0, 99)
)
def test_two_matrices_do_what_torch_does_in_two_resizes_and_a_crop(size, side, scale, seed):
    _assert_as_torch_does(sam(side).frame(size), scale, seed)


@quick
@given(small_sizes, st.sampled_from([medsam, lite_medsam]), st.integers(0, 99))
def test_two_matrices_do_the_steps_of_the_medical_models(size, record, seed):
    _assert_as_torch_does(record(64).frame(size), 1.0, seed)


@pytest.mark.parametrize("size", [(603, 1072), (1500, 700), (1024, 1024), (31, 47), (1, 2049)])
def test_two_matrices_do_what_torch_does_at_the_size_of_the_real_model(size):
    _assert_as_torch_does(sam(1024).frame(Size(*size)), 20.0, 0)


@quick
@given(small_sizes, st.sampled_from([16, 64, 112]))
def test_each_pixel_is_an_average_of_at_most_four_cells_an_axis(size, side):
    for weights in map(_matrix, resize_weights(sam(side).frame(size))):
        assert (weights >= 0).all()
        assert (np.count_nonzero(weights, axis=1) <= 4).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-6)


def test_resize_weights_cannot_be_changed_because_they_are_shared():
    frame = sam(64).frame(Size(30, 40))
    rows, _ = resize_weights(frame)
    assert resize_weights(frame)[0] is rows
    assert not rows.source.flags.writeable


@quick
@given(st.integers(1, 700), st.sampled_from([sam, medsam, lite_medsam]), st.data())
def test_the_bands_of_a_part_are_that_part_of_the_matrix(length, record, data):
    rows, _ = resize_weights(record(64).frame(Size(length, 30)))
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    part = _dense(rows.bands(start, stop), length, rows.source.shape[1])
    np.testing.assert_array_equal(part[start:stop], _matrix(rows)[start:stop])
    assert not part[:start].any()
    assert not part[stop:].any()


@quick
@given(st.integers(1, 200), st.sampled_from([sam, medsam, lite_medsam]), st.data())
def test_a_span_is_from_the_first_to_the_last_pixel_made_of_the_cells(length, record, data):
    rows, _ = resize_weights(record(64).frame(Size(length, 30)))
    first = data.draw(st.integers(0, rows.source.shape[1] - 1))
    last = data.draw(st.integers(first, rows.source.shape[1] - 1))
    cells = np.zeros(rows.source.shape[1], bool)
    cells[first : last + 1] = True
    made = np.flatnonzero(_matrix(rows) @ cells)
    start, stop = rows.span(cells)
    assert set(made) <= set(range(start, stop))
    gaps = 4 * 64 / length  # a small picture skips cells: its span may begin in a gap
    assert stop - start <= (made[-1] + 1 - made[0] if len(made) else 0) + gaps


def test_a_span_of_no_cell_and_of_cells_in_the_padding_is_empty():
    rows, _ = resize_weights(sam(64).frame(Size(20, 40)))
    cells = np.zeros(16, bool)
    assert rows.span(cells) == (0, 0)
    cells[10:] = True
    assert rows.span(cells) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [Size(1, 1_000_000), Size(1_000_000, 1)])
def test_a_long_thin_picture_needs_little_memory_for_its_weights(size):
    frame = sam(1024).frame(size)
    tracemalloc.start()
    for axis in resize_weights(frame):
        assert axis.bands(0, axis.length)[-1].pixels.stop == axis.length
    resizing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert len(coverage_weights(frame)) == 2
    covering = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(resizing, covering) < 60e6  # the two matrices whole: 1 GB


def _covered(cells: int, cell: float, pixels: int) -> np.ndarray:
    weights = np.zeros((cells, pixels))
    for i, j in itertools.product(range(cells), range(pixels)):
        weights[i, j] = max(0.0, min((i + 1) * cell, j + 1) - max(i * cell, j)) / cell
    return weights


@settings(max_examples=25)
@given(st.builds(Size, st.integers(1, 40), st.integers(1, 40)))
def test_coverage_is_the_overlap_of_cell_and_pixel(size):
    frame = sam(64).frame(size)
    x_scale, y_scale = frame.scale
    rows, columns = _coverage(frame)
    np.testing.assert_allclose(rows, _covered(16, 4 / y_scale, size.height), atol=1e-6)
    np.testing.assert_allclose(columns, _covered(16, 4 / x_scale, size.width), atol=1e-6)


@quick
@given(small_sizes, st.integers(0, 99))
def test_coverage_keeps_the_area_of_a_mask(size, seed):
    mask = np.random.default_rng(seed).random((size.height, size.width)) > 0.5
    frame = sam(64).frame(size)
    rows, columns = _coverage(frame)
    x_scale, y_scale = frame.scale
    pixels_a_cell = (4 / x_scale) * (4 / y_scale)
    cells = rows.astype(np.float64) @ mask @ columns.T
    assert cells.sum() * pixels_a_cell == pytest.approx(mask.sum(), rel=1e-4)
    assert cells.max() <= 1 + 1e-5


@pytest.mark.parametrize("record", [sam, medsam, lite_medsam])
def test_a_full_mask_covers_the_resized_part_and_nothing_else(record):
    frame = record(64).frame(Size(43, 100))
    cell = 64 // record(64).low_res_side
    rows, columns = _coverage(frame)
    assert rows.sum() * cell == pytest.approx(frame.resized.height, rel=1e-5)
    assert columns.sum() * cell == pytest.approx(frame.resized.width, rel=1e-5)


def test_cells_in_the_padding_are_not_covered():
    frame = sam(64).frame(Size(20, 40))  # 32 of 64 rows: 8 of 16 cells
    rows, columns = _coverage(frame)
    np.testing.assert_allclose(rows.sum(axis=1), [1] * 8 + [0] * 8, atol=1e-6)
    np.testing.assert_allclose(columns.sum(axis=1), 1, atol=1e-6)
