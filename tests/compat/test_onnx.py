"""``SamOnnxModel``: the predictor's answers, the published selection, a graph of any size."""

import io
import warnings

import numpy as np
import pytest
import torch

from samphire.compat import SamOnnxModel
from samphire.masks.scores import stability_score

pytestmark = pytest.mark.slow

NAMES = ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input"]
POINT, BESIDE, PAD = [30.0, 40.0], [60.0, 9.0], [0.0, 0.0]
BOX = [[10.0, 10.0], [80.0, 60.0]]
CASES = {
    "point": ([POINT], [1], None, False),
    "two points": ([POINT, BESIDE], [1, 0], None, False),
    "box": ([], [], BOX, False),
    "point and box": ([POINT], [1], BOX, False),
    "point and mask": ([POINT], [1], None, True),
}


def inputs(predictor, points, labels, box, mask):
    """What the graph takes, by the published rule: corners are points, a pad without a box."""
    coords, kinds = list(points), list(labels)
    coords, kinds = (coords + box, [*kinds, 2, 3]) if box else ([*coords, PAD], [*kinds, -1])
    transformed = predictor.transform.apply_coords(np.array(coords), predictor.original_size)
    return (
        predictor.get_image_embedding(),
        torch.tensor(transformed, dtype=torch.float32)[None],
        torch.tensor(kinds, dtype=torch.float32)[None],
        torch.zeros(1, 1, 16, 16) if mask is None else torch.from_numpy(mask)[None],
        torch.tensor([0.0 if mask is None else 1.0]),
        torch.tensor(predictor.original_size, dtype=torch.float32),
    )


def asked(predictor, name):
    """The inputs of a case, and the predictor's own answers: token 0, then 1 to 3."""
    points, labels, box, with_mask = CASES[name]
    mask = predictor.predict(np.array([BESIDE]), [1])[2][:1] if with_mask else None
    prompt = {
        "point_coords": np.array(points) if points else None,
        "point_labels": np.array(labels) if points else None,
        "box": np.ravel(box) if box else None,
        "mask_input": mask,
        "return_logits": True,
    }
    single = predictor.predict(**prompt, multimask_output=False)
    three = predictor.predict(**prompt)
    expected = [np.concatenate(parts) for parts in zip(single, three, strict=True)]
    return inputs(predictor, points, labels, box, mask), expected


@pytest.mark.parametrize("name", CASES)
def test_all_four_masks_equal_the_predictors(predictor, sam, name):
    given, expected = asked(predictor, name)
    for found, wanted in zip(SamOnnxModel(sam, False)(*given), expected, strict=True):
        np.testing.assert_allclose(found[0], wanted, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_single_mask_is_the_first_for_three_points_else_the_best(predictor, sam, name):
    given, (masks, scores, low_res) = asked(predictor, name)
    best = 1 + scores[1:].argmax() if given[1].shape[1] < 3 else 0
    found = SamOnnxModel(sam, return_single_mask=True)(*given)
    for part, wanted in zip(found, (masks, scores, low_res), strict=True):
        np.testing.assert_allclose(part[0], wanted[best][None], atol=1e-5)


def test_stability_and_area_are_samphires(predictor, sam):
    given, (masks, _, low_res) = asked(predictor, "box")
    full, scores, stability, areas, _ = SamOnnxModel(sam, False, return_extra_metrics=True)(*given)
    np.testing.assert_allclose(stability[0], stability_score(full[0].numpy()), atol=1e-6)
    assert areas[0].tolist() == (masks > 0).sum((1, 2)).tolist()
    stable = SamOnnxModel(sam, False, use_stability_score=True)(*given)
    np.testing.assert_allclose(stable[1][0], stability_score(low_res), atol=1e-6)
    assert not torch.equal(stable[1], scores)


def test_the_stability_of_an_empty_mask_is_zero(predictor, sam):
    given, _ = asked(predictor, "point")
    sam.mask_threshold = 1e9
    _, _, stability, areas, _ = SamOnnxModel(sam, False, return_extra_metrics=True)(*given)
    assert stability.tolist() == areas.tolist() == [[0, 0, 0, 0]]


def test_stability_of_a_mask_wider_than_16_bits_count(predictor, sam):
    given = (*asked(predictor, "point")[0][:5], torch.tensor([1.0, 70_000.0]))
    masks, _, stability, areas, _ = SamOnnxModel(sam, False, return_extra_metrics=True)(*given)
    assert areas.max() > 32_767
    np.testing.assert_allclose(stability[0], stability_score(masks[0].numpy()), atol=1e-6)


def test_sizes_after_resizing_are_the_transforms(predictor):
    rng = np.random.default_rng(0)
    for height, width in [(1, 5000), (5, 2048), *rng.integers(1, 3000, (50, 2)).tolist()]:
        found = SamOnnxModel.resize_longest_image_size(torch.tensor([height, width]), 1024)
        expected = predictor.transform.get_preprocess_shape(height, width, 1024)
        assert tuple(found.tolist()) == expected


def test_a_traced_graph_keeps_the_number_of_points_and_the_size_open(predictor, sam):
    model = SamOnnxModel(sam, return_single_mask=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each check of a shape becomes a warning in a trace
        graph = torch.jit.trace(model, asked(predictor, "point")[0], check_trace=False)
    given = (*asked(predictor, "point and box")[0][:5], torch.tensor([33.0, 20.0]))
    for found, expected in zip(graph(*given), model(*given), strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("opset", [16, 17])
def test_the_legacy_exporter_writes_a_graph_that_gives_the_same(predictor, sam, opset):
    import onnxruntime

    model, file = SamOnnxModel(sam, return_single_mask=True), io.BytesIO()
    names = [*NAMES, "orig_im_size"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            asked(predictor, "point")[0],
            file,
            opset_version=opset,
            input_names=names,
            output_names=["masks", "iou_predictions", "low_res_masks"],
            dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
            dynamo=False,
        )
    assert not any(part.training for part in sam.modules())
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for name in CASES:
        given, _ = asked(predictor, name)
        inputs = dict(zip(names, (value.numpy() for value in given), strict=True))
        for found, expected in zip(session.run(None, inputs), model(*given), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)
