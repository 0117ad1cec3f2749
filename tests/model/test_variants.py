"""Every member of the family has the published sizes."""

import pytest
import torch
from conftest import random_weights

from samphire.model import variants

# of the published classes: state-dict entries, parameters
PUBLISHED = {
    "vit_b": (314, 93_735_472),
    "vit_l": (482, 312_342_832),
    "vit_h": (594, 641_090_608),
    "medsam": (314, 93_735_472),
    "vit_t": (439, 10_130_092),
    "lite_medsam": (435, 9_791_300),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_the_published_entries_and_parameters(name):
    with torch.device("meta"):
        sam = variants.SAM_VARIANTS[name]()
    parameters = sum(value.numel() for value in sam.parameters())
    assert (len(sam.state_dict()), parameters) == PUBLISHED[name]


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_blocks_of_a_vit_look_through_windows_but_for_four(name):
    with torch.device("meta"):
        encoder = variants.SAM_VARIANTS[name]().image_encoder
    sizes = [block.window_size for block in encoder.blocks]
    depth = len(sizes)
    everywhere = [index for index, size in enumerate(sizes) if size == 0]
    assert everywhere == [depth // 4 * k - 1 for k in (1, 2, 3, 4)]
    assert set(sizes) == {0, 14}
    assert {block.norm1.eps for block in encoder.blocks} == {1e-6}


@pytest.mark.slow
def test_lite_medsam_looks_at_single_pixels_of_a_small_picture():
    sam = variants.lite_medsam().eval()
    random_weights(sam)
    state = sam.state_dict()
    assert state["image_encoder.patch_embed.seq.0.c.weight"].shape == (32, 3, 1, 1)
    assert not [key for key in state if "head" in key and key.startswith("image_encoder")]
    with torch.inference_mode():
        assert sam.encode(torch.zeros(1, 3, 256, 256)).shape == (1, 256, 64, 64)


def test_tables_for_another_side():
    with torch.device("meta"):
        sam = variants.vit_b(table_side=512)
    assert sam.image_encoder.pos_embed.shape == (1, 32, 32, 768)
    assert sam.image_encoder.blocks[2].attn.rel_pos_h.shape == (63, 64)
    assert sam.prompt_encoder.image_embedding_size == (32, 32)
    assert sam.prompt_encoder.input_image_size == (512, 512)
