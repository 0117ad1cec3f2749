"""``Sam``: dictionaries, preprocessing, upscaling; its parts called by hand."""

import numpy as np
import pytest
import torch
from conftest import random_weights
from torch.nn import functional

from samphire.compat import Sam, SamPredictor
from samphire.compat.parts import as_samphire
from samphire.compat.segment_anything import modeling
from samphire.compat.segment_anything.modeling.sam import from_samphire
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import NonFiniteError, ShapeError
from samphire.geometry import Size
from samphire.images import preprocessing
from samphire.model import variants
from samphire.predict.upscale import upscale


def record(predictor, photo, **prompts):
    """A picture as Sam.forward takes it, prompts in pixels of the picture."""
    size, transform = photo.shape[:2], predictor.transform
    resized = torch.as_tensor(transform.apply_image(photo)).permute(2, 0, 1)
    made = {"image": resized, "original_size": size}
    if "points" in prompts:
        made["point_coords"] = transform.apply_coords_torch(torch.tensor(prompts["points"]), size)
        made["point_labels"] = torch.ones(made["point_coords"].shape[:2], dtype=torch.int)
    if "boxes" in prompts:
        made["boxes"] = transform.apply_boxes_torch(torch.tensor(prompts["boxes"]), size)
    return made


def test_a_batch_of_two_sizes_equals_the_predictor(sam, photo):
    predictor = SamPredictor(sam)
    tall = np.random.default_rng(2).integers(0, 256, (90, 33, 3), dtype=np.uint8)
    points, boxes = [[[30.0, 20.0], [5.0, 70.0]]], [[1.0, 2.0, 30.0, 60.0], [9.0, 9.0, 20.0, 20.0]]
    answers = sam(
        [record(predictor, photo, points=points), record(predictor, tall, boxes=boxes)],
        multimask_output=True,
    )
    assert [answer["masks"].shape for answer in answers] == [(1, 3, 75, 100), (2, 3, 90, 33)]
    assert answers[0]["masks"].dtype == torch.bool
    predictor.set_image(photo)
    expected = [predictor.predict(np.array(points[0]), np.array([1, 1]))]
    predictor.set_image(tall)
    expected += [predictor.predict(box=np.array(box)) for box in boxes]
    found = [(answers[0], 0), (answers[1], 0), (answers[1], 1)]
    for (answer, index), (masks, scores, low_res) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(answer["masks"][index], masks)
        np.testing.assert_allclose(answer["iou_predictions"][index], scores, atol=1e-6)
        np.testing.assert_allclose(answer["low_res_logits"][index], low_res, atol=1e-5)


def test_forward_gives_no_gradients_and_an_empty_batch_nothing(sam, photo):
    (answer,) = sam([record(SamPredictor(sam), photo)], False)
    assert not any(value.requires_grad for value in answer.values())
    assert answer["masks"].shape == (1, 1, 75, 100)
    assert sam([], multimask_output=False) == []


def test_points_without_labels_are_a_missing_key(sam, photo):
    given = record(SamPredictor(sam), photo, points=[[[3.0, 3.0]]])
    del given["point_labels"]
    with pytest.raises(KeyError, match="point_labels"):
        sam([given], False)


def test_preprocess_equals_samphires(sam, photo):
    expected, frame = preprocessing.sam(64).apply(photo)
    resized = SamPredictor(sam).transform.apply_image(photo)
    found = sam.preprocess(torch.as_tensor(resized).permute(2, 0, 1))
    assert resized.shape[:2] == (frame.resized.height, frame.resized.width)
    np.testing.assert_allclose(found, expected[0], atol=1e-6)
    assert (found[:, 48:] == 0).all()


def test_preprocess_takes_the_numbers_that_it_was_given(sam):
    parts = (sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)
    mine = Sam(*parts, pixel_mean=[1, 2, 3], pixel_std=[2, 2, 2])
    found = mine.preprocess(torch.tensor([5.0, 6.0, 7.0])[:, None, None])
    assert found[:, 0, 0].tolist() == [2, 2, 2]


def test_a_picture_larger_than_the_square_is_refused_not_cut(sam):
    with pytest.raises(ShapeError, match="65x10: expected at most 64x64"):
        sam.preprocess(torch.zeros(3, 10, 65))


@pytest.mark.parametrize("original", [(75, 100), (10, 13), (300, 400), (48, 64)])
def test_postprocess_is_the_published_steps_and_equals_samphires_matrices(sam, original):
    low_res = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    square = functional.interpolate(low_res, (64, 64), mode="bilinear")
    expected = functional.interpolate(square[..., :48, :64], original, mode="bilinear")
    found = sam.postprocess_masks(low_res, (48, 64), torch.tensor(original))
    assert torch.equal(found, expected)
    frame = preprocessing.sam(64).frame(Size(*original), Size(48, 64))
    specified = [[upscale(logits, frame) for logits in row] for row in low_res.numpy()]
    np.testing.assert_allclose(found, specified, atol=1e-5)
    exact = sam.postprocess_masks(low_res.double(), (48, 64), original)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, expected.double(), atol=1e-5, rtol=0)


def test_postprocess_equals_the_recorded(golden):
    with np.load(golden / "vit_b_tiny.npz") as file:
        low_res = torch.from_numpy(file["points_boxes/low_multi"][:1])
        expected = file["postprocess/masks"]
        sizes = [file[f"postprocess/{name}_size_hw"].tolist() for name in ("input", "original")]
    sam = Sam(modeling.ImageEncoderViT(img_size=128, embed_dim=8, depth=0), None, None)
    np.testing.assert_allclose(sam.postprocess_masks(low_res, *sizes), expected, atol=1e-5)


def test_autocast_does_not_round_the_upscaling(sam):
    low_res = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = sam.postprocess_masks(low_res, (48, 64), (75, 100))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sam.postprocess_masks(low_res, (48, 64), (75, 100)), expected)


def test_logits_of_half_precision_are_upscaled_in_float32(sam):
    low_res = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).half()
    found = sam.postprocess_masks(low_res, (48, 64), (75, 100))
    assert torch.equal(found, sam.postprocess_masks(low_res.float(), (48, 64), (75, 100)))


def test_an_input_size_beyond_the_square_is_refused(sam):
    with pytest.raises(ValueError, match="does not fit the model's input"):
        sam.postprocess_masks(torch.zeros(1, 1, 16, 16), (48, 65), (75, 100))


def test_parts_called_by_hand_give_what_the_predictor_gives(sam, photo):
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    box = predictor.transform.apply_boxes_torch(torch.tensor([[9.0, 9.0, 60.0, 50.0]]), (75, 100))
    resized = torch.as_tensor(predictor.transform.apply_image(photo)).permute(2, 0, 1)
    with torch.no_grad():
        embedding = sam.image_encoder(sam.preprocess(resized[None]))
        sparse, dense = sam.prompt_encoder(points=None, boxes=box[:, None], masks=None)  # (1, 1, 4)
        low_res, scores = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
    masks = sam.postprocess_masks(low_res, predictor.input_size, predictor.original_size)
    expected = predictor.predict_torch(None, None, box, None, False, return_logits=True)
    for found, wanted in zip((masks, scores, low_res), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_the_parts_train(sam):
    sparse, dense = sam.prompt_encoder(None, torch.tensor([[1.0, 2.0, 3.0, 4.0]]), None)
    embedding = torch.zeros(1, 256, 4, 4)
    arguments = (embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense)
    low_res, _ = sam.mask_decoder(*arguments, multimask_output=False)
    low_res.sum().backward()
    assert sam.prompt_encoder.point_embeddings[2].weight.grad.abs().sum() > 0
    for weight in sam.parameters():
        weight.grad = None


def test_the_same_parts_are_samphires_model(sam, tiny_sam, photo):
    model = as_samphire(sam)
    assert model.image_encoder is sam.image_encoder
    assert model.state_dict().keys() == tiny_sam.state_dict().keys() == sam.state_dict().keys()
    pixels, _ = preprocessing.sam(64).apply(photo)
    features = TorchEngine(model, preprocessing="sam-64").encode(pixels)
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    np.testing.assert_allclose(predictor.features, features, atol=1e-5)


@pytest.mark.parametrize(
    "place",
    [
        "image_encoder.neck.0.weight",
        "mask_decoder.iou_prediction_head.layers.2.bias",
        "mask_decoder.output_hypernetworks_mlps.0.layers.2.bias",
    ],
)
def test_damaged_weights_are_named_not_answered_with_an_empty_mask(photo, place):
    broken = variants.tiny()
    random_weights(broken)
    broken.get_parameter(place).data[0] = float("nan")
    sam = from_samphire(broken.eval())
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        sam([record(SamPredictor(sam), photo)], False)
