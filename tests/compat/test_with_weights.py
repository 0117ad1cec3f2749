"""The real vit_t on real photos: the original code's answers, within the golden README's limits."""

import copy
import json
import threading

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from samphire.compat import SamOnnxModel, SamPredictor
from samphire.compat.segment_anything.modeling.sam import from_samphire
from samphire.images.read import read_image

pytestmark = pytest.mark.weights

EMBEDDING, LOGITS, IOU = 1e-5, 1e-3, 1e-5
PHOTOS = ["dogs", "room", "two_dogs_window", "fig_in_bowl"]
PROMPTS = ["pt1", "pt2", "posneg", "box", "box_neg", "mask_refine"]


class Recorded:
    """What the original code answered about one photo, and a predictor that has it set."""

    def __init__(self, sam, golden, data, name):
        facts = json.loads((golden / "vit_t_prompts.json").read_text())
        self.prompts = facts["photos"][name]["prompts"]
        with np.load(golden / f"vit_t_prompts_{name}.npz") as file:
            self.arrays = {key: file[key] for key in file}
        self.image = read_image(data / "photos" / f"{name}.jpg")
        self.predictor = SamPredictor(sam)
        self.predictor.set_image(self.image)


@pytest.fixture(scope="module")
def sam(vit_t):
    return from_samphire(vit_t.module)


@pytest.fixture(scope="module", params=PHOTOS)
def photo(request, sam, golden, data):
    return Recorded(sam, golden, data, request.param)


@pytest.fixture(scope="module")
def dogs(sam, golden, data):
    return Recorded(sam, golden, data, "dogs")


def prompt(photo, name):
    """The recorded prompt as arguments of predict."""
    recorded = photo.prompts[name]["prompt"]
    given = {}
    if "points" in recorded:
        points = np.array(recorded["points"])
        given = {"point_coords": points[:, :2], "point_labels": points[:, 2].astype(int)}
    if "box" in recorded:
        given["box"] = np.array(recorded["box"])
    if "mask_from" in recorded:
        first = prompt(photo, recorded["mask_from"])
        _, scores, low_res = photo.predictor.predict(**first, multimask_output=True)
        given["mask_input"] = low_res[scores.argmax()][None]
    return given


def check(photo, name, found, first=0):
    """Masks, scores and logits (B, 4 - first, ...) against the recorded tokens from ``first``."""
    masks, scores, low_res = found
    recorded_scores = photo.arrays[f"{name}/iou"][:, first:]
    recorded_logits = photo.arrays[f"{name}/low_5th"][:, first:]
    np.testing.assert_allclose(scores, recorded_scores, atol=IOU, rtol=0)
    np.testing.assert_allclose(low_res[..., ::5, ::5], recorded_logits, atol=LOGITS, rtol=0)
    recorded = photo.prompts[name]
    for b, m in np.ndindex(scores.shape):
        expected = coco.decode(recorded["masks"][b][first + m]).astype(bool)
        different = np.count_nonzero(masks[b, m] != expected)
        assert different <= recorded["pixels_within_1e_3_of_zero"][b][first + m]


def test_the_embedding(photo):
    found = photo.predictor.get_image_embedding()[0, :, ::4, ::4]
    np.testing.assert_allclose(found, photo.arrays["embedding/sub"], atol=EMBEDDING, rtol=0)


@pytest.mark.parametrize("name", PROMPTS)
def test_predict(photo, name):
    given = prompt(photo, name)
    single = photo.predictor.predict(**given, multimask_output=False)
    three = photo.predictor.predict(**given, multimask_output=True)
    check(photo, name, [np.concatenate(parts)[None] for parts in zip(single, three, strict=True)])


def inside(photo, image, boxes):
    return photo.predictor.transform.apply_boxes_torch(torch.tensor(boxes), image.shape[:2])


def test_predict_torch_with_a_batch_of_boxes(photo):
    boxes = inside(photo, photo.image, photo.prompts["boxes3"]["prompt"]["boxes"])
    ask = photo.predictor.predict_torch
    answers = [ask(None, None, boxes, None, multi) for multi in (False, True)]
    found = [torch.cat(parts, dim=1).numpy() for parts in zip(*answers, strict=True)]
    check(photo, "boxes3", found)


def resized(photo, image):
    return torch.as_tensor(photo.predictor.transform.apply_image(image)).permute(2, 0, 1)


def test_forward_on_a_batch_of_two_sizes(dogs):
    part = dogs.image[:300, :200]
    batch = [
        {"image": resized(dogs, image), "original_size": image.shape[:2], "boxes": boxes}
        for image, boxes in [
            (part, inside(dogs, part, [[1.0, 2.0, 30.0, 40.0]])),
            (dogs.image, inside(dogs, dogs.image, dogs.prompts["boxes3"]["prompt"]["boxes"])),
        ]
    ]
    small, large = dogs.predictor.model(batch, multimask_output=True)
    assert small["masks"].shape == (1, 3, 300, 200)
    found = [large[key].numpy() for key in ("masks", "iou_predictions", "low_res_logits")]
    check(dogs, "boxes3", found, first=1)


@torch.no_grad()
def test_parts_called_by_hand(dogs):
    model, name = dogs.predictor.model, "boxes3"
    embedding = model.image_encoder(model.preprocess(resized(dogs, dogs.image)[None]))
    boxes = inside(dogs, dogs.image, dogs.prompts[name]["prompt"]["boxes"])[:, None]  # (B, 1, 4)
    sparse, dense = model.prompt_encoder(points=None, boxes=boxes, masks=None)
    low_res, scores = model.mask_decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )
    logits = model.postprocess_masks(low_res, (576, 1024), dogs.image.shape[:2])
    check(dogs, name, [(logits > 0).numpy(), scores.numpy(), low_res.numpy()])


@pytest.mark.parametrize("name", ["pt1", "posneg", "box", "mask_refine"])
def test_the_onnx_module(dogs, name):
    given, size = prompt(dogs, name), dogs.image.shape[:2]
    coords = np.concatenate(
        [given.get("point_coords", np.zeros((0, 2))), given.get("box", np.zeros(4)).reshape(2, 2)]
    )  # without a box both of its rows are (0, 0): the first is the pad, the second goes
    labels = [*given.get("point_labels", []), *([2, 3] if "box" in given else [-1])]
    coords = dogs.predictor.transform.apply_coords(coords[: len(labels)], size)
    mask = given.get("mask_input", np.zeros((1, 256, 256), np.float32))
    logits, scores, low_res = SamOnnxModel(dogs.predictor.model, return_single_mask=False)(
        dogs.predictor.features,
        torch.tensor(coords, dtype=torch.float32)[None],
        torch.tensor(labels, dtype=torch.float32)[None],
        torch.from_numpy(mask)[None],
        torch.tensor([float("mask_input" in given)]),
        torch.tensor(size, dtype=torch.float32),
    )
    check(dogs, name, [(logits > 0).numpy(), scores.numpy(), low_res.numpy()])


@pytest.mark.parametrize("precision", ["all of it bfloat16", "encoder float32, others float16"])
def test_half_precision_gives_nearly_the_same_masks(dogs, precision):
    model = copy.deepcopy(dogs.predictor.model)
    if "bfloat16" in precision:
        model.bfloat16()
    else:  # the encoder takes a minute in float16 on a CPU that has no kernels for it
        model.prompt_encoder.half()
        model.mask_decoder.half()
    half = SamPredictor(model)
    half.set_image(dogs.image)
    shares = []
    for name in PROMPTS:
        given = prompt(dogs, name)
        found, scores, _ = half.predict(**given, multimask_output=False)
        assert (found.dtype, scores.dtype) == (np.bool_, np.float32)
        expected, _, _ = dogs.predictor.predict(**given, multimask_output=False)
        shares.append((found & expected).sum() / (found | expected).sum())
    assert np.median(shares) >= 0.99
    assert min(shares) >= 0.95


def test_two_predictors_on_one_model_in_two_threads(sam, dogs):
    images = {"dogs": dogs.image, "upside down": dogs.image[::-1]}
    box, found = np.array([455, 188, 605, 580]), {}

    def work(name, answers):
        predictor = SamPredictor(sam)
        predictor.set_image(images[name])
        answers[name] = predictor.predict(box=box)

    threads = [threading.Thread(target=work, args=(name, found)) for name in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {}
    for name in images:
        work(name, expected)
        for left, right in zip(found[name], expected[name], strict=True):
            np.testing.assert_array_equal(left, right)
