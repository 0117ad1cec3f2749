"""``SamPredictor``: what it promises, and each defect of the original that is kept or fixed."""

import copy
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from samphire.compat import SamPredictor
from samphire.compat.errors import ContractError, ImageNotSetError
from samphire.compat.segment_anything import modeling
from samphire.compat.segment_anything.modeling.sam import from_samphire
from samphire.errors import ImageError, NonFiniteError, PromptError, ShapeError
from samphire.model import variants

POINT, INSIDE = np.array([[30.0, 40.0]]), np.array([1])
BOX = np.array([10.0, 10.0, 80.0, 60.0])


def equal(found, expected, atol=1e-5):
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, atol=atol)


def test_points_give_three_masks_scores_and_logits(predictor):
    masks, scores, low_res = predictor.predict(POINT, INSIDE)
    assert (masks.shape, masks.dtype) == ((3, 75, 100), np.bool_)
    assert (scores.shape, scores.dtype) == ((3,), np.float32)
    assert (low_res.shape, low_res.dtype) == ((3, 16, 16), np.float32)
    logits, _, _ = predictor.predict(POINT, INSIDE, return_logits=True)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits > 0, masks)


def test_one_mask_is_another_token_than_the_three(predictor):
    masks, scores, _ = predictor.predict(POINT, INSIDE, multimask_output=False)
    assert masks.shape == (1, 75, 100)
    assert scores[0] not in predictor.predict(POINT, INSIDE)[1]


def test_predict_equals_samphires_own_decode(predictor, tiny_engine, photo):
    import samphire

    embedding = samphire.embed(tiny_engine, photo)
    first = samphire.decode(tiny_engine, embedding, points=[(30, 40)], multimask=True)
    second = samphire.decode(
        tiny_engine, embedding, points=[(30, 40)], boxes=[BOX.tolist()], previous=first[0, 1],
        multimask=True,
    )  # fmt: skip
    _, scores, low_res = predictor.predict(POINT, INSIDE)
    equal((scores, low_res), (first.predicted_iou[0], first.logits[0]))
    _, scores, low_res = predictor.predict(POINT, INSIDE, BOX, low_res[1][None])
    equal((scores, low_res), (second.predicted_iou[0], second.logits[0]))


def test_a_box_may_be_flat_or_one_row_or_a_list(predictor):
    expected = predictor.predict(box=BOX)
    equal(predictor.predict(box=BOX[None]), expected)
    equal(predictor.predict(box=BOX.tolist()), expected)


def test_batched_boxes_are_boxes_one_by_one(predictor):
    boxes = torch.tensor([BOX.tolist(), [1.0, 2.0, 30.0, 40.0]])
    inside = predictor.transform.apply_boxes_torch(boxes, predictor.original_size)
    batch = predictor.predict_torch(None, None, boxes=inside, multimask_output=False)
    assert batch[0].shape == (2, 1, 75, 100)
    for index, box in enumerate(boxes.numpy()):
        single = predictor.predict(box=box, multimask_output=False)
        equal([part[index] for part in batch], single)


def test_one_mask_prompt_serves_all_objects(predictor):
    boxes = torch.tensor([[3.0, 3.0, 30.0, 30.0], [5.0, 9.0, 20.0, 40.0]])
    mask = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    shared = predictor.predict_torch(None, None, boxes, mask)
    equal(shared, predictor.predict_torch(None, None, boxes, mask.expand(2, -1, -1, -1)))
    equal(shared, predictor.predict_torch(None, None, boxes[:, None], mask))  # boxes (B, 1, 4)


def test_bgr_is_rgb_reversed(sam, photo, predictor):
    other = SamPredictor(sam)
    other.set_image(photo[..., ::-1], image_format="BGR")
    assert torch.equal(other.features, predictor.features)


OTHER_PICTURES = {
    "grey": lambda photo: photo[..., 0],
    "RGBA": lambda photo: np.dstack([photo, photo[..., 0]]),
    "floats from 0 to 1": lambda photo: photo / 255,
    "floats from 0 to 255": lambda photo: photo.astype(np.float32),
    "uint16": lambda photo: photo.astype(np.uint16) * 16,
    "not contiguous": lambda photo: photo[::-1, ::2],
    "Pillow": Image.fromarray,
}


@pytest.mark.parametrize("kind", OTHER_PICTURES)
def test_other_pictures_are_read_as_everywhere_in_samphire(tiny_engine, sam, photo, kind):
    import samphire

    given = OTHER_PICTURES[kind](photo)
    predictor = SamPredictor(sam)
    predictor.set_image(given)
    expected = samphire.embed(tiny_engine, given)
    np.testing.assert_allclose(predictor.features, expected.features, atol=1e-5)


def test_a_path_is_read(predictor, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    expected = predictor.features
    predictor.set_image(tmp_path / "photo.png")
    assert torch.equal(predictor.features, expected)


def test_floats_from_0_to_1_are_the_same_picture_not_a_black_one(predictor, photo):
    expected = predictor.features
    predictor.set_image(photo / 255)
    assert torch.equal(predictor.features, expected)


@pytest.mark.parametrize("shape", [(9, 9, 2), (3, 9, 9), (9, 9, 9, 3), (0, 9, 3)])
def test_what_is_no_picture_is_refused_by_its_shape_and_none_is_set(predictor, shape):
    with pytest.raises(ImageError, match=r"shape .*expected \(height, width\)"):
        predictor.set_image(np.zeros(shape, np.uint8))
    assert not predictor.is_image_set
    with pytest.raises(RuntimeError, match="An image must be set"):
        predictor.predict(POINT, INSIDE)


def test_an_unknown_format_is_an_assertion_as_published(predictor, photo):
    with pytest.raises(AssertionError, match="'rgb': expected one of RGB, BGR"):
        predictor.set_image(photo, "rgb")


def test_a_picture_of_one_row_has_an_input_of_one_row(sam):
    predictor = SamPredictor(sam)
    predictor.set_image(np.zeros((1, 2049, 3), np.uint8))
    assert predictor.input_size == (1, 64)
    assert predictor.predict(np.array([[5.0, 0.0]]), INSIDE)[0].shape == (3, 1, 2049)


@pytest.mark.parametrize("shape", [(3, 48, 64), (1, 4, 48, 64), (1, 3, 48, 63), (1, 3, 48, 65)])
def test_a_torch_image_of_another_shape_is_an_assertion_as_published(predictor, shape):
    with pytest.raises(AssertionError, match="longest side 64"):
        predictor.set_torch_image(torch.zeros(shape), (75, 100))
    assert not predictor.is_image_set


def test_a_torch_image_equals_the_picture_that_it_was_made_of(sam, predictor, photo):
    other = SamPredictor(sam)
    resized = torch.as_tensor(other.transform.apply_image(photo))
    other.set_torch_image(resized.permute(2, 0, 1)[None].float(), photo.shape)
    assert torch.equal(other.features, predictor.features)
    assert (other.original_size, other.input_size) == ((75, 100), (48, 64))


def test_several_pictures_are_encoded_and_a_prompt_about_them_is_refused(sam):
    predictor = SamPredictor(sam)
    predictor.set_torch_image(torch.rand(2, 3, 64, 64) * 255, (64, 64))
    assert predictor.get_image_embedding().shape == (2, 256, 4, 4)
    with pytest.raises(ShapeError, match="image_embeddings"):
        predictor.predict(POINT, INSIDE)


def test_a_fresh_predictor_has_the_published_attributes(sam):
    predictor = SamPredictor(sam)
    assert predictor.model is sam
    assert predictor.transform.target_length == 64
    assert predictor.device == sam.device
    assert not predictor.is_image_set
    for name in ("features", "original_size", "input_size"):
        assert getattr(predictor, name) is None
    for name in ("orig_h", "orig_w", "input_h", "input_w"):
        assert getattr(predictor, name) is None


def test_attributes_put_back_by_hand_bring_back_a_picture(predictor, sam):
    expected = predictor.predict(POINT, INSIDE)
    other = SamPredictor(sam)  # as scripts do that keep embeddings
    other.features, other.is_image_set = predictor.features, True
    other.original_size, other.input_size = predictor.original_size, predictor.input_size
    equal(other.predict(POINT, INSIDE), expected, atol=0)


def test_reset_forgets_everything(predictor):
    predictor.reset_image()
    assert predictor.original_size is predictor.input_size is predictor.features is None
    for call in (predictor.predict, predictor.get_image_embedding):
        with pytest.raises(ImageNotSetError):
            call()


def test_the_embedding_is_not_a_copy_and_may_be_trained_on(predictor):
    assert predictor.get_image_embedding() is predictor.features
    weight = torch.ones(1, requires_grad=True)
    (predictor.features * weight).sum().backward()  # not an inference tensor
    assert weight.grad is not None


def test_lists_are_taken_for_arrays(predictor):
    equal(predictor.predict([[30, 40]], [1]), predictor.predict(POINT, INSIDE))


@pytest.mark.parametrize("given", [{"point_coords": POINT}, {"point_labels": INSIDE}])
def test_points_and_labels_belong_together(predictor, given):
    with pytest.raises(ContractError, match="belong together"):
        predictor.predict(**given)
    tensors = {name: torch.as_tensor(value)[None] for name, value in given.items()}
    with pytest.raises(AssertionError, match="belong together"):
        predictor.predict_torch(**{"point_coords": None, "point_labels": None, **tensors})


def test_points_and_labels_of_different_number_are_named(predictor):
    with pytest.raises(ShapeError, match=r"labels has shape \(1, 2\): expected \(1, 1\)"):
        predictor.predict(POINT, np.array([1, 0]))


def test_two_boxes_are_refused_with_the_way_to_give_them(predictor):
    with pytest.raises(PromptError, match=r"\(2, 4\): expected \(4,\).*predict_torch"):
        predictor.predict(box=np.stack([BOX, BOX]))


@pytest.mark.parametrize("shape", [(16, 16), (3, 16, 16), (1, 256, 256)])
def test_a_mask_prompt_of_another_shape_is_named(predictor, shape):
    with pytest.raises(ShapeError, match="mask_input has shape"):
        predictor.predict(POINT, INSIDE, mask_input=np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_coordinate_that_is_not_finite_is_refused(predictor, value):
    with pytest.raises(PromptError, match="NaN or infinite"):
        predictor.predict(np.array([[value, 3.0]]), INSIDE)
    with pytest.raises(PromptError, match="NaN or infinite"):
        predictor.predict(box=np.array([value, 3.0, 4.0, 5.0]))
    with pytest.raises(NonFiniteError):
        predictor.predict_torch(torch.full((1, 1, 2), value), torch.ones(1, 1))


def test_kept_no_prompt_is_answered(predictor):
    assert predictor.predict()[0].shape == (3, 75, 100)


def test_kept_points_outside_and_reversed_boxes_are_answered(predictor):
    assert np.isfinite(predictor.predict(np.array([[-50.0, 900.0]]), INSIDE)[1]).all()
    assert np.isfinite(predictor.predict(box=BOX[[2, 3, 0, 1]])[1]).all()


def test_kept_unknown_labels_are_bare_positions(predictor):
    equal(predictor.predict(POINT, np.array([2])), predictor.predict(POINT, np.array([7])))


def test_kept_a_padding_point_changes_the_answer(predictor):
    padded = predictor.predict(np.concatenate([POINT, [[0, 0]]]), np.array([1, -1]))
    assert np.abs(padded[2] - predictor.predict(POINT, INSIDE)[2]).max() > 1e-3


def test_edited_parts_are_what_runs(predictor, sam):
    sam.mask_threshold = 1e9
    assert not predictor.predict(POINT, INSIDE)[0].any()
    before = predictor.predict(POINT, INSIDE)[1]
    sam.prompt_encoder.point_embeddings[1].weight.data += 1
    assert np.abs(predictor.predict(POINT, INSIDE)[1] - before).max() > 1e-4


def test_parts_built_by_hand(photo):
    parts = {
        "image_encoder": modeling.ImageEncoderViT(
            img_size=64, embed_dim=8, depth=1, num_heads=2, out_chans=16
        ),
        "prompt_encoder": modeling.PromptEncoder(16, (4, 4), (64, 64), 16),
        "mask_decoder": modeling.MaskDecoder(
            transformer_dim=16,
            transformer=modeling.TwoWayTransformer(
                depth=1, embedding_dim=16, num_heads=2, mlp_dim=8
            ),
        ),
    }
    predictor = SamPredictor(modeling.Sam(**parts).eval())
    predictor.set_image(photo)
    assert predictor.predict(POINT, INSIDE)[0].shape == (3, 75, 100)


def test_threads_with_a_predictor_each_share_a_model(sam, photo):
    photos = [photo, photo[::-1].copy(), photo[:40]]
    expected = []
    for picture in photos:
        predictor = SamPredictor(sam)
        predictor.set_image(picture)
        expected.append(predictor.predict(POINT, INSIDE))
    found = [None] * len(photos)

    def work(index):
        predictor = SamPredictor(sam)
        for _ in range(3):
            predictor.set_image(photos[index])
            found[index] = predictor.predict(POINT, INSIDE)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for left, right in zip(found, expected, strict=True):
        equal(left, right)


def test_kept_a_predicted_iou_may_exceed_1(tiny_sam, photo):
    sam = from_samphire(copy.deepcopy(tiny_sam))
    sam.mask_decoder.iou_prediction_head.layers[-1].bias.data += 9
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    assert predictor.predict(POINT, INSIDE)[1].min() > 1


def test_kept_a_tensor_of_floats_is_on_the_scale_to_255(sam):
    dark, bright = SamPredictor(sam), SamPredictor(sam)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    dark.set_torch_image(picture, (64, 64))
    bright.set_torch_image(picture * 255, (64, 64))
    assert (dark.features - bright.features).abs().max() > 0.1


def test_kept_train_mode_is_the_callers(tiny_sam, photo):
    sam = from_samphire(copy.deepcopy(tiny_sam)).train()
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    assert sam.training
    assert not predictor.features.requires_grad


def test_several_embeddings_in_one_call_of_the_decoder_are_refused(sam):
    sparse, dense = sam.prompt_encoder(None, torch.zeros(2, 4), None)
    pe = sam.prompt_encoder.get_dense_pe()
    with pytest.raises(ShapeError, match="image_embeddings"):
        sam.mask_decoder(torch.zeros(2, 256, 4, 4), pe, sparse, dense, multimask_output=False)


def test_weights_loaded_after_eval_count_at_once(tiny_sam, predictor, photo):
    fresh = from_samphire(variants.tiny()).eval()
    fresh.load_state_dict(tiny_sam.state_dict())
    other = SamPredictor(fresh)
    other.set_image(photo)
    assert torch.equal(other.features, predictor.features)
