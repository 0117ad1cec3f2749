import dataclasses
import json
from importlib.metadata import version

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from samphire import load_embedding, save_embedding
from samphire.embedding import EmbeddingKey, ImageEmbedding
from samphire.errors import FileFormatError
from samphire.formats.embedding import MAX_SIDE, decode, encode
from samphire.geometry import Size
from samphire.images.preprocessing import sam


@pytest.fixture
def embedding(rng):
    return ImageEmbedding(
        features=rng.standard_normal((1, 8, 4, 4)),
        frame=sam(64).frame(Size(30, 50)),
        key=EmbeddingKey("e" * 64, "sam-64", "p" * 64),
        made_by="vit_t (torch plain, cpu, float32)",
        image="ünï cøde.jpg",
    )


@pytest.fixture
def path(embedding, tmp_path):
    made = tmp_path / "photo.safetensors"
    save_embedding(embedding, made)
    return made


def _split(path) -> tuple[dict, bytes]:
    """Header and tensors of a safetensors file."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _join(path, header: dict, tensors: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors)


def test_an_embedding_comes_back_with_its_key_frame_maker_and_name(embedding, path):
    found = load_embedding(str(path))
    assert found.equal(embedding)
    assert (found.made_by, found.image) == (embedding.made_by, embedding.image)


def test_an_embedding_that_could_not_be_read_again_is_not_saved(embedding, path):
    before = path.read_bytes()
    for frame, message in [
        (sam(64).frame(Size(30, 50), Size(37, 64)), "resized to 64x37: expected 64x38"),
        (sam(64).frame(Size(2, MAX_SIDE + 1)), "is 16777217x2: expected sides of at most"),
    ]:
        wrong = dataclasses.replace(embedding, frame=frame)
        with pytest.raises(FileFormatError, match=f"{path.name} cannot hold .*{message}"):
            save_embedding(wrong, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [Size(1, MAX_SIDE), Size(MAX_SIDE, 64), Size(32768, 32768)])
def test_the_largest_pictures_come_back(embedding, path, size):
    largest = dataclasses.replace(embedding, frame=sam(64).frame(size))
    save_embedding(largest, path)
    assert load_embedding(path).equal(largest)


@pytest.mark.parametrize(
    "size",
    [Size(2_000_000_000, 1), Size(1, MAX_SIDE + 1), Size(32768, 32769), Size(10**400, 10**400)],
)
def test_a_picture_larger_than_any_is_refused_though_the_digest_is_right(embedding, size):
    frame = dataclasses.replace(embedding.frame, original=size, resized=Size(64, 1))
    content = encode(dataclasses.replace(embedding, frame=frame))
    with pytest.raises(FileFormatError, match=r"its picture is .* at most 16777216 and at most"):
        decode(content)


def test_a_size_in_the_input_that_is_not_the_records_is_refused(embedding):
    frame = sam(64).frame(Size(30, 50), Size(1, 1))
    content = encode(dataclasses.replace(embedding, frame=frame))
    with pytest.raises(FileFormatError, match="50x30, is resized to 1x1: expected 64x38"):
        decode(content)


def test_the_file_is_plain_safetensors_and_says_what_it_is(embedding, path):
    assert np.array_equal(load_file(path)["features"], embedding.features)
    metadata = _split(path)[0]["__metadata__"]
    assert metadata["format"] == "samphire-embedding"
    assert metadata["version"] == "2"
    assert metadata["samphire"] == version("samphire")


def test_saving_replaces_the_file_and_leaves_no_other(embedding, path):
    other = dataclasses.replace(embedding, features=embedding.features + 1)
    save_embedding(other, path)
    assert load_embedding(path).equal(other)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "samphire-adapter", "holds 'samphire-adapter': expected 'samphire-embedding'"),
        ("version", "3", "is version 3 of samphire-embedding: .* reads 2; upgrade it"),
        ("preprocessing", "sam-0", "not an image embedding .*preprocessing 'sam-0' is not known"),
        ("preprocessing", "sam-1024", r"features has shape .* expected \(1, C, 64, 64\)"),
        ("preprocessing", "squash-64", "preprocessing 'squash-64' is not known"),
        ("original_size", "30", "not an image embedding"),
        ("original_size", "30 fifty", "not an image embedding"),
        ("original_size", "0 50", "has an empty side"),
        ("resized_size", "38 65", "is resized to 65x38: expected 64x38, the rule of sam-64"),
    ],
)
def test_metadata_that_is_not_right_is_refused_with_the_reason(path, key, value, message):
    header, tensors = _split(path)
    header["__metadata__"][key] = value
    _join(path, header, tensors)
    with pytest.raises(FileFormatError, match=f"{path.name} .*{message}"):
        load_embedding(path)


@pytest.mark.parametrize(
    "key", ["version", "encoder_id", "preprocessing", "pixels", "original_size", "made_by", "image"]
)
def test_metadata_that_is_missing_is_refused(path, key):
    header, tensors = _split(path)
    del header["__metadata__"][key]
    _join(path, header, tensors)
    with pytest.raises(FileFormatError, match=f"{path.name} is not an image embedding .*{key}"):
        load_embedding(path)


@pytest.mark.parametrize(
    ("dtype", "channels"), [("I32", 8), ("F16", 16), ("BF16", 16), ("F8_E4M3", 32), ("F64", 4)]
)
def test_features_of_another_type_are_refused(path, dtype, channels):
    header, tensors = _split(path)
    header["features"] |= {"dtype": dtype, "shape": [1, channels, 4, 4]}
    _join(path, header, tensors)
    with pytest.raises(FileFormatError, match=f"holds {dtype} features: expected F32"):
        load_embedding(path)


def test_features_of_another_grid_are_refused(path):
    header, tensors = _split(path)
    header["features"]["shape"] = [1, 32, 2, 2]
    _join(path, header, tensors)
    with pytest.raises(FileFormatError, match=r"features has shape \(1, 32, 2, 2\)"):
        load_embedding(path)


def test_a_safetensors_file_of_something_else_is_refused(path):
    path.write_bytes(save({"weight": np.zeros(3, np.float32)}))
    with pytest.raises(
        FileFormatError, match="holds 'no format name': expected 'samphire-embedding'"
    ):
        load_embedding(path)
    path.write_bytes(save({"weight": np.zeros(3, np.float32)}, {"format": "samphire-embedding"}))
    with pytest.raises(FileFormatError, match="not an image embedding"):
        load_embedding(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff" * 8, b"<html></html>", b"{}"])
def test_a_foreign_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"{path.name} is not an image embedding"):
        load_embedding(path)


def test_a_file_cut_anywhere_is_refused(path):
    content = path.read_bytes()
    for length in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            load_embedding(path)


def test_a_changed_header_is_an_embedding_or_a_file_format_error(path, rng):
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(end)] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert load_embedding(path).features.shape[0] == 1
        except FileFormatError:
            refused += 1
    assert refused > 100


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_embedding(tmp_path / "none.safetensors")
