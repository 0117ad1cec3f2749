"""The one file of weights that Samphire writes: safetensors with notes on what it is.

It carries everything that loading needs (variant, preprocessing, ids), where it comes from, and a
digest over notes and tensors, so that damage anywhere in it is found without another file.
``load.py`` reads it into a model.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from samphire import atomic
from samphire.errors import CheckpointError
from samphire.weights.catalog import Entry
from samphire.weights.identity import base_id, encoder_id
from samphire.weights.sources import NpmPackage, Source, Wheel

FORMAT, VERSION = "samphire-weights", "1"
DIGEST = "content_sha256"


def write_weights(
    path: Path,
    tensors: Mapping[str, npt.NDArray[Any]],
    entry: Entry,
    origin: Mapping[str, str],
) -> None:
    """Write a model's tensors to ``path``, whole or not at all.

    Args:
        path: the file.
        tensors: under the published names.
        entry: what they are; ids that it does not know are computed.
        origin: notes on where they come from, see :func:`origin_of`.

    Raises:
        OSError: the disk is full, or the folder cannot be written; ``path`` is untouched.
    """
    ids = entry.identity or (encoder_id(tensors), base_id(tensors))
    notes = {
        **_identifying_notes(entry),
        "encoder_id": ids[0],
        "base_id": ids[1],
        "samphire": version("samphire"),
        "licence": entry.licence,
        **origin,
    }
    notes[DIGEST] = content_digest(notes, tensors)
    # safetensors writes a transposed array in the order of its memory, with the shape of the view.
    plain = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    atomic.write_bytes(path, safetensors.numpy.save(plain, notes))


def check_weights(path: Path, entry: Entry | None = None) -> None:
    """Read the whole file and compare it with its own digest, and with the catalogue.

    Args:
        path: the file.
        entry: what it should be; None for a file that a user imported.

    Raises:
        CheckpointError: the file is damaged, or is of another model.
        OSError: it cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            notes: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}") from error
    for key, expected in ({} if entry is None else _identifying_notes(entry)).items():
        if notes.get(key) != expected:
            raise CheckpointError(f"{path} says {key} = {notes.get(key)!r}: expected {expected!r}")
    found = content_digest(notes, tensors)
    if found != notes.get(DIGEST):
        raise CheckpointError(
            f"{path} is damaged: its content has the SHA-256 {found[:12]}..., and it says "
            f"{str(notes.get(DIGEST))[:12]}..."
        )


def origin_of(source: Source) -> dict[str, str]:
    """Notes on a source of the catalogue, with its hashes."""
    notes = {"source": source.label, "source_sha256": source.sha256}
    if isinstance(source, NpmPackage):
        notes |= {
            "source_integrity": source.integrity,
            "source_encoder_sha256": source.encoder.sha256,
            "source_decoder_sha256": source.decoder.sha256,
            "note": "batch norm folded: its statistics are made up so that it only adds its bias",
        }
    elif isinstance(source, Wheel):
        notes |= {"source_checkpoint_sha256": source.checkpoint.sha256}
    return notes


def _identifying_notes(entry: Entry) -> dict[str, str]:
    """What the catalogue knows beforehand; ids that it does not are left out."""
    known = {"encoder_id": entry.encoder_id, "base_id": entry.base_id}
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": entry.name,
        "variant": entry.variant,
        "preprocessing": entry.preprocessing,
        **{key: value for key, value in known.items() if value is not None},
    }


def content_digest(notes: Mapping[str, str], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 over all notes but the digest itself, and the tensors."""
    said = json.dumps({key: notes[key] for key in sorted(notes) if key != DIGEST})
    return hashlib.sha256(f"{said}\n{base_id(tensors)}".encode()).hexdigest()
