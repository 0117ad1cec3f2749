"""The tables go both ways, and wrappers come off."""

import hugging_face
import pytest
import torch

from samphire.errors import CheckpointError
from samphire.model import variants
from samphire.weights import names


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return variants.vit_b().state_dict()


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_every_name_goes_to_transformers_and_back(name):
    with torch.device("meta"):
        keys = {key: key for key in variants.SAM_VARIANTS[name]().state_dict()}
    theirs = names.to_hugging_face(keys)
    assert len(theirs) == len(keys) + 1  # the position matrix stands there twice
    assert names.layout_of(theirs) == "huggingface"
    assert names.layout_of(keys) == "original"
    assert names.to_original(theirs) == keys


def test_the_names_are_those_of_transformers_own_model():
    model = hugging_face.small_model(num_hidden_layers=2, use_rel_pos=True)
    theirs = model.state_dict()
    ours = names.to_original(theirs)
    assert names.to_hugging_face(ours).keys() == theirs.keys()
    by_another_table = hugging_face.published_names(model) | {
        f"image_encoder.{key}": value
        for key, value in hugging_face.published_encoder_names(model).items()
    }
    assert ours.keys() == by_another_table.keys()
    for key, value in by_another_table.items():
        assert value is ours[key] or torch.equal(value, ours[key]), key


def test_layer_0_of_an_mlp_is_another_layer_on_each_side():
    found = names.to_original({"mask_decoder.iou_prediction_head.layers.0.weight": 0})
    assert list(found) == ["mask_decoder.iou_prediction_head.layers.1.weight"]


@pytest.mark.parametrize("kept", names.POSITION_NAMES)
def test_one_position_matrix_is_enough(kept):
    found = names.to_original({kept: 7})
    assert found == {"prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": 7}


def test_tiny_vit_has_no_place_in_transformers():
    with pytest.raises(CheckpointError, match=r"image_encoder\.patch_embed\.seq.* no place"):
        names.to_hugging_face({"image_encoder.patch_embed.seq.0.c.weight": 0})


@pytest.mark.parametrize("wrapper", names.WRAPPERS)
def test_a_wrapper_comes_off_and_is_told(wrapper):
    found = names.unwrap({wrapper: {"a": 1}, "epoch": 3, "optimizer": {}})
    assert found.tensors == {"a": 1}
    assert found.removed == (f"the wrapper {wrapper!r} (beside it: epoch, optimizer)",)


def test_prefixes_come_off_one_by_one():
    found = names.unwrap({"state_dict": {"module.sam.a.weight": 1, "module.sam._orig_mod.b": 2}})
    assert found.tensors == {"a.weight": 1, "b": 2}
    assert len(found.removed) == 4


def test_a_prefix_that_one_name_lacks_stays():
    tree = {"module.a": 1, "b": 2}
    assert names.unwrap(tree).tensors == tree


def test_wrappers_inside_wrappers_come_off():
    assert names.unwrap({"model": {"state_dict": {"a": 1}}}).tensors == {"a": 1}


def test_several_state_dicts_are_not_guessed_from():
    with pytest.raises(CheckpointError, match=r"several state dicts \(model, net\)"):
        names.unwrap({"model": {"a": 1}, "net": {"b": 2}})


def test_computed_tensors_of_old_tiny_vit_files_are_left_out():
    tree = {"layers.1.attn.attention_bias_idxs": 1, "layers.1.attn.ab": 2, "layers.1.attn.grab": 3}
    found = names.unwrap(tree)
    assert found.tensors == {"layers.1.attn.grab": 3}
    assert "2 derived tensors" in found.removed[0]
