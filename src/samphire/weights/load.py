"""Files of weights -> a model: recognised by content, strictly, and no code is executed.

    file or folder -> tensors (``container.py``) -> published names (``names.py``)
    -> variant (``recognise.py``) -> a filled model

Not for fetching (``store.py``). What could not be told from the file alone is decided here, once,
and said in the ``notes``.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samphire.errors import CheckpointError
from samphire.images.preprocessing import preprocessing
from samphire.model.sam import Sam, at_input_side
from samphire.model.variants import SAM_VARIANTS, VIT_VARIANTS
from samphire.weights import names
from samphire.weights.catalog import CATALOG, OTHER_MEDSAM_FILES, Entry, entry_of_file
from samphire.weights.checksums import file_digest
from samphire.weights.container import Contents, read_file
from samphire.weights.minisam import dead_head
from samphire.weights.recognise import PATCH, TABLE, architecture
from samphire.weights.store import cache_dir
from samphire.weights.weights_file import DIGEST, FORMAT, VERSION, content_digest

logger = logging.getLogger(__name__)

_PIXELS = {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file of weights holds, understood.

    Attributes:
        file: where it lies.
        tensors: under the published names, of the file's precision.
        variant: of ``model/variants.py``.
        preprocessing: id of the record it was trained with.
        layout: whose names the file used, or ``samphire`` for a file of ours.
        entry: the catalogue's model that it counts as, by its hash.
        identity: ``(encoder_id, base_id)`` where the file or the catalogue tells, else None.
        notes: what was taken off and decided, a sentence each.
    """

    file: Path
    tensors: dict[str, torch.Tensor]
    variant: str
    preprocessing: str
    layout: str
    entry: Entry | None
    identity: tuple[str, str] | None
    notes: tuple[str, ...] = ()


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

    def at_input_side(self, side: int) -> "LoadedModel":
        """The same weights for another input; see :func:`samphire.model.sam.at_input_side`."""
        family, _, _ = self.preprocessing.rpartition("-")
        module = at_input_side(self.module, side)
        return replace(self, module=module, preprocessing=f"{family}-{side}")


def load_module(path: Path, variant: str | None = None) -> LoadedModel:
    """The model of a file or folder.

    Args:
        path: a PyTorch or safetensors file, or a folder that `transformers` saved.
        variant: what it is, where shapes cannot tell (``vit_b`` or ``medsam``).

    Raises:
        CheckpointError: it is no checkpoint of a model known here, or does not fill it.
        OSError: it cannot be read.
    """
    checkpoint = read_checkpoint(path, variant)
    return LoadedModel(
        module=build(checkpoint.variant, checkpoint.tensors, checkpoint.file),
        variant=checkpoint.variant,
        preprocessing=checkpoint.preprocessing,
        identity=checkpoint.identity,
    )


def read_checkpoint(path: Path, variant: str | None = None) -> Checkpoint:
    """Read and recognise; arguments and errors as for :func:`load_module`."""
    if variant is not None and variant not in CATALOG:
        raise CheckpointError(
            f"no variant is called {variant!r}: expected one of {', '.join(CATALOG)}"
        )
    contents = read_file(path)
    if contents.metadata.get("format") != FORMAT:
        return _foreign(contents, path.name, variant)
    ours = (cache_dir() / "weights").resolve()  # where nothing but Samphire writes
    trusted = ours in contents.file.resolve().parents
    checkpoint = _own(contents, trusted=trusted)
    if variant in {None, checkpoint.variant}:
        return checkpoint
    return _decided(checkpoint, str(variant), "as you said")


def published_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint under the published names, whatever model they are of.

    Wrappers, prefixes and derived tensors are taken off, and transformers' names translated.

    Raises:
        CheckpointError: the file is no checkpoint, or holds more than tensors.
    """
    return _published(read_file(path))[0]


def float32_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, npt.NDArray[Any]]:
    """NumPy arrays; half precision, which the published models do not have, becomes float32."""
    return {
        name: np.asarray((value.float() if value.is_floating_point() else value).numpy())
        for name, value in tensors.items()
    }


def build(variant: str, tensors: Mapping[str, torch.Tensor], path: Path) -> Sam:
    """A model of this variant, filled with the tensors.

    A ViT whose position tables are for another side than 1024 is built for that side.

    Raises:
        CheckpointError: the variant is not known, or a key is missing, unexpected or misshapen.
    """
    if variant not in SAM_VARIANTS:
        raise CheckpointError(
            f"{path} holds a {variant!r}: expected one of {', '.join(SAM_VARIANTS)}"
        )
    if variant in VIT_VARIANTS and TABLE in tensors:
        module = VIT_VARIANTS[variant](PATCH * tensors[TABLE].shape[1])
    else:
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


def _own(contents: Contents, *, trusted: bool) -> Checkpoint:
    """A file that Samphire wrote: it says what it is.

    In the cache it is believed, as it was checked when it was written. Elsewhere anybody may have
    written it: its ids are computed anew, and its digest has to be right.
    """
    notes = contents.metadata
    if notes.get("version") != VERSION:
        raise CheckpointError(
            f"{contents.file} is version {notes.get('version')!r} of {FORMAT}: this Samphire reads "
            f"{VERSION}; upgrade it"
        )
    tensors = dict(contents.tensors)
    _check_tensors(tensors, contents.file)
    if not trusted and content_digest(notes, float32_arrays(tensors)) != notes.get(DIGEST):
        raise CheckpointError(
            f"{contents.file} says {FORMAT} and its digest is another: it is damaged, or somebody "
            "else wrote it; get it again"
        )
    try:
        record = preprocessing(notes["preprocessing"])
        return Checkpoint(
            file=contents.file,
            tensors=tensors,
            variant=notes["variant"],
            preprocessing=record.id,
            layout="samphire",
            entry=CATALOG.get(notes.get("name", "")) if trusted else None,
            identity=(notes["encoder_id"], notes["base_id"]) if trusted else None,
        )
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{contents.file} says {FORMAT} and is not it: {error}") from error


def _foreign(contents: Contents, name: str, variant: str | None) -> Checkpoint:
    """Anybody else's file: known by its hash, or else by its shapes."""
    tensors, layout, removed = _published(contents)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    try:
        found = architecture(shapes)
    except CheckpointError as error:
        raise CheckpointError(f"{contents.file} {error}") from error
    if found.variant == "vit_t":
        for key, array in dead_head().items():
            tensors.setdefault(key, torch.from_numpy(array))
    digest = file_digest(contents.file, "sha256").hex()
    entry = entry_of_file(digest)
    checkpoint = Checkpoint(
        file=contents.file,
        tensors=tensors,
        variant=found.variant,
        preprocessing=_preprocessing(found.variant, found.table_side),
        layout=layout,
        entry=entry,
        identity=entry.identity if entry else None,
        notes=tuple(f"taken off: {what}" for what in removed),
    )
    if variant is not None:
        return _decided(checkpoint, variant, "as you said")
    if entry is not None:
        return _decided(checkpoint, entry.variant, f"by its hash it is the published {entry.name}")
    if digest in OTHER_MEDSAM_FILES:
        return _decided(checkpoint, "medsam", "by its hash it is a published MedSAM")
    if found.variant != "vit_b":
        return _decided(checkpoint, found.variant, "by the shapes of its tensors")
    return _vit_b_or_medsam(checkpoint, name)


def _vit_b_or_medsam(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The two have one shape and want their pictures prepared in different ways."""
    guess, other = ("medsam", "vit_b") if "medsam" in name.lower() else ("vit_b", "medsam")
    reason = f"by its name and shapes, which {other} has too"
    decided = _decided(checkpoint, guess, reason)
    logger.warning(
        "%s: %s. If that is wrong, say so: variant=%r, --variant %s",
        name, decided.notes[-1], other, other,
    )  # fmt: skip
    return decided


def _decided(checkpoint: Checkpoint, variant: str, reason: str) -> Checkpoint:
    """The checkpoint as this variant, with a note of why."""
    side = PATCH * checkpoint.tensors[TABLE].shape[1] if TABLE in checkpoint.tensors else None
    record = _preprocessing(variant, side)
    note = f"taken for {variant} ({reason}); pictures are prepared as {record}"
    logger.info("%s: %s", checkpoint.file, note)
    return replace(
        checkpoint, variant=variant, preprocessing=record, notes=(*checkpoint.notes, note)
    )


def _check_tensors(tensors: Mapping[str, Any], file: Path) -> None:
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


def _preprocessing(variant: str, table_side: int | None) -> str:
    """Id of the record of this variant, at the side that its tables are for."""
    family, _, side = CATALOG[variant].preprocessing.rpartition("-")
    return f"{family}-{table_side or side}"


def _published(contents: Contents) -> tuple[dict[str, torch.Tensor], str, tuple[str, ...]]:
    """Tensors under the published names, the layout they had, and what was taken off."""
    file = contents.file
    try:
        unwrapped = names.unwrap(contents.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    tensors = dict(unwrapped.tensors)
    _check_tensors(tensors, file)
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
