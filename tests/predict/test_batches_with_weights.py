"""With the real weights, as with random ones: batches equal loops, threads do not meet."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import samphire

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def embeddings(vit_t, data):
    return [samphire.embed(vit_t, data / "photos" / name) for name in ("truck.jpg", "dogs.jpg")]


@pytest.mark.parametrize(
    "given",
    [
        {"points": [[(60 + 31 * i, 40 + 17 * i)] for i in range(12)]},
        {"boxes": [(10 + 20 * i, 15 * i, 300 + 40 * i, 250 + 20 * i) for i in range(8)]},
        {"points": [[(100, 100)], [(200, 300), (400, 350)], [(500, 375)]]},
    ],
)
def test_a_batch_equals_a_loop_of_single_calls(vit_t, embeddings, given):
    together = samphire.decode(vit_t, embeddings[0], **given, multimask=True)
    tolerance = max(1e-5, 1e-5 * float(np.abs(together.logits).max()))
    for index in range(len(together.candidates)):
        alone = samphire.decode(
            vit_t,
            embeddings[0],
            **{key: values[index : index + 1] for key, values in given.items()},
            multimask=True,
        )
        np.testing.assert_allclose(together.logits[index], alone.logits[0], atol=tolerance, rtol=0)
        np.testing.assert_allclose(
            together.predicted_iou[index], alone.predicted_iou[0], atol=1e-5, rtol=0
        )


def test_two_threads_on_two_images_get_what_one_gets(vit_t, embeddings):
    calls = [(i % 2, [(20 + 5 * (i % 90), 10 + 4 * (i % 110))]) for i in range(200)]

    def answer(call):
        which, points = call
        return samphire.segment(vit_t, embeddings[which], points=points)

    alone = [answer(call) for call in calls]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(answer, calls))
    assert all(a.equal(b) for a, b in zip(together, alone, strict=True))
