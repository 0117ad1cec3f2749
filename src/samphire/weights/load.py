"""Files of weights -> a model: recognised by content, strictly, and no code is executed.

    file or folder -> tensors (``container.py``) -> published names (``published.py``)
    -> variant (``recognise.py``) -> a filled model

Not for fetching (``store.py``). What could not be told from the file alone is decided here, once,
and said in the ``notes``.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from samphire.cache import cache_dir
from samphire.errors import CheckpointError
from samphire.images.preprocessing import preprocessing
from samphire.model.sam import Sam, at_input_side
from samphire.model.variants import SAM_VARIANTS, VIT_VARIANTS
from samphire.weights.catalog import CATALOG, OTHER_MEDSAM_FILES, Entry, entry_of_file
from samphire.weights.checksums import file_digest
from samphire.weights.container import Contents, read_file
from samphire.weights.minisam import dead_head
from samphire.weights.published import check_tensors, float32_arrays, published
from samphire.weights.recognise import PATCH, TABLE, architecture
from samphire.weights.weights_file import DIGEST, FORMAT, VERSION, content_digest

logger = logging.getLogger(__name__)


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
    check_tensors(tensors, contents.file)
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
    tensors, layout, removed = published(contents)
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


def _preprocessing(variant: str, table_side: int | None) -> str:
    """Id of the record of this variant, at the side that its tables are for."""
    family, _, side = CATALOG[variant].preprocessing.rpartition("-")
    return f"{family}-{table_side or side}"
