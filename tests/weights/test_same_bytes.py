"""One content, one file."""

import numpy as np
import safetensors.numpy
from safetensors import safe_open

from samphire.weights.same_bytes import safetensors_bytes


def test_the_order_in_which_notes_are_given_changes_nothing(tmp_path):
    tensors = {"b": np.arange(3.0), "a": np.ones((2, 2), np.float32)}
    notes = {f"note {index}": "ä" * index for index in range(20)}
    data = safetensors_bytes(tensors, notes)
    assert all(safetensors_bytes(tensors, dict(reversed(notes.items()))) == data for _ in range(5))
    (tmp_path / "x.safetensors").write_bytes(data)
    with safe_open(tmp_path / "x.safetensors", framework="numpy") as file:
        assert file.metadata() == notes
    read = safetensors.numpy.load(data)
    assert all(np.array_equal(read[name], value) for name, value in tensors.items())
