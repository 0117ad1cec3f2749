"""The tensors and nodes of an ONNX graph, from bytes, without the ``onnx`` package.

Not a general protobuf or ONNX reader: it reads what names and fills weights (initialisers, and the
constants of nodes, in float32 and int64) and skips the rest. Every length is checked against the
bytes that are there, nothing is recursive, and nothing is copied: arrays are read-only views.

Source of the field numbers: ``onnx.proto`` of ONNX (messages ModelProto, GraphProto, NodeProto,
AttributeProto, TensorProto); of the encoding: the protocol buffers' "Encoding" page.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from samphire.errors import CheckpointError

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10  # bytes: 64 bits in groups of 7
_MOST_AXES = 8
_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}  # TensorProto.DataType


@dataclass(frozen=True, eq=False)
class Node:
    """One operation of a graph.

    Attributes:
        name: path of the module that made it, then the operator: ``/neck/neck.0/Conv``.
        op_type: the operator, such as ``Conv``.
        inputs: names of initialisers or of other nodes' outputs, in order.
        outputs: names of what it gives.
        constant: the value of a ``Constant`` node; None for every other.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constant: npt.NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Graph:
    """What an ONNX file computes: its nodes in order, and its named weights."""

    nodes: tuple[Node, ...]
    initialisers: dict[str, npt.NDArray[Any]]


def read_graph(data: bytes, *, source: str) -> Graph:
    """The graph of an ONNX model.

    Args:
        data: the whole file.
        source: what to call it in errors.

    Raises:
        CheckpointError: the bytes are damaged, cut off, or hold a tensor of another kind than
            float32 or int64 with ``raw_data``.
    """
    try:
        graphs = [_view(value) for number, value in _fields(memoryview(data)) if number == 7]
        if len(graphs) != 1:
            raise _DamagedError(f"{len(graphs)} graphs, expected 1")
        return _graph(graphs[0])
    except _DamagedError as error:
        raise CheckpointError(f"{source} is damaged or no ONNX file: {error}") from error


class _DamagedError(Exception):
    """What was found, without the name of the file."""


def _graph(view: memoryview) -> Graph:
    nodes: list[Node] = []
    initialisers: dict[str, npt.NDArray[Any]] = {}
    for number, value in _fields(view):
        if number == 1:
            nodes.append(_node(_view(value)))
        elif number == 5:
            name, array = _tensor(_view(value))
            if name in initialisers:
                raise _DamagedError(f"two initialisers named {name!r}")
            initialisers[name] = array
    return Graph(tuple(nodes), initialisers)


def _node(view: memoryview) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    name = op_type = ""
    constant = None
    for number, value in _fields(view):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 3:
            name = _text(value)
        elif number == 4:
            op_type = _text(value)
        elif number == 5:
            found = _attribute(_view(value))
            constant = found if found is not None else constant
    return Node(
        name, op_type, tuple(inputs), tuple(outputs), constant if op_type == "Constant" else None
    )


def _attribute(view: memoryview) -> npt.NDArray[Any] | None:
    """The tensor of an attribute named ``value``, which is how a Constant node holds its own."""
    name, tensor = "", None
    for number, value in _fields(view):
        if number == 1:
            name = _text(value)
        elif number == 5:
            tensor = _view(value)
    return _tensor(tensor)[1] if name == "value" and tensor is not None else None


def _tensor(view: memoryview) -> tuple[str, npt.NDArray[Any]]:
    shape: list[int] = []
    name, data_type, raw = "", 0, view[:0]
    for number, value in _fields(view):
        if number == 1:
            shape.extend([value] if isinstance(value, int) else _packed(value))
        elif number == 2:
            data_type = _int(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _view(value)
    if data_type not in _DTYPES:
        raise _DamagedError(f"tensor {name!r} is of data type {data_type}, expected float32, int64")
    dtype = _DTYPES[data_type]
    if len(shape) > _MOST_AXES:
        raise _DamagedError(f"tensor {name!r} has {len(shape)} axes, expected {_MOST_AXES} at most")
    if not raw or math.prod(shape) * dtype.itemsize != len(raw):
        raise _DamagedError(
            f"tensor {name!r} of shape {tuple(shape)} and {dtype.name} holds {len(raw)} bytes"
        )
    return name, np.frombuffer(raw, dtype).reshape(shape)


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message: an int of wire type 0, else its bytes."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise _DamagedError(f"a field numbered 0 at byte {position} of a message")
        if wire_type == _VARINT:
            value, position = _varint(view, position)
            yield number, value
            continue
        if wire_type == _LENGTH:
            length, position = _varint(view, position)
        elif wire_type in {_EIGHT_BYTES, _FOUR_BYTES}:
            length = 8 if wire_type == _EIGHT_BYTES else 4
        else:
            raise _DamagedError(f"wire type {wire_type} of field {number}")
        if length > len(view) - position:
            raise _DamagedError(
                f"field {number} says {length} bytes, {len(view) - position} are left"
            )
        yield number, view[position : position + length]
        position += length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """The number at ``position``, and the position after it."""
    value = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= len(view):
            raise _DamagedError("the bytes end inside a number")
        byte = view[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _DamagedError(f"a number longer than {_LONGEST_VARINT} bytes")


def _packed(view: memoryview) -> Iterator[int]:
    """The numbers of a packed field of dimensions."""
    if len(view) > _MOST_AXES * _LONGEST_VARINT:
        raise _DamagedError(f"{len(view)} bytes of dimensions")
    position = 0
    while position < len(view):
        value, position = _varint(view, position)
        yield value


def _int(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise _DamagedError("bytes where a number should be")
    return value


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _DamagedError("a number where a message or bytes should be")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return str(_view(value), "utf-8")
    except UnicodeDecodeError as error:
        raise _DamagedError(f"a name that is not text: {error.reason}") from error
