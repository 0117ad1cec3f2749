"""A file of weights -> its tensors, under the names that it uses; no code in it is ever run.

Known by its first bytes, never by its suffix: PyTorch's zip files and older pickles, read with
``torch.load(weights_only=True)``; safetensors; a folder that `transformers` saved. Everything else
is refused in one sentence that says what it is. Not for what the tensors mean (``names.py``,
``recognise.py``).
"""

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from samphire.errors import CheckpointError
from samphire.weights.checksums import disguise

_CONFIG, _MOST_CONFIG_BYTES = "config.json", 1 << 20
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_SAFETENSORS_HEADER = 100 << 20  # bytes: more is an attack
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")  # how torch names what it will not build
_SIGNATURES = {
    b"\x1f\x8b": "a gzip archive (of an npm package?)",
    b"\x89HDF": "an HDF5 file (of Keras?)",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GGUF": "a GGUF file",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"%PDF": "a PDF document",
}


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds.

    Attributes:
        file: the file itself; inside the folder where one was given.
        tensors: what it holds, as it is nested: names -> tensors, or -> more names.
        metadata: of safetensors; else empty.
    """

    file: Path
    tensors: Mapping[str, Any]
    metadata: Mapping[str, str]


def read_file(path: Path) -> Contents:
    """Read a file of weights, or a folder that ``SamModel.save_pretrained`` wrote.

    Tensors are mapped from the disk where the format allows it.

    Raises:
        CheckpointError: it is something else, damaged, or holds more than tensors and numbers.
        OSError: it cannot be read.
    """
    file = _weights_in(path) if path.is_dir() else path
    with file.open("rb") as opened:
        start = opened.read(64)
    if start[8:9] == b"{":
        return _read_safetensors(file, int.from_bytes(start[:8], "little"))
    if start.startswith(b"PK\x03\x04"):
        _check_zip(file)
        return Contents(file, _unpickle(file, mapped=True), {})
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return Contents(file, _unpickle(file, mapped=False), {})
    raise CheckpointError(
        f"{file} is {_what(start)}: expected a PyTorch checkpoint, a safetensors file, or a folder "
        "that transformers saved"
    )


def _weights_in(folder: Path) -> Path:
    """The file of weights of a folder in the layout of `transformers`."""
    config = folder / _CONFIG
    if not config.is_file() or config.stat().st_size > _MOST_CONFIG_BYTES:
        raise CheckpointError(
            f"{folder} is a folder without a {_CONFIG}: expected a file of weights, or a folder "
            "that SamModel.save_pretrained wrote"
        )
    try:
        kind = json.loads(config.read_bytes())["model_type"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{config} names no model_type: expected 'sam'") from error
    if kind != "sam":
        raise CheckpointError(
            f"{folder} holds a model of type {kind!r}: expected 'sam' (its relatives have parts "
            "that Samphire does not have)"
        )
    for name in _FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{folder} holds none of {', '.join(_FOLDER_FILES)}: expected a model saved in one file "
        "(save_pretrained with a larger max_shard_size)"
    )


def _read_safetensors(file: Path, header: int) -> Contents:
    size = file.stat().st_size
    if header > min(size - 8, _SAFETENSORS_HEADER):
        raise CheckpointError(
            f"{file} is cut short, or no safetensors file: its header says {header:,} bytes, and "
            f"the file has {size:,}"
        )
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            return Contents(file, tensors, opened.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError(
            f"{file} is damaged, cut short, or no safetensors file: {error}"
        ) from error


def _check_zip(file: Path) -> None:
    """Refuse zip files that are not torch's, cut short, or would unpack to more than they are."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Exception as error:  # a damaged one makes zipfile raise what it likes
        raise CheckpointError(
            f"{file} is a damaged PyTorch checkpoint, probably cut short ({error}): get it again"
        ) from error
    names = [member.filename for member in members]
    if not any(name.endswith("/data.pkl") for name in names):
        kind = "a wheel" if any(".dist-info/" in name for name in names) else "a zip archive"
        kind = "a NumPy archive" if names and all(n.endswith(".npy") for n in names) else kind
        raise CheckpointError(f"{file} is {kind}: expected a PyTorch checkpoint")
    if any("/code/" in name for name in names):
        raise CheckpointError(
            f"{file} is a TorchScript program: expected weights alone; where it was made, save "
            "torch.save(model.state_dict(), 'weights.pth')"
        )
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(f"{file} is compressed inside, which torch never does: not read")


def _unpickle(file: Path, *, mapped: bool) -> Mapping[str, Any]:
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_why_not_unpickled(file, str(error))) from error
    except Exception as error:  # a damaged file makes torch raise whatever it stumbles over
        said = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{file} is a damaged PyTorch checkpoint: {said[:300]}") from error
    if not isinstance(loaded, Mapping):
        raise CheckpointError(
            f"{file} holds a {type(loaded).__name__}: expected a state dict, names -> tensors"
        )
    return loaded


def _why_not_unpickled(file: Path, said: str) -> str:
    found = _GLOBAL.search(said)
    if found is None:
        return f"{file} is a damaged PyTorch checkpoint: {' '.join(said.split())[:300]}"
    return (
        f"{file} holds a Python object, {found[1]}, besides tensors; to build such objects can run "
        "code of the file, so it is not read. Where it was trained, save the state dict alone: "
        "torch.save(model.state_dict(), 'weights.pth')"
    )


def _what(start: bytes) -> str:
    """What a file is, from its first bytes."""
    if not start:
        return "empty"
    instead = disguise(start)
    if instead:
        return instead
    for signature, what in _SIGNATURES.items():
        if start.startswith(signature):
            return what
    if start[:1] == b"\x08" and b"pytorch" in start:
        return "an ONNX graph"
    return "none of the kinds known here"
