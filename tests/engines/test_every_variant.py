"""Every member of the family, from a file of weights to masks, at its real size.

Random weights stand in for ``vit_b``, ``vit_l``, ``vit_h`` and ``medsam``, whose files are not to
be had everywhere: what is shown is that they load, run and answer in the right frame. Marked
``weights`` for the room and the time that they take, up to 2.6 GB on disk.
"""

import numpy as np
import pytest
import torch

import samphire
from samphire.model import variants

pytestmark = pytest.mark.weights

# Smaller inputs than 1024 take less time and say as much.
RANDOM = {"vit_b": 512, "medsam": 512, "vit_l": 256, "vit_h": 256}


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (60, 90, 3), np.uint8)


@pytest.mark.parametrize("name", RANDOM)
def test_a_vit_is_loaded_from_a_file_and_segments(name, picture, tmp_path):
    side = RANDOM[name]
    torch.save(variants.SAM_VARIANTS[name]().state_dict(), tmp_path / "weights.pth")
    engine = samphire.load(tmp_path / "weights.pth", variant=name, device="cpu", input_side=side)
    (tmp_path / "weights.pth").unlink()
    assert engine.info.model == name
    embedding = samphire.embed(engine, picture)
    assert embedding.features.shape == (1, 256, side // 16, side // 16)
    masks = samphire.segment(engine, embedding, boxes=[(10, 10, 60, 50)], multimask=True)
    assert len(masks) == 3
    assert masks.size == embedding.frame.original


@pytest.mark.parametrize("name", ["vit_t", "lite_medsam"])
def test_a_published_model_is_fetched_and_segments(name, picture):
    engine = samphire.load(name, device="cpu")
    embedding = samphire.embed(engine, picture)
    assert embedding.features.shape == (1, 256, 64, 64)
    masks = samphire.segment(engine, embedding, boxes=[(10, 10, 60, 50)])
    assert len(masks) == 1
    assert masks.candidate.tolist() == [0]
