"""What a file holds -> tensors under the published names, whoever wrote it.

Wrappers, prefixes and derived tensors come off (``names.py``), names of `transformers` are
translated, and what is no tensor that a model can hold is refused. Not for which model it is
(``recognise.py``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samphire.errors import CheckpointError
from samphire.weights import names
from samphire.weights.container import Contents, read_file

# What SAM subtracts and divides by; some files carry it, and no other is known here.
_PIXELS = {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)}


def published_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint under the published names, whatever model they are of.

    Wrappers, prefixes and derived tensors are taken off, and transformers' names translated.

    Raises:
        CheckpointError: the file is no checkpoint, or holds more than tensors.
    """
    return published(read_file(path))[0]


def published(contents: Contents) -> tuple[dict[str, torch.Tensor], str, tuple[str, ...]]:
    """Tensors under the published names, the layout they had, and what was taken off."""
    file = contents.file
    try:
        unwrapped = names.unwrap(contents.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    tensors = dict(unwrapped.tensors)
    check_tensors(tensors, file)
    for name, expected in _PIXELS.items():
        found = tensors.pop(name, torch.tensor(expected))
        if found.numel() != len(expected) or not np.allclose(found.flatten().float(), expected):
            raise CheckpointError(
                f"{file} has another {name} than SAM's {expected}: its pictures are prepared in a "
                "way that is not known here"
            )
    layout = names.layout_of(tensors)
    if layout == "huggingface":
        pair = [tensors[name] for name in names.POSITION_NAMES if name in tensors]
        if len(pair) == 2 and not torch.equal(*pair):
            raise CheckpointError(
                f"{file} holds two different position matrices, {pair[0].flatten()[:2].tolist()} "
                f"and {pair[1].flatten()[:2].tolist()}, ...: expected one"
            )
        tensors = names.to_original(tensors)
    return tensors, layout, unwrapped.removed


def check_tensors(tensors: Mapping[str, Any], file: Path) -> None:
    """Refuse what is not a plain tensor of numbers that a model can hold."""
    strange = [name for name, value in tensors.items() if not isinstance(value, torch.Tensor)]
    if strange or not tensors:
        found = f"{strange[:5]} besides tensors" if strange else "nothing"
        raise CheckpointError(f"{file} holds {found}: expected a state dict, names -> tensors")
    for name, value in tensors.items():
        counter = value.ndim == 0 and value.dtype == torch.int64  # of a batch norm's batches
        dense = value.layout is torch.strided and not value.is_meta
        if not dense or not (value.is_floating_point() or counter):
            raise CheckpointError(
                f"{file} holds {name} as {value.dtype}, {value.layout}: expected dense floats "
                "(quantised or sparse weights cannot be used)"
            )


def float32_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, npt.NDArray[Any]]:
    """NumPy arrays; half precision, which the published models do not have, becomes float32."""
    return {
        name: np.asarray((value.float() if value.is_floating_point() else value).numpy())
        for name, value in tensors.items()
    }
