"""Saved embeddings with bytes changed, and headers made up: refused, never another embedding."""

import json

import numpy as np
import pytest
from attacks.damage import attack, damaged
from hypothesis import given
from hypothesis import strategies as st

from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.errors import FileFormatError
from samphire.formats.embedding import decode, encode
from samphire.geometry import Size
from samphire.images.preprocessing import sam

pytestmark = pytest.mark.slow

EMBEDDING = ImageEmbedding(
    features=np.random.default_rng(0).standard_normal((1, 8, 4, 4)),
    frame=sam(64).frame(Size(30, 50)),
    key=EmbeddingKey("e" * 64, "sam-64", "p" * 64),
    made_by="tiny (torch plain, cpu, float32)",
    image="photo.jpg",
)
CONTENT = encode(EMBEDDING)
START = 8 + int.from_bytes(CONTENT[:8], "little")
HEADER = json.loads(CONTENT[8:START])
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["9" * 5000 + " 1", "1 1", "-1 5", "sam-0", "sam-1000000000", "F32", "2"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def _refused_or_the_same(content: bytes) -> None:
    try:
        found = decode(content, "photo.safetensors")
    except FileFormatError as error:
        said = str(error)
    else:
        assert found.equal(EMBEDDING)
        said = "photo.safetensors"
    assert "photo.safetensors" in said


@given(damaged(CONTENT))
@attack(150)
def test_a_damaged_embedding_is_refused_by_name_or_the_same(content):
    _refused_or_the_same(content)


@given(st.sampled_from(sorted(HEADER["__metadata__"])), ODD)
@attack(100)
def test_any_value_in_the_metadata_is_refused_or_the_same(key, value):
    header = {**HEADER, "__metadata__": {**HEADER["__metadata__"], key: value}}
    _refused_or_the_same(_joined(header))


@given(st.sampled_from(["dtype", "shape", "data_offsets"]), ODD | st.lists(st.integers(-9, 2**66)))
@attack(100)
def test_any_value_in_the_entry_of_the_features_is_refused_or_the_same(key, value):
    header = {**HEADER, "features": {**HEADER["features"], key: value}}
    _refused_or_the_same(_joined(header))


@given(ODD)
@attack(40)
def test_any_json_as_a_header_is_refused(header):
    _refused_or_the_same(_joined(header))


def _joined(header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + CONTENT[START:]
