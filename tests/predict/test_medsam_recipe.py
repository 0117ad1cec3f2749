"""MedSAM's published recipe, written out, gives what ``segment`` gives with its record."""

import numpy as np
import pytest
import torch
from conftest import random_weights

import samphire
from samphire.engines.torch_engine import TorchEngine
from samphire.geometry import Size
from samphire.images.resize import resize
from samphire.model import variants

SIDE = 128


@pytest.fixture(scope="module")
def engine():
    """A small model of MedSAM's layout; its published weights cannot be had here."""
    sam = variants.vit(32, 2, 2, (1,), table_side=SIDE)
    random_weights(sam)
    return TorchEngine(sam, model="medsam", preprocessing=f"medsam-{SIDE}")


def recipe(sam, image: np.ndarray, box: list[float]) -> np.ndarray:
    """Probabilities (H, W) as ``MedSAM_Inference.py`` computes them."""
    height, width = image.shape[:2]
    squashed = resize(image, Size(SIDE, SIDE), "spline").astype(np.float64)
    scaled = (squashed - squashed.min()) / max(np.ptp(squashed), 1e-8)
    pixels = torch.from_numpy(scaled).float().permute(2, 0, 1)[None]
    boxes = torch.tensor(box)[None] / torch.tensor([width, height, width, height]) * SIDE
    with torch.inference_mode():
        logits, _ = sam.decode(sam.encode(pixels), None, boxes, None, multimask_output=False)
        probabilities = torch.nn.functional.interpolate(
            logits.sigmoid(), (height, width), mode="bilinear", align_corners=False
        )
    return probabilities[0, 0].numpy()


@pytest.mark.parametrize("size", [(181, 258), (300, 90)])
def test_a_slice_and_a_box_give_the_published_mask(engine, rng, size):
    pytest.importorskip("scipy")
    image = rng.integers(0, 200, (*size, 3), np.uint8)
    box = [20.0, 30.0, 75.0, 150.0]
    expected = recipe(engine.module, image, box)
    found = samphire.segment(engine, image, boxes=[box]).to_array()[0]
    clear = np.abs(expected - 0.5) > 1e-5
    assert clear.mean() > 0.99
    assert 0.02 < found.mean() < 0.98
    np.testing.assert_array_equal(found[clear], (expected > 0.5)[clear])
