"""What a state dict is of, from shapes alone."""

import pytest
import torch

from samphire.errors import CheckpointError
from samphire.model import variants
from samphire.weights.recognise import architecture


def shapes(name, **settings):
    with torch.device("meta"):
        built = variants.VIT_VARIANTS.get(name, variants.SAM_VARIANTS[name])(**settings)
    return {key: tuple(value.shape) for key, value in built.state_dict().items()}


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h", "vit_t", "lite_medsam"])
def test_each_variant_is_recognised(name):
    found = architecture(shapes(name))
    assert (found.variant, found.table_side) == (
        name,
        1024 if name.startswith("vit_") and name != "vit_t" else None,
    )


def test_medsam_has_the_shapes_of_vit_b():
    assert architecture(shapes("medsam")).variant == "vit_b"


def test_tables_for_another_side_are_recognised():
    assert architecture(shapes("vit_b", table_side=512)).table_side == 512


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("mask_decoder.hf_token.weight", "holds SAM-HQ"),
        ("mask_decoder.hq_token.weight", "holds SAM-HQ"),
        ("mask_decoder.compress_vit_feat.0.weight", "holds SAM-HQ"),
        ("image_encoder.features.0.0.c.weight", "holds EdgeSAM or RepViT-SAM"),
        ("image_encoder.fuse_stage2.op.weight", "holds EdgeSAM or RepViT-SAM"),
        ("image_encoder.trunk.pos_embed", "holds SAM 2"),
        ("memory_attention.layers.0.norm1.weight", "holds SAM 2"),
        ("image_encoder.blocks.0.attn.qkv.linear_a_q.weight", "a LoRA or an adapter inside"),
        ("image_encoder.blocks.0.attn.qkv.lora_A.weight", "a LoRA or an adapter inside"),
        ("image_encoder.blocks.0.MLP_Adapter.D_fc1.weight", "a LoRA or an adapter inside"),
    ],
)
def test_a_relative_is_named_with_the_key_that_tells_and_what_to_do(key, message):
    with pytest.raises(CheckpointError, match=message) as refused:
        architecture(shapes("vit_b") | {key: (1,)})
    assert key in str(refused.value)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ("mask_decoder.", "lacks image_encoder and prompt_encoder: expected a whole model"),
        ("image_encoder.", "lacks prompt_encoder and mask_decoder"),
        ("nothing", r"holds no SAM \(no tensor, ...\)"),
    ],
)
def test_a_part_of_a_model_is_no_model(kept, message):
    part = {key: shape for key, shape in shapes("vit_b").items() if key.startswith(kept)}
    with pytest.raises(CheckpointError, match=message):
        architecture(part)


def test_an_encoder_alone_under_its_own_names():
    alone = {
        key.removeprefix("image_encoder."): shape
        for key, shape in shapes("vit_b").items()
        if key.startswith("image_encoder.")
    }
    with pytest.raises(CheckpointError, match="holds an image encoder alone"):
        architecture(alone)


def test_a_network_of_another_kind():
    with pytest.raises(CheckpointError, match=r"holds no SAM \(conv1.weight, fc.bias, ...\)"):
        architecture({"conv1.weight": (64, 3, 7, 7), "fc.bias": (10,)})


def test_a_vit_of_another_size_is_refused_with_what_was_found():
    other = shapes("vit_b") | {"image_encoder.blocks.12.norm1.weight": (768,)}
    with pytest.raises(CheckpointError, match=r"768 channels and 13 blocks.*vit_b 768 and 12"):
        architecture(other)


def test_an_encoder_that_nobody_knows():
    other = {"image_encoder.x.weight": (1,), "prompt_encoder.a": (1,), "mask_decoder.a": (1,)}
    with pytest.raises(CheckpointError, match=r"not known here \(by image_encoder\.x\.weight\)"):
        architecture(other)
