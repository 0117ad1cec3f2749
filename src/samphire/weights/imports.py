"""A user's file of weights -> Samphire's own, kept in the cache under a name.

What it is has then been found out once: ``samphire.load(name)`` asks nothing, hashes nothing and
needs no file of the user's. Not for fetching (``store.py``).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from samphire.errors import OutputExistsError, WeightsError
from samphire.weights.catalog import CATALOG, Entry
from samphire.weights.checksums import file_digest
from samphire.weights.identity import base_id, encoder_id
from samphire.weights.load import Checkpoint, build, read_checkpoint
from samphire.weights.published import float32_arrays
from samphire.weights.store import imported_path, weights_path
from samphire.weights.weights_file import write_weights

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, eq=False)
class Imported:
    """What an import made.

    Attributes:
        name: what ``samphire.load`` takes.
        path: Samphire's file.
        checkpoint: what was read, with its notes.
    """

    name: str
    path: Path
    checkpoint: Checkpoint


def import_weights(
    file: Path, *, name: str | None = None, variant: str | None = None, force: bool = False
) -> Imported:
    """Read a file of weights, whoever wrote it, and keep it.

    A published file of the catalogue becomes that model, as if it had been fetched.

    Args:
        file: a PyTorch or safetensors file, or a folder that `transformers` saved.
        name: what to call it; by default the file's own name without its suffix.
        variant: what it is, where shapes cannot tell (``vit_b`` or ``medsam``).
        force: replace what has this name.

    Raises:
        CheckpointError: it is no checkpoint of a model known here, or does not fill it.
        WeightsError: the name cannot be used.
        OutputExistsError: the name is taken.
        OSError: a file cannot be read or written.
    """
    checkpoint = read_checkpoint(file, variant)
    build(checkpoint.variant, checkpoint.tensors, checkpoint.file)  # every key fits, or it says so
    tensors = float32_arrays(checkpoint.tensors)
    ids = (encoder_id(tensors), base_id(tensors))
    digest = file_digest(checkpoint.file, "sha256").hex()
    origin = {"source": checkpoint.file.name, "source_sha256": digest}
    entry = checkpoint.entry or next((e for e in CATALOG.values() if e.identity == ids), None)
    if entry is not None and name is None and entry.variant == checkpoint.variant:
        path = weights_path(entry)
        write_weights(path, tensors, entry, origin)
        return Imported(entry.name, path, checkpoint)
    chosen = name or file.resolve().stem
    path = imported_path(_checked(chosen))
    if path.exists() and not force:
        raise OutputExistsError(
            f"a model called {chosen} is there already: choose another name (--name), or --force"
        )
    write_weights(
        path,
        tensors,
        Entry(
            name=chosen,
            variant=checkpoint.variant,
            preprocessing=checkpoint.preprocessing,
            description=f"imported from {checkpoint.file.name}",
            parameters=sum(array.size for array in tensors.values()),
            licence="not known (imported)",
            sources=(),
            encoder_id=ids[0],
            base_id=ids[1],
            file_hashes=(digest,),
        ),
        origin,
    )
    return Imported(chosen, path, checkpoint)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WeightsError(
            f"the name {name!r} cannot be used: expected letters, digits and . _ - (--name)"
        )
    if name in CATALOG:
        raise WeightsError(
            f"{name} is a model of the catalogue, and this file is not its published one: choose "
            "another name (--name)"
        )
    return name
