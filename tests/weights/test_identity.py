import numpy as np
import pytest

from samphire.weights.identity import base_id, encoder_id

TENSORS = {
    "image_encoder.a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "mask_decoder.b": np.array(3, np.int64),
}
BASE = "58e3a846288f343b7102473414a69fa98922c93e72c437d8c0d0bc8b78de114d"
ENCODER = "9ff3cb09785f94798a8e387b7def45c1cd0da0b9055307d638bd0529450a2e87"


def test_the_ids_are_those_that_are_written_in_files():
    """Frozen: a change here would orphan every embedding and adapter that was ever saved."""
    assert base_id(TENSORS) == BASE
    assert encoder_id(TENSORS) == ENCODER


def test_order_of_insertion_memory_layout_and_byte_order_do_not_count():
    other = {
        "mask_decoder.b": TENSORS["mask_decoder.b"].astype(">i8"),
        "image_encoder.a": np.asfortranarray(TENSORS["image_encoder.a"]),
    }
    assert base_id(other) == base_id(TENSORS)
    assert encoder_id(other) == encoder_id(TENSORS)


@pytest.mark.parametrize(
    "changed",
    [
        np.arange(6, dtype=np.float32).reshape(3, 2),
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.array([[0, 1, 2], [3, 4, 6]], np.float32),
    ],
    ids=["shape", "dtype", "value"],
)
def test_a_change_of_a_tensor_changes_both_ids(changed):
    other = TENSORS | {"image_encoder.a": changed}
    assert base_id(other) != base_id(TENSORS)
    assert encoder_id(other) != encoder_id(TENSORS)


def test_a_name_counts():
    assert base_id({"a": np.zeros(1), "b": np.ones(1)}) != base_id(
        {"a": np.ones(1), "b": np.zeros(1)}
    )


def test_the_encoder_id_does_not_see_the_decoder():
    other = TENSORS | {"mask_decoder.b": np.array(4, np.int64)}
    assert encoder_id(other) == encoder_id(TENSORS)
    assert base_id(other) != base_id(TENSORS)


def test_weights_without_an_encoder_have_no_encoder_id():
    with pytest.raises(ValueError, match="none of 1 names starts with 'image_encoder"):
        encoder_id({"mask_decoder.b": np.zeros(1)})
