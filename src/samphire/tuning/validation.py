"""How good an adapter is on the validation set: what decides which one is kept.

By the same protocols as ``samphire evaluate``, with an engine made for the purpose, so that no
session outlives a change of weights; the frozen part of the encoder is not run again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samphire.adapters import Adapted
from samphire.engines.torch_engine import TorchEngine
from samphire.errors import DataError
from samphire.evaluation.protocols import Protocol, evaluate
from samphire.images.preprocessing import preprocessing
from samphire.samples import Sample
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.settings import TuneSettings
from samphire.weights.adapter_file import AdapterFile


@dataclass(frozen=True)
class Validation:
    """A score, and what it is made of.

    Attributes:
        score: mean Dice of the protocols, 0 to 1; larger is better.
        parts: mean Dice by protocol.
        epoch: after which it was measured, from 1; 0 where that does not matter.
    """

    score: float
    parts: Mapping[str, float]
    epoch: int = 0

    def as_json(self) -> dict[str, Any]:
        """For the log and the adapter's file."""
        return {"score": self.score, **{f"dice_{name}": dice for name, dice in self.parts.items()}}


def protocols(engine: TorchEngine, settings: TuneSettings) -> tuple[Protocol, ...]:
    """What a run is judged by: a click and a box, the classes, or all of them."""
    found: tuple[Protocol, ...] = ()
    if settings.interactive:
        boxes_only = preprocessing(engine.info.preprocessing).boxes_only
        found = ("box",) if boxes_only else ("points", "box")
    return (*found, "semantic") if settings.semantic else found


def validate(
    engine: TorchEngine,
    adapted: Adapted,
    frozen: FrozenEncoder,
    val: Sequence[Sample],
    settings: TuneSettings,
) -> Validation:
    """Measure the adapter as it is now.

    Args:
        engine: the base.
        adapted: the model that trains.
        frozen: its encoder.
        val: the validation set.
        settings: of the run.

    Raises:
        DataError: a sample cannot be read; scores of different pictures could not be compared.
    """
    file = adapter_file(engine, adapted, settings, None)
    worn = engine.wearing(file)
    parts: dict[str, float] = {}
    for protocol in protocols(engine, settings):
        measured = evaluate(
            worn, val, protocol, embed_picture=lambda image: frozen.embedding(image, worn.info)
        )
        if measured.failures:
            name, reason = measured.failures[0]
            raise DataError(
                f"{len(measured.failures)} samples of the validation set cannot be read, for "
                f"example {name}: {reason} (samphire data check names all)"
            )
        parts[protocol] = measured.mean_dice
    return Validation(score=float(np.mean(list(parts.values()))), parts=parts)


def adapter_file(
    engine: TorchEngine,
    adapted: Adapted,
    settings: TuneSettings,
    measured: Validation | None,
    *,
    window: str = "",
    seen: Sequence[str] = (),
) -> AdapterFile:
    """The adapter as it is now, to be written or worn."""
    info = engine.info
    return AdapterFile(
        adaptation=settings.adaptation,
        base=info.model,
        base_id=info.base_id,
        preprocessing=info.preprocessing,
        tensors=adapted.tensors(),
        window=window,
        seen=seen,
        metrics=None if measured is None else measured.as_json(),
    )
