"""The real vit_t: answers equal the original code's, within the golden README's limits."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from samphire.compat import SamOnnxModel, SamPredictor, sam_model_registry
from samphire.compat.segment_anything.modeling.sam import from_samphire
from samphire.images.read import read_image

pytestmark = pytest.mark.weights

EMBEDDING, LOGITS, IOU = 1e-5, 1e-3, 1e-5


@pytest.fixture(scope="module")
def facts(golden):
    return json.loads((golden / "vit_t_prompts.json").read_text())["photos"]["dogs"]


@pytest.fixture(scope="module")
def arrays(golden):
    with np.load(golden / "vit_t_prompts_dogs.npz") as file:
        return {key: file[key] for key in file}


@pytest.fixture(scope="module")
def dogs(data):
    return read_image(data / "photos" / "dogs.jpg")


@pytest.fixture(scope="module")
def predictor(vit_t, dogs):
    predictor = SamPredictor(from_samphire(vit_t.module))
    predictor.set_image(dogs)
    return predictor


def prompt(facts, predictor, name):
    """The recorded prompt as arguments of predict."""
    recorded = facts["prompts"][name]["prompt"]
    given = {}
    if "points" in recorded:
        points = np.array(recorded["points"])
        given = {"point_coords": points[:, :2], "point_labels": points[:, 2].astype(int)}
    if "box" in recorded:
        given["box"] = np.array(recorded["box"])
    if "mask_from" in recorded:
        first = prompt(facts, predictor, recorded["mask_from"])
        _, scores, low_res = predictor.predict(**first, multimask_output=True)
        given["mask_input"] = low_res[scores.argmax()][None]
    return given


def check(name, found, arrays, facts):
    """Masks, scores and logits (B, 4, ...) against the recorded."""
    masks, scores, low_res = found
    np.testing.assert_allclose(scores, arrays[f"{name}/iou"], atol=IOU, rtol=0)
    np.testing.assert_allclose(
        low_res[..., ::5, ::5], arrays[f"{name}/low_5th"], atol=LOGITS, rtol=0
    )
    recorded = facts["prompts"][name]
    for b, token in np.ndindex(scores.shape):
        expected = coco.decode(recorded["masks"][b][token]).astype(bool)
        different = np.count_nonzero(masks[b, token] != expected)
        assert different <= recorded["pixels_within_1e_3_of_zero"][b][token]


def test_the_embedding(predictor, arrays):
    found = predictor.get_image_embedding()[0, :, ::4, ::4]
    np.testing.assert_allclose(found, arrays["embedding/sub"], atol=EMBEDDING, rtol=0)


@pytest.mark.parametrize("name", ["pt1", "pt2", "posneg", "box", "box_neg", "mask_refine"])
def test_predict(predictor, arrays, facts, name):
    given = prompt(facts, predictor, name)
    single = predictor.predict(**given, multimask_output=False)
    three = predictor.predict(**given, multimask_output=True)
    found = [np.concatenate(parts)[None] for parts in zip(single, three, strict=True)]
    check(name, found, arrays, facts)


def four(predictor, boxes):
    answers = [predictor.predict_torch(None, None, boxes, None, multi) for multi in (False, True)]
    return [torch.cat(parts, dim=1).numpy() for parts in zip(*answers, strict=True)]


def test_predict_torch_with_a_batch_of_boxes(predictor, arrays, facts, dogs):
    boxes = torch.tensor(facts["prompts"]["boxes3"]["prompt"]["boxes"])
    inside = predictor.transform.apply_boxes_torch(boxes, dogs.shape[:2])
    check("boxes3", four(predictor, inside), arrays, facts)


def test_forward_on_a_batch_of_two_sizes(predictor, arrays, facts, dogs):
    def record(image, boxes):
        resized = torch.as_tensor(predictor.transform.apply_image(image)).permute(2, 0, 1)
        size = image.shape[:2]
        inside = predictor.transform.apply_boxes_torch(torch.tensor(boxes), size)
        return {"image": resized, "original_size": size, "boxes": inside}

    batch = [
        record(dogs[:300, :200], [[1.0, 2.0, 30.0, 40.0]]),
        record(dogs, facts["prompts"]["boxes3"]["prompt"]["boxes"]),
    ]
    answers = [predictor.model(batch, multimask_output=multi) for multi in (False, True)]
    keys = ("masks", "iou_predictions", "low_res_logits")
    found = [np.concatenate([answer[1][key] for answer in answers], axis=1) for key in keys]
    assert answers[1][0]["masks"].shape == (1, 3, 300, 200)
    check("boxes3", found, arrays, facts)


@pytest.mark.parametrize("name", ["pt1", "posneg", "box", "mask_refine"])
def test_the_onnx_module(predictor, arrays, facts, dogs, name):
    given = prompt(facts, predictor, name)
    coords = np.concatenate(
        [given.get("point_coords", np.zeros((0, 2))), given.get("box", np.zeros(4)).reshape(2, 2)]
    )  # without a box both of its rows are (0, 0): the first is the pad, the second goes
    labels = [*given.get("point_labels", []), *([2, 3] if "box" in given else [-1])]
    coords = predictor.transform.apply_coords(coords[: len(labels)], dogs.shape[:2])
    mask = given.get("mask_input", np.zeros((1, 256, 256), np.float32))
    logits, scores, low_res = SamOnnxModel(predictor.model, return_single_mask=False)(
        predictor.features,
        torch.tensor(coords, dtype=torch.float32)[None],
        torch.tensor(labels, dtype=torch.float32)[None],
        torch.from_numpy(mask)[None],
        torch.tensor([float("mask_input" in given)]),
        torch.tensor(dogs.shape[:2], dtype=torch.float32),
    )
    check(name, [(logits > 0).numpy(), scores.numpy(), low_res.numpy()], arrays, facts)


SCRIPT = """
import sys
import numpy as np
from PIL import Image
from mobile_sam import sam_model_registry, SamPredictor

checkpoint, photo, x, y = sys.argv[1:]
mobile_sam = sam_model_registry["vit_t"](checkpoint=checkpoint)
mobile_sam.to(device="cpu")
mobile_sam.eval()
predictor = SamPredictor(mobile_sam)
predictor.set_image(np.array(Image.open(photo).convert("RGB")))
masks, scores, logits = predictor.predict(
    point_coords=np.array([[float(x), float(y)]]),
    point_labels=np.array([1]),
    multimask_output=True,
)
mask_input = logits[np.argmax(scores), :, :]
np.savez("answer.npz", scores=scores)
"""


def test_an_unchanged_script_with_a_checkpoint(vit_t, data, arrays, facts, tmp_path):
    torch.save(vit_t.module.state_dict(), tmp_path / "mobile_sam.pt")
    (tmp_path / "script.py").write_text(SCRIPT)
    x, y, _ = facts["prompts"]["pt1"]["prompt"]["points"][0]
    arguments = ["script.py", "mobile_sam.pt", data / "photos" / "dogs.jpg", x, y]
    command = [sys.executable, "-m", "samphire.compat", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=tmp_path)
    with np.load(tmp_path / "answer.npz") as answer:
        np.testing.assert_allclose(answer["scores"], arrays["pt1/iou"][0, 1:], atol=IOU)
    assert "vit_t" in sam_model_registry
