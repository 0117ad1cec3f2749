"""Files of weights -> a model, strictly: no code is executed and no key is forgiven.

Not for fetching (``store.py``). Read with safetensors, or with ``torch.load(weights_only=True)``.
"""

import hashlib
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open

from samphire.errors import CheckpointError
from samphire.model.sam import Sam
from samphire.model.variants import SAM_VARIANTS
from samphire.weights import catalog
from samphire.weights.weights_file import FORMAT, VERSION


@dataclass(frozen=True)
class LoadedModel:
    """A model with its weights, and what is known of them.

    Attributes:
        module: in train mode as built; the engine decides.
        variant: its name in ``model/variants.py``.
        preprocessing: id of the record it was trained with.
        identity: ``(encoder_id, base_id)`` where the file or the catalogue tells, else None.
    """

    module: Sam
    variant: str
    preprocessing: str
    identity: tuple[str, str] | None


def load_module(path: Path) -> LoadedModel:
    """The model of a file: one that Samphire wrote, or one whose hash the catalogue lists.

    Raises:
        CheckpointError: the file is neither, is damaged, or does not fill the model.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] != b"{":
        return _load_listed(path)
    tensors, metadata = _read_safetensors(path)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise CheckpointError(
            f"{path} is a safetensors file of {metadata.get('format', 'unknown make')!r} version "
            f"{metadata.get('version')!r}: expected {FORMAT!r} version {VERSION}"
        )
    return LoadedModel(
        module=build(metadata["variant"], tensors, path),
        variant=metadata["variant"],
        preprocessing=metadata["preprocessing"],
        identity=(metadata["encoder_id"], metadata["base_id"]),
    )


def build(variant: str, tensors: dict[str, torch.Tensor], path: Path) -> Sam:
    """A model of this variant, filled with the tensors.

    Raises:
        CheckpointError: the variant is not known, or a key is missing, unexpected or misshapen.
    """
    if variant not in SAM_VARIANTS:
        raise CheckpointError(
            f"{path} holds a {variant!r}: expected one of {', '.join(SAM_VARIANTS)}"
        )
    module = SAM_VARIANTS[variant]()
    expected = module.state_dict()
    problems = [f"missing {key}" for key in expected.keys() - tensors.keys()]
    problems += [f"unexpected {key}" for key in tensors.keys() - expected.keys()]
    problems += [
        f"{key} has shape {tuple(tensors[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected.keys() & tensors.keys()
        if tensors[key].shape != expected[key].shape
    ]
    if problems:
        raise CheckpointError(
            f"{path} does not fill a {variant}, {len(problems)} keys differ:\n  "
            + "\n  ".join(sorted(problems))
        )
    module.load_state_dict(tensors, strict=True)
    return module


def read_checkpoint(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a torch file that is a plain state dict, as NumPy arrays.

    Raises:
        CheckpointError: the file is not one, or holds anything but tensors.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: {reason} (only tensors are read, never code)"
        ) from error
    if not isinstance(loaded, dict) or not loaded:
        raise CheckpointError(f"{path} holds a {type(loaded).__name__}: expected a state dict")
    wrong = [key for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise CheckpointError(
            f"{path} holds {wrong[:5]} besides tensors: expected a plain state dict"
        )
    return {str(key): np.asarray(value.numpy()) for key, value in loaded.items()}


def _load_listed(path: Path) -> LoadedModel:
    """A published file, known by its hash."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for entry in catalog.CATALOG.values():
        if digest in entry.file_hashes:
            arrays = read_checkpoint(path)
            tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
            return LoadedModel(
                module=build(entry.variant, tensors, path),
                variant=entry.variant,
                preprocessing=entry.preprocessing,
                identity=(entry.encoder_id, entry.base_id),
            )
    raise CheckpointError(
        f"{path} (SHA-256 {digest[:12]}...) is no weights file known here: expected a file that "
        f"samphire wrote, or a published one of {', '.join(catalog.CATALOG)}"
    )


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}") from error
