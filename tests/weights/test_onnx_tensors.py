import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.errors import CheckpointError
from samphire.weights.onnx_tensors import read_graph

FLOATS = np.array([[1.5, -2.0, 3.25]], np.float32)
INTEGERS = np.array([-1, 1 << 40], np.int64)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(name: str, array: np.ndarray, *, packed: bool = False) -> bytes:
    kind = {np.dtype(np.float32): 1, np.dtype(np.int64): 7}[array.dtype]
    dims = b"".join(varint(length) for length in array.shape)
    shape = message(1, dims) if packed else b"".join(number(1, length) for length in array.shape)
    return shape + number(2, kind) + message(8, name.encode()) + message(9, array.tobytes())


def node(
    name: str, op_type: str, inputs: list[str], outputs: list[str], more: bytes = b""
) -> bytes:
    return (
        b"".join(message(1, one.encode()) for one in inputs)
        + b"".join(message(2, one.encode()) for one in outputs)
        + message(3, name.encode())
        + message(4, op_type.encode())
        + more
    )


def constant(array: np.ndarray) -> bytes:
    """The attribute of a Constant node; its type stands in a field that the reader skips."""
    return message(5, message(1, b"value") + number(20, 4) + message(5, tensor("", array)))


def model(graph: bytes) -> bytes:
    return number(1, 7) + message(2, b"pytorch") + message(7, graph) + message(8, number(2, 12))


GRAPH = (
    message(1, node("/a/MatMul", "MatMul", ["x", "onnx::MatMul_1"], ["y"]))
    + message(1, node("/a/Constant_5", "Constant", [], ["c"], constant(FLOATS)))
    + message(2, b"torch_jit")
    + message(5, tensor("a.bias", FLOATS))
    + message(5, tensor("onnx::MatMul_1", INTEGERS, packed=True))
    + message(5, number(2, 1) + message(8, b"scalar") + message(9, struct.pack("<f", 7)))
)
MODEL = model(GRAPH)


def test_nodes_and_initialisers_come_out_as_they_were_written():
    graph = read_graph(MODEL, source="tiny.onnx")
    first, second = graph.nodes
    assert (first.name, first.op_type) == ("/a/MatMul", "MatMul")
    assert (first.inputs, first.outputs) == (("x", "onnx::MatMul_1"), ("y",))
    assert first.constant is None
    np.testing.assert_array_equal(second.constant, FLOATS)
    assert list(graph.initialisers) == ["a.bias", "onnx::MatMul_1", "scalar"]
    np.testing.assert_array_equal(graph.initialisers["a.bias"], FLOATS)
    np.testing.assert_array_equal(graph.initialisers["onnx::MatMul_1"], INTEGERS)
    assert graph.initialisers["scalar"] == 7
    assert graph.initialisers["scalar"].shape == ()
    assert graph.initialisers["a.bias"].dtype == np.float32


def test_unknown_fields_of_every_wire_type_are_skipped():
    unknown = (
        number(100, 1 << 63)
        + varint(101 << 3 | 1) + bytes(8)
        + message(102, b"anything")
        + varint(103 << 3 | 5) + bytes(4)
    )  # fmt: skip
    graph = read_graph(unknown + model(unknown + GRAPH + unknown) + unknown, source="tiny.onnx")
    assert len(graph.nodes) == 2
    assert len(graph.initialisers) == 3


def test_only_the_value_of_a_constant_node_is_a_constant():
    other = message(5, message(1, b"sparse_value") + message(5, tensor("", FLOATS)))
    filled = node("/a/Shape", "ConstantOfShape", ["x"], ["y"], constant(FLOATS))
    sparse = node("/a/Constant", "Constant", [], ["y"], other)
    graph = read_graph(model(message(1, filled) + message(1, sparse)), source="tiny.onnx")
    assert [found.constant for found in graph.nodes] == [None, None]


def damaged_tensor(*parts: bytes) -> bytes:
    return model(message(5, b"".join(parts)))


FLOAT32, NAME, FOUR_BYTES = number(2, 1), message(8, b"w"), message(9, bytes(4))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "0 graphs, expected 1"),
        (MODEL + MODEL, "2 graphs, expected 1"),
        (b"<!DOCTYPE html>", "wire type 4 of field 7"),
        (b"\xff" * 11, "a number longer than 10 bytes"),
        (varint(7 << 3 | 2) + varint(1000) + b"abc", "says 1000 bytes, 3 are left"),
        (varint(7 << 3 | 2) + varint((1 << 64) - 1), "says 18446744073709551615 bytes"),
        (varint(7 << 3 | 3), "wire type 3 of field 7"),
        (varint(0 << 3 | 2), "a field numbered 0"),
        (number(7, 5), "a number where a message"),
        (varint(9 << 3 | 1) + bytes(7), "says 8 bytes, 7 are left"),
        (damaged_tensor(number(1, 2), FLOAT32, NAME, FOUR_BYTES), r"'w' of shape \(2,\)"),
        (damaged_tensor(number(1, (1 << 64) - 1), FLOAT32, NAME, FOUR_BYTES), "holds 4 bytes"),
        (damaged_tensor(number(1, 0), FLOAT32, NAME, message(9, b"")), "holds 0 bytes"),
        (damaged_tensor(number(1, 1) * 9, FLOAT32, NAME, FOUR_BYTES), "9 axes"),
        (damaged_tensor(message(1, bytes(81)), FLOAT32, NAME, FOUR_BYTES), "81 bytes of dim"),
        (damaged_tensor(number(1, 1), number(2, 10), NAME, FOUR_BYTES), "data type 10"),
        (damaged_tensor(number(1, 1), FLOAT32, message(8, b"\xff"), FOUR_BYTES), "not text"),
        (damaged_tensor(message(2, b"\1")), "bytes where a number"),
        (model(message(5, tensor("w", FLOATS)) * 2), "two initialisers named 'w'"),
    ],
)
def test_damage_is_refused_with_what_was_found(data, found):
    with pytest.raises(CheckpointError, match=f"tiny.onnx is damaged or no ONNX file: .*{found}"):
        read_graph(data, source="tiny.onnx")


def test_a_file_cut_off_anywhere_is_refused_or_still_holds_its_whole_graph():
    whole = len(MODEL) - len(message(8, number(2, 12)))  # what follows the graph is not needed
    for length in range(len(MODEL)):
        try:
            graph = read_graph(MODEL[:length], source="tiny.onnx")
        except CheckpointError:
            continue
        assert length >= whole
        assert len(graph.initialisers) == 3


@given(st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), max_size=5))
def test_changed_bytes_give_a_graph_or_a_checkpoint_error(changes):
    data = bytearray(MODEL)
    for position, value in changes:
        data[position] = value
    reads_or_refuses(bytes(data))


@given(st.binary(max_size=300))
def test_any_bytes_give_a_graph_or_a_checkpoint_error(data):
    reads_or_refuses(data)
    reads_or_refuses(model(data))
    reads_or_refuses(model(message(5, data)))
    reads_or_refuses(model(message(1, data)))


def reads_or_refuses(data: bytes) -> None:
    try:
        graph = read_graph(data, source="tiny.onnx")
    except CheckpointError:
        return
    assert sum(array.nbytes for array in graph.initialisers.values()) <= len(data)
