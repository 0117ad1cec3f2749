"""The file of an adapter: safetensors of what was trained, with notes on what it is.

It says everything that using it needs: which base it stands on, how pictures are prepared, the
method and its settings, the classes; and where it comes from: data and measures. No optimiser, no
code. ``engines/load.py`` puts it on a model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from samphire import atomic
from samphire.adapters import Adaptation
from samphire.errors import AdapterError
from samphire.weights.adapter_notes import FORMAT, VERSION, check_notes
from samphire.weights.identity import ENCODER_PREFIX
from samphire.weights.same_bytes import safetensors_bytes
from samphire.weights.weights_file import DIGEST, content_digest


@dataclass(frozen=True, eq=False)
class AdapterFile:
    """What a file holds.

    Attributes:
        adaptation: method, settings, classes.
        base: name of the base's variant, for messages.
        base_id: identity of the base's weights.
        preprocessing: id of the record that it was trained with.
        window: how intensities of deep pictures became 8 bits, in words; empty for the default.
        data: what it was trained on, for people: name and counts.
        seen: fingerprints of the pictures that taught it or chose its epoch; empty where they are
            not known.
        metrics: measures, by name.
        tensors: what was trained.
    """

    adaptation: Adaptation
    base: str
    base_id: str
    preprocessing: str
    tensors: Mapping[str, torch.Tensor]
    window: str = ""
    data: Mapping[str, Any] | None = None
    seen: Sequence[str] = ()
    metrics: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """Identity of what was trained, and how it is used."""
        return content_digest(self._notes(), self._arrays())

    def encoder_id(self, base_encoder: str) -> str:
        """Identity of the image encoder with this adapter: embeddings are bound to it.

        An adapter that leaves the encoder as it is leaves its embeddings, too.

        Args:
            base_encoder: identity of the encoder without.
        """
        inside = {k: v for k, v in self._arrays().items() if k.startswith(ENCODER_PREFIX)}
        if not inside:
            return base_encoder
        settings = json.dumps(self.adaptation.as_json()["settings"], sort_keys=True)
        notes = {"base": base_encoder, "method": self.adaptation.name, "settings": settings}
        return content_digest(notes, inside)

    def check_fits(self, *, base: str, base_id: str, preprocessing: str, name: str) -> None:
        """Refuse another base than its own.

        Args:
            base: name of the model at hand.
            base_id: its identity.
            preprocessing: how its pictures are prepared.
            name: of the adapter, for the message.

        Raises:
            AdapterError: weights or preprocessing are others.
        """
        if base_id != self.base_id:
            raise AdapterError(
                f"{name} was trained on {self.base} (weights {self.base_id[:12]}), and this is "
                f"{base} (weights {base_id[:12]}): load the model that it was trained on"
            )
        if preprocessing != self.preprocessing:
            raise AdapterError(
                f"{name} was trained on pictures prepared as {self.preprocessing}, and {base} "
                f"prepares them as {preprocessing}: load it with the same variant and input side"
            )

    def _notes(self) -> dict[str, str]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "base": self.base,
            "base_id": self.base_id,
            "preprocessing": self.preprocessing,
            "window": self.window,
            "adaptation": json.dumps(self.adaptation.as_json(), sort_keys=True),
        }

    def _arrays(self) -> dict[str, Any]:
        return {name: value.detach().cpu().numpy() for name, value in self.tensors.items()}

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OSError: the disk is full, or the folder cannot be written; ``path`` is untouched.
        """
        notes = {
            **self._notes(),
            "samphire": version("samphire"),
            "data": json.dumps(self.data or {}, sort_keys=True),
            "seen": " ".join(self.seen),
            "metrics": json.dumps(self.metrics or {}, sort_keys=True),
        }
        arrays = self._arrays()
        notes[DIGEST] = content_digest(notes, arrays)
        atomic.write_bytes(path, safetensors_bytes(arrays, notes))


def load_adapter(path: Path) -> AdapterFile:
    """Read an adapter.

    Raises:
        AdapterError: it is another file, damaged, or of a newer Samphire.
        OSError: it cannot be read.
    """
    with path.open("rb"):  # safetensors does not say which file is missing
        pass
    try:
        with safe_open(path, framework="pt") as file:
            notes: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise AdapterError(f"{path} is damaged or no safetensors file: {error}") from error
    check_notes(notes, path)
    arrays = {name: value.numpy() for name, value in tensors.items()}
    if content_digest(notes, arrays) != notes.get(DIGEST):
        raise AdapterError(f"{path} is damaged, its digest is another: get it again")
    try:
        # a method of somebody's own, which is not in the table here, says so itself
        return AdapterFile(
            adaptation=Adaptation.of(json.loads(notes["adaptation"])),
            base=notes["base"],
            base_id=notes["base_id"],
            preprocessing=notes["preprocessing"],
            window=notes["window"],
            data=json.loads(notes["data"]),
            seen=tuple(notes.get("seen", "").split()),  # earlier files do not tell
            metrics=json.loads(notes["metrics"]),
            tensors=tensors,
        )
    except AdapterError as error:
        raise AdapterError(f"{path}: {error}") from error
    except (KeyError, ValueError) as error:
        raise AdapterError(f"{path} says {FORMAT} and is not it: {error}") from error
