"""``utils.amg``: what the published helpers give, and what these do where those go wrong."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from samphire.compat.segment_anything.utils import amg
from samphire.errors import FileFormatError, ShapeError


@pytest.fixture
def masks():
    generator = torch.Generator().manual_seed(0)
    return torch.rand((5, 9, 13), generator=generator) > 0.6


def test_run_lengths_go_there_and_back_and_are_pycocotools(masks):
    for mask, rle in zip(masks.numpy(), amg.mask_to_rle_pytorch(masks), strict=True):
        assert rle["size"] == [9, 13]
        assert type(rle["counts"]) is list
        np.testing.assert_array_equal(amg.rle_to_mask(rle), mask)
        assert amg.area_from_rle(rle) == mask.sum()
        packed = amg.coco_encode_rle(rle)
        assert packed["counts"] == coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
        np.testing.assert_array_equal(amg.rle_to_mask(packed), mask)


def test_float_masks_have_run_lengths_and_masks_without_columns_too(masks):
    assert amg.mask_to_rle_pytorch(masks.float()) == amg.mask_to_rle_pytorch(masks)
    assert amg.mask_to_rle_pytorch(torch.zeros(1, 0, 4)) == [{"size": [0, 4], "counts": [0]}]
    with pytest.raises(ShapeError):
        amg.mask_to_rle_pytorch(masks[0])


def test_run_lengths_that_do_not_add_up_are_refused():
    with pytest.raises(FileFormatError, match="with 3 pixels"):
        amg.rle_to_mask({"size": [2, 3], "counts": [1, 2]})


def test_boxes_end_on_the_last_pixel_and_keep_one_type(masks):
    boxes = amg.batched_mask_to_box(torch.stack([masks[0], torch.zeros_like(masks[0])]))
    y, x = np.nonzero(masks[0].numpy())
    assert boxes.tolist() == [[x.min(), y.min(), x.max(), y.max()], [0, 0, 0, 0]]
    empty = amg.batched_mask_to_box(torch.zeros(0, 9, 13, dtype=torch.bool))
    assert boxes.dtype == empty.dtype == torch.int64
    assert empty.shape == (0, 4)
    assert amg.batched_mask_to_box(masks[None]).shape == (1, 5, 4)


def test_corner_and_size_work_on_one_box_and_on_a_batch():
    assert amg.box_xyxy_to_xywh([1, 2, 5, 9]) == [1, 2, 4, 7]
    given = torch.tensor([[1, 2, 5, 9], [0, 0, 3, 3]])
    assert amg.box_xyxy_to_xywh(given).tolist() == [[1, 2, 4, 7], [0, 0, 3, 3]]
    assert given[0].tolist() == [1, 2, 5, 9]


def test_stability_is_the_ratio_of_areas_and_0_where_nothing_is_on():
    logits = torch.full((3, 4, 40000), -9.0)
    logits[0, :, :30000] = 9
    logits[1, :, :30000] = 9
    logits[1, :, :15000] = 0.5
    found = amg.calculate_stability_score(logits, 0.0, 1.0)
    assert found.tolist() == [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="offset is -1"):
        amg.calculate_stability_score(logits, 0.0, -1.0)


def test_grids_and_crops_are_the_published_ones():
    assert amg.build_point_grid(2).tolist() == [
        [0.25, 0.25],
        [0.75, 0.25],
        [0.25, 0.75],
        [0.75] * 2,
    ]
    assert [len(grid) for grid in amg.build_all_layer_point_grids(4, 3, 2)] == [16, 4, 1, 1]
    boxes, layers = amg.generate_crop_boxes((1200, 1800), 1, 512 / 1500)
    assert boxes[1] == [0, 0, 1105, 805]
    assert layers == [0, 1, 1, 1, 1]


def test_a_box_near_an_edge_of_the_crop_is_told_from_one_at_the_images():
    boxes = torch.tensor([[0, 30, 40, 60], [30, 30, 95, 60]])
    found = amg.is_box_near_crop_edge(boxes, [0, 50, 100, 150], [0, 0, 300, 200])
    assert found.tolist() == [False, True]


def test_what_was_cropped_goes_back_into_the_image(masks):
    whole = amg.uncrop_masks(masks, [2, 3, 15, 12], 20, 30)
    assert whole.shape == (5, 20, 30)
    assert torch.equal(whole[:, 3:12, 2:15], masks)
    assert int(whole.sum()) == int(masks.sum())
    assert amg.uncrop_masks(masks, [0, 0, 13, 9], 9, 13) is masks
    assert amg.uncrop_points(torch.tensor([[[1, 1]]]), [2, 3, 9, 9]).tolist() == [[[3, 4]]]
    assert amg.uncrop_boxes_xyxy(torch.tensor([[0, 0, 4, 4]]), [2, 3, 9, 9]).tolist() == [
        [2, 3, 6, 7]
    ]


def test_small_regions_are_cleaned_as_published_on_any_type_of_mask():
    mask = np.zeros((9, 12), np.bool_)
    mask[1:8, 1:9] = True
    mask[3:5, 3:5] = False  # a hole
    mask[0, 11] = True  # an island
    for given in (mask, mask.astype(np.uint8), mask.astype(np.uint8) * 255):
        filled, changed = amg.remove_small_regions(given, 5, "holes")
        assert changed
        assert filled[3:5, 3:5].all()
        rid, changed = amg.remove_small_regions(given, 5, "islands")
        assert changed
        assert not rid[0, 11]
    same, changed = amg.remove_small_regions(mask, 1, "holes")
    assert not changed
    np.testing.assert_array_equal(same, mask)
    with pytest.raises(AssertionError, match="expected 'holes' or 'islands'"):
        amg.remove_small_regions(mask, 5, "both")


def test_a_notch_at_the_border_is_filled_as_published_and_islands_leave_the_largest():
    mask = np.ones((6, 6), np.bool_)
    mask[0, 2:4] = False
    assert amg.remove_small_regions(mask, 5, "holes")[0].all()
    two = np.zeros((6, 6), np.bool_)
    two[0, 0] = two[3:5, 3] = True
    left, _ = amg.remove_small_regions(two, 9, "islands")
    assert left.sum() == 2


def test_columns_are_filtered_by_masks_and_indices_of_both_kinds():
    def made():
        return amg.MaskData(a=torch.arange(3), b=np.arange(3), c=["x", "y", "z"])

    for keep in (
        np.array([True, False, True]),
        torch.tensor([True, False, True]),
        np.array([0, 2]),
    ):
        data = made()
        data.filter(keep)
        assert (data["a"].tolist(), data["b"].tolist(), data["c"]) == ([0, 2], [0, 2], ["x", "z"])
    data = made()
    data.cat(made())
    assert [len(column) for _, column in data.items()] == [6, 6, 6]
    data.to_numpy()
    assert isinstance(data["a"], np.ndarray)
    del data["a"]
    with pytest.raises(AssertionError, match="expected a list, an array or a tensor"):
        data["a"] = 1


def test_batches_cover_everything_and_are_not_empty():
    assert list(amg.batch_iterator(2, [1, 2, 3], "abc")) == [[[1, 2], "ab"], [[3], "c"]]
    with pytest.raises(AssertionError, match="batch_size=0"):
        list(amg.batch_iterator(0, [1]))
    with pytest.raises(AssertionError, match="one length"):
        list(amg.batch_iterator(2, [1], [1, 2]))
