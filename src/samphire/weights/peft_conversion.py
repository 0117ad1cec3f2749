"""A LoRA that PEFT trained, as one of ours that answers the same.

Any update B' A' of a whole fused projection falls apart by rows into one B a part beside the same
A'. One of ours has one rank, one scale and a row of blocks: smaller ranks are filled with zeros,
other scales go into B. Not for files (``peft.py``). Sources: Hu et al. 2022 (LoRA), section 4;
Kalajdzievski 2023 for the rank-stabilised scale; huggingface/peft, its configuration of LoRA.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from samphire.adapters import Adaptation
from samphire.adapters.inject import DECODER
from samphire.adapters.lora import TARGETS, Lora, LoraLinear
from samphire.adapters.sites import encoder_blocks, linear_at, transformer_blocks
from samphire.errors import AdapterError
from samphire.model.sam import Sam

PREFIX = "base_model.model."
_UPDATE = re.compile(rf"{re.escape(PREFIX)}(.+)\.lora_([AB])\.weight")
# What the answer does not depend on, or what is read here; any other setting has to be off.
_HARMLESS = frozenset({
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying",
    "eva_config", "exclude_modules", "inference_mode", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "lora_alpha", "lora_dropout", "megatron_core", "modules_to_save",
    "peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern", "revision",
    "target_modules", "task_type", "use_rslora",
})  # fmt: skip
# Starts that leave the frozen weights as they were; the others (pissa, ...) change them.
_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")


def read_config(path: Path) -> dict[str, Any]:
    """The settings of PEFT, if none of them asks for more than plain LoRA.

    Raises:
        AdapterError: one does, or it is another file.
        OSError: it cannot be read.
    """
    try:
        config = json.loads(path.read_bytes())
        kind = config["peft_type"]
        patterns = config.get("alpha_pattern") or {}
        for pattern in patterns:
            re.compile(pattern)
        if not all(math.isfinite(alpha) for alpha in (config["lora_alpha"], *patterns.values())):
            raise ValueError("alpha is not finite")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, re.error) as error:
        raise AdapterError(f"{path} is no configuration of PEFT's LoRA: {error!r}") from error
    if kind != "LORA":
        raise AdapterError(f"{path}: peft_type is {kind!r}, expected 'LORA'")
    asked = [name for name, value in config.items() if value and name not in _HARMLESS]
    asked += ["bias"] if config.get("bias", "none") != "none" else []
    asked += ["init_lora_weights"] if config.get("init_lora_weights") not in _STARTS else []
    whole = config.get("modules_to_save") or [DECODER]
    asked += ["modules_to_save"] if whole != [DECODER] else []
    if asked:
        shown = ", ".join(f"{name} = {config[name]!r}" for name in sorted(asked))
        raise AdapterError(
            f"{path}: {shown}: expected plain LoRA, and of other modules at most {DECODER}; merge "
            "the adapter with PEFT (merge_and_unload) and load the model's weights"
        )
    return dict(config)


def converted(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], base: Sam
) -> tuple[Adaptation, dict[str, torch.Tensor]]:
    """Ours that does what PEFT's does.

    Args:
        folder: for messages.
        config: from :func:`read_config`.
        tensors: of ``adapter_model.safetensors``, by name.
        base: the model that it was trained on; only read.

    Returns:
        what it is, and its tensors, float32.

    Raises:
        AdapterError: it has tensors that lora here has no place for, or no update at all.
    """
    own = {name: value for name, value in tensors.items() if not _UPDATE.fullmatch(name)}
    decoder = bool(config.get("modules_to_save"))
    foreign = [name for name in own if not (decoder and name.startswith(f"{PREFIX}{DECODER}."))]
    if foreign:
        raise AdapterError(
            f"{folder} holds {foreign[0]}: expected pairs of lora_A and lora_B, and of other "
            f"weights at most those of {DECODER}"
        )
    updates = _updates(folder, config, tensors, base)
    if not updates:
        raise AdapterError(
            f"{folder}: every update of lora is zero, or there is none: expected some that trained"
        )
    rank = max(len(update.a) for update in updates)
    scale = max(update.scale for update in updates)
    targets = {update.target for update in updates}
    method = Lora(
        rank=rank,
        alpha=scale * rank,
        targets=tuple(target for target in TARGETS if target in targets),
        blocks=_last_blocks({update.path for update in updates}, base),
    )
    adaptation = Adaptation(method, decoder=decoder)
    adapted = adaptation.apply(base)
    trained = adapted.tensors()
    for name, value in trained.items():
        if ".updates." in name:
            value.zero_()
    for update in updates:
        name = f"{update.path}.updates.{update.part}"
        trained[f"{name}.a"][: len(update.a)] = update.a
        trained[f"{name}.b"][:, : len(update.a)] = update.b * (update.scale / scale)
    trained |= {name.removeprefix(PREFIX): value.float() for name, value in own.items()}
    adapted.load(trained)  # names and shapes of the decoder's
    return adaptation, trained


@dataclass(frozen=True, eq=False)
class _Update:
    """``scale B A`` on the rows of one part: a (k, inputs), b (rows, k)."""

    path: str
    part: str
    target: str
    a: torch.Tensor
    b: torch.Tensor
    scale: float


def _updates(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], base: Sam
) -> list[_Update]:
    """What there is beside zeros, by part; ranks that a part has no use of are left out."""
    places = _places(base)
    found = [match for match in map(_UPDATE.fullmatch, tensors) if match is not None]
    updates = []
    for path in sorted({match[1] for match in found}):
        if path not in places:
            raise AdapterError(
                f"{folder} adapts {path}: expected attn.qkv, attn.proj or a layer of the MLP in a "
                "block of this encoder, or a q_proj or v_proj of the decoder; is it of this model?"
            )
        linear = linear_at(base, path)
        pair = [tensors.get(f"{PREFIX}{path}.lora_{side}.weight") for side in "AB"]
        a, b = (torch.empty(0) if value is None else value.float() for value in pair)
        rank = b.shape[1] if b.ndim == 2 else 0
        expected = ((rank, linear.in_features), (linear.out_features, rank))
        if not rank or (a.shape, b.shape) != expected:
            raise AdapterError(
                f"{folder}, {path}: lora_A has shape {tuple(a.shape)} and lora_B "
                f"{tuple(b.shape)}, expected (rank, {linear.in_features}) and "
                f"({linear.out_features}, rank)"
            )
        scale = _alpha(config, path) / (math.sqrt(rank) if config.get("use_rslora") else rank)
        for target, part, rows in places[path]:
            used = b[rows].ne(0).any(0)
            if used.any():
                updates.append(_Update(path, part, target, a[used], b[rows][:, used], scale))
    return updates


def _places(base: Sam) -> dict[str, list[tuple[str, str, torch.Tensor]]]:
    """Path of each projection that lora can adapt -> target, part and rows of its updates."""
    places: dict[str, list[tuple[str, str, torch.Tensor]]] = {}
    for target in TARGETS:
        for path, module in Lora(rank=1, targets=(target,)).plan(base).modules.items():
            if isinstance(module, LoraLinear):
                found = [(target, part, module.rows(part)) for part in module.updates]
                places.setdefault(path, []).extend(found)
    return places


def _last_blocks(paths: set[str], base: Sam) -> str:
    """The fewest blocks that have these paths in them, as the setting says it."""
    blocks = encoder_blocks(base)
    inside = [n for n, block in enumerate(blocks) if any(p.startswith(f"{block}.") for p in paths)]
    first = min(inside, default=0)
    whole = first <= blocks.index(transformer_blocks(base, "all")[0])
    return "all" if whole else f"last:{len(blocks) - first}"


def _alpha(config: Mapping[str, Any], path: str) -> float:
    """PEFT's rule: the first pattern that the end of the path matches."""
    for pattern, alpha in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            return float(alpha)
    return float(config["lora_alpha"])
