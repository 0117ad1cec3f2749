"""LoRA adapters in the layout of Hugging Face's PEFT: written, and read.

    adapter_config.json          settings; adapter_model.safetensors  <path>.lora_A, <path>.lora_B

PEFT adapts whole projections, and ours adapt the rows of the fused one that make a part. The bridge
is exact: the updates of n parts, each of rank r, are one update of rank n r,

    A' = [A_q; A_v],   B' = B_q on the rows of q and the first r columns, B_v on those of v and the
    last r, zero elsewhere,   alpha' / (n r) = the scale

Not for models of another library: paths are those of :class:`~samphire.model.sam.Sam`. What others
trained is turned into ours in ``peft_conversion.py``. Sources: Hu et al. 2022 (LoRA), section 4;
huggingface/peft, its page on the format of checkpoints.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from samphire import atomic
from samphire.adapters import Adaptation
from samphire.adapters.inject import DECODER
from samphire.adapters.lora import Lora, LoraLinear
from samphire.embedding import EngineInfo
from samphire.errors import AdapterError
from samphire.model.sam import Sam
from samphire.weights.adapter_file import AdapterFile
from samphire.weights.peft_conversion import PREFIX, converted, read_config

MODEL, PICKLE, CONFIG = "adapter_model.safetensors", "adapter_model.bin", "adapter_config.json"
_NOTES = "samphire"  # in the metadata of the tensors, which PEFT does not look at


def save_peft(folder: Path, adapter: AdapterFile, base: Sam) -> None:
    """Write an adapter for ``peft.PeftModel.from_pretrained(base, folder)``.

    A mask decoder that trained, too, goes along as one of PEFT's ``modules_to_save``.

    Args:
        folder: is made; the two files in it are replaced.
        adapter: of the method lora, without classes.
        base: the model that it was trained on; only read.

    Raises:
        AdapterError: it is of another method, has classes, or does not fit the model.
        OSError: the folder cannot be written.
    """
    config, tensors = _layout(adapter, base)
    notes = {"format": "pt", _NOTES: json.dumps(_notes(adapter), sort_keys=True)}
    atomic.write_bytes(folder / MODEL, safetensors.torch.save(tensors, notes))
    atomic.write_bytes(folder / CONFIG, f"{json.dumps(config, indent=2)}\n".encode())


def load_peft(folder: Path, base: Sam, *, info: EngineInfo) -> AdapterFile:
    """Read an adapter that :func:`save_peft` or PEFT wrote; nothing in it is run as code.

    One of ours comes back as it was. Another becomes one of ours that answers the same: as many
    blocks and targets as it needs, the largest of its ranks, and zeros where it has no update,
    which would not train further.

    Args:
        folder: with ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: the model that it was trained on; only read.
        info: of an engine with this model: PEFT does not record what an adapter stands on.

    Raises:
        AdapterError: the folder holds something else, or what lora here has no place for; or it is
            one of ours for another base.
        OSError: a file cannot be read.
    """
    config = read_config(folder / CONFIG)
    tensors, notes = _read_tensors(folder / MODEL)
    if notes is not None:
        adapter = _as_written(folder, notes, config, tensors, base)
        adapter.check_fits(
            base=info.model, base_id=info.base_id, preprocessing=info.preprocessing,
            name=str(folder),
        )  # fmt: skip
        return adapter
    adaptation, trained = converted(folder, config, tensors, base)
    return AdapterFile(
        adaptation=adaptation,
        base=info.model,
        base_id=info.base_id,
        preprocessing=info.preprocessing,
        tensors=trained,
    )


def _layout(adapter: AdapterFile, base: Sam) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Settings and tensors as PEFT has them."""
    adaptation = adapter.adaptation
    method = adaptation.method
    if not isinstance(method, Lora):
        raise AdapterError(
            f"the adapter's method is {adaptation.name}, and PEFT's layout here is that of lora: "
            "keep it as a file of its own, or merge it into a checkpoint if it is linear"
        )
    if adaptation.classes:
        raise AdapterError(
            f"the adapter has classes ({', '.join(adaptation.classes)}), and PEFT has no place for "
            "their head: keep it as a file of its own (samphire.load(..., adapter=))"
        )
    adapted = adaptation.apply(base)
    adapted.load(adapter.tensors)
    trained = adapted.tensors()
    tensors = {f"{PREFIX}{name}": trained[name] for name in _decoder_names(adaptation, base)}
    ranks: dict[str, int] = {}
    for path, module in adapted.module.named_modules():
        if isinstance(module, LoraLinear):
            a = torch.cat([trained[f"{path}.updates.{part}.a"] for part in module.updates])
            b = torch.zeros(module.base.out_features, len(a))
            for part, columns in _columns(module, method.rank).items():
                b[module.rows(part).cpu(), columns] = trained[f"{path}.updates.{part}.b"]
            tensors[f"{PREFIX}{path}.lora_A.weight"] = a
            tensors[f"{PREFIX}{path}.lora_B.weight"] = b
            ranks[path] = len(a)
    larger = {path: rank for path, rank in ranks.items() if rank != method.rank}
    config: dict[str, object] = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "target_modules": list(ranks),
        "modules_to_save": [DECODER] if adaptation.decoder else None,
        "r": method.rank,
        "lora_alpha": method.scale * method.rank,
        "rank_pattern": larger,
        "alpha_pattern": {path: method.scale * rank for path, rank in larger.items()},
        "use_rslora": False,
        "lora_dropout": 0.0,
        "bias": "none",
    }
    return config, tensors


def _columns(module: LoraLinear, rank: int) -> dict[str, slice]:
    """Where each part's update stands in the rank of the whole."""
    return {part: slice(n * rank, (n + 1) * rank) for n, part in enumerate(module.updates)}


def _notes(adapter: AdapterFile) -> dict[str, Any]:
    """What PEFT does not record."""
    names = [field.name for field in fields(adapter) if field.name not in {"adaptation", "tensors"}]
    given = {name: getattr(adapter, name) for name in names}
    return {**given, "adaptation": adapter.adaptation.as_json()}


def _as_written(
    folder: Path,
    notes: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    base: Sam,
) -> AdapterFile:
    """One of ours: the notes say how it falls apart; they are right if writing gives the same."""
    try:
        known = json.loads(notes)
        adaptation = Adaptation.of(known.pop("adaptation"))
        trained = {name: tensors[f"{PREFIX}{name}"] for name in _decoder_names(adaptation, base)}
        for path, module in adaptation.apply(base).module.named_modules():
            if isinstance(module, LoraLinear) and isinstance(adaptation.method, Lora):
                a, b = (tensors[f"{PREFIX}{path}.lora_{side}.weight"] for side in "AB")
                for part, columns in _columns(module, adaptation.method.rank).items():
                    trained[f"{path}.updates.{part}.a"] = a[columns].clone()
                    trained[f"{path}.updates.{part}.b"] = b[module.rows(part).cpu(), columns]
        adapter = AdapterFile(adaptation=adaptation, tensors=trained, **known)
        expected, written = _layout(adapter, base)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise AdapterError(f"{folder}: Samphire's notes in {MODEL} are damaged: {error}") from error
    same = written.keys() == tensors.keys() and all(
        torch.equal(value, tensors[name]) for name, value in written.items()
    )
    if not same or expected != {name: config.get(name) for name in expected}:
        raise AdapterError(
            f"{folder} was changed after Samphire wrote it: export the adapter again, or save it "
            "with PEFT's save_pretrained, which leaves Samphire's notes out"
        )
    return adapter


def _decoder_names(adaptation: Adaptation, base: Sam) -> list[str]:
    every = [name for name, _ in base.named_parameters() if name.startswith(f"{DECODER}.")]
    return every if adaptation.decoder else []


def _read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors, and Samphire's notes where it wrote them."""
    pickle = path.with_name(PICKLE)
    if not path.exists() and pickle.exists():
        raise AdapterError(
            f"{pickle} is a pickle, which can run code when it is read: open it with PEFT where "
            f"you trust it, and save_pretrained writes {MODEL}"
        )
    with path.open("rb"):  # safetensors does not say which file is missing
        pass
    try:
        with safe_open(path, framework="pt") as file:
            notes: dict[str, str] = file.metadata() or {}
            return {k: file.get_tensor(k) for k in file.keys()}, notes.get(_NOTES)  # noqa: SIM118
    except SafetensorError as error:
        raise AdapterError(f"{path} is damaged or no safetensors file: {error}") from error
