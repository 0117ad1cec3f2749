"""Files of weights and what is no file of weights: one sentence each, and no code is run."""

import argparse
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from samphire.errors import CheckpointError
from samphire.weights.container import read_file

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}


def saved(tensors=TENSORS, **settings) -> bytes:
    file = io.BytesIO()
    torch.save(tensors, file, **settings)
    return file.getvalue()


def zipped(compression, *names) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}q\x00." * 50)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("new.pth", saved()),
        ("old.pt", saved(_use_new_zipfile_serialization=False)),
        ("plain.bin", save(TENSORS)),
        ("no suffix", saved()),
    ],
)
def test_a_file_is_known_by_its_content(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    found = read_file(tmp_path / name)
    assert found.tensors.keys() == TENSORS.keys()
    for key, value in TENSORS.items():
        assert torch.equal(found.tensors[key], value)


def test_metadata_of_safetensors_come_along(tmp_path):
    save_file(TENSORS, tmp_path / "a", {"format": "pt"})
    assert read_file(tmp_path / "a").metadata == {"format": "pt"}


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 375042383\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty: expected a PyTorch checkpoint"),
        (b"\n <!DOCTYPE html><html>Sign in", "is an HTML page"),
        (LFS, "is a Git LFS pointer"),
        (b'{"error": "not found"}', "is a text message"),
        (b"\x1f\x8b\x08" + bytes(50), "is a gzip archive"),
        (b"\x08\x07\x12\x07pytorch" + bytes(50), "is an ONNX graph"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is a PNG picture"),
        (b"GGUF" + bytes(50), "is a GGUF file"),
        (bytes(100), "is none of the kinds known here"),
        (zipped(zipfile.ZIP_STORED, "a-1.0.dist-info/RECORD"), "is a wheel"),
        (zipped(zipfile.ZIP_STORED, "holiday.jpg"), "is a zip archive"),
        (zipped(zipfile.ZIP_STORED, "a.npy", "b.npy"), "is a NumPy archive"),
        (zipped(zipfile.ZIP_DEFLATED, "archive/data.pkl"), "is compressed inside"),
        (zipped(zipfile.ZIP_DEFLATED, "a/data.pkl", "a/code/x.py"), "is a TorchScript program"),
    ],
)
def test_what_is_no_file_of_weights_is_named(tmp_path, data, message):
    path = tmp_path / "vit_b.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as refused:
        read_file(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "data", [saved(), saved(_use_new_zipfile_serialization=False), save(TENSORS)]
)
def test_a_file_cut_short_anywhere_is_refused(tmp_path, data):
    path = tmp_path / "cut"
    for length in [*range(0, len(data) - 1, 37), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            read_file(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"cut short|damaged"):
        read_file(path)


@pytest.mark.parametrize("old", [False, True])
def test_code_in_a_pickle_is_not_run_and_what_it_names_is_said(tmp_path, old):
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "evil.pth"
    path.write_bytes(saved({"a": Attack()}, _use_new_zipfile_serialization=not old))
    with pytest.raises(CheckpointError, match=r"holds a Python object, (\w+\.)*open, .*run code"):
        read_file(path)
    assert not marker.exists()


def test_a_bare_pickle_is_not_run_either(tmp_path):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(argparse.Namespace(a=1)))
    with pytest.raises(CheckpointError):
        read_file(path)


def test_settings_beside_the_weights_are_named(tmp_path):
    path = tmp_path / "epoch_3.pth"
    torch.save({"model": TENSORS, "args": argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(CheckpointError, match=r"argparse\.Namespace.*save the state dict alone"):
        read_file(path)


@pytest.mark.parametrize("value", [torch.zeros(2), [1, 2], "text", 3])
def test_what_is_no_mapping_is_named(tmp_path, value):
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=f"holds a {type(value).__name__}: expected a state"):
        read_file(tmp_path / "a.pth")


def folder(path, config, *files):
    path.mkdir()
    if config is not None:
        (path / "config.json").write_text(config)
    for name in files:
        data = save(TENSORS) if name.endswith("safetensors") else saved()
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_transformers_is_read(tmp_path, name):
    given = folder(tmp_path / "sam", json.dumps({"model_type": "sam"}), name)
    assert read_file(given).file == given / name


@pytest.mark.parametrize(
    ("config", "files", "message"),
    [
        (None, ["model.safetensors"], "without a config.json"),
        ('{"model_type": "sam_hq"}', ["model.safetensors"], "type 'sam_hq': expected 'sam'"),
        ('{"a": 1}', ["model.safetensors"], "names no model_type"),
        ("[1", [], "names no model_type"),
        ("[" * 100_000, [], "names no model_type"),
        ('{"model_type": "sam"}', [], "holds none of model.safetensors"),
        ('{"model_type": "sam"}', ["model.safetensors.index.json"], "larger max_shard_size"),
    ],
)
def test_another_folder_is_refused(tmp_path, config, files, message):
    with pytest.raises(CheckpointError, match=message):
        read_file(folder(tmp_path / "sam", config, *files))


def test_a_header_that_claims_more_than_the_file_is_refused_at_once(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{" + bytes(100))
    with pytest.raises(CheckpointError, match=r"its header says 1,099,511,627,776 bytes"):
        read_file(path)


def test_a_shape_beyond_the_data_is_refused(tmp_path):
    header = {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(CheckpointError, match="damaged, cut short"):
        read_file(path)


@pytest.mark.slow
def test_a_changed_byte_gives_tensors_or_an_error_and_never_anything_else(tmp_path):
    path = tmp_path / "a.pth"
    rng = np.random.default_rng(0)
    for data in (saved(), saved(_use_new_zipfile_serialization=False), save(TENSORS)):
        for _ in range(300):
            changed = bytearray(data)
            changed[rng.integers(len(data))] = rng.integers(256)
            path.write_bytes(changed)
            try:
                found = read_file(path)
            except CheckpointError:
                continue
            assert hasattr(found.tensors, "items")
