"""From labelled data to measured cases, by a named protocol: what is asked, and what is scored.

- ``points``: clicks at each object, by the rule of ``prompts.py``; scored after the first.
- ``box``: the tight box of each object.
- ``semantic``: no prompt; each class that the adapter knows.

All in pixels of the original picture, at logit 0, without chance. A case is an object or a class
on a picture; in a volume it is a class in the whole volume, its slices put together. Everything
mode is scored by ``recall.py``. Sources: see ``interactive.py`` and ``agreement.py``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from samphire.arrays import BoolArray, ByteArray, IntArray
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.errors import DataError, SamphireError
from samphire.evaluation.agreement import Agreement, agreement
from samphire.evaluation.interactive import box_results, click_curves
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.predict.embed import embed
from samphire.predict.semantic import classify
from samphire.samples import Labelled, Sample, Volume
from samphire.samples.semantic import IGNORE, semantic_map

Protocol = Literal["points", "box", "semantic"]
Embed = Callable[[ByteArray], ImageEmbedding]


@dataclass(frozen=True, eq=False)
class Case:
    """One measured object or class.

    Attributes:
        id: of the sample, or of the volume.
        group: what belongs together, for intervals.
        target: which object, or which class.
        agreement: of the predicted with the true mask.
        ious: after 1, 2, ... clicks; empty for other protocols and for volumes.
        oracle_iou: of the best of three masks after the first click; NaN likewise.
    """

    id: str
    group: str
    target: str
    agreement: Agreement
    ious: tuple[float, ...] = ()
    oracle_iou: float = float("nan")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a protocol measured.

    Attributes:
        protocol: its name.
        cases: in the order of the samples.
        failures: sample and reason of those that could not be read.
        without_objects: samples on which there is nothing to point at.
    """

    protocol: Protocol
    cases: tuple[Case, ...]
    failures: tuple[tuple[str, str], ...] = ()
    without_objects: tuple[str, ...] = ()

    @property
    def mean_dice(self) -> float:
        """Over the cases."""
        return float(np.mean([case.agreement.dice for case in self.cases]))


@dataclass(frozen=True, eq=False)
class _Pair:
    """One predicted mask beside the true one, on one picture; ``number`` 0 where it has none."""

    name: str
    number: int
    predicted: BoolArray
    true: BoolArray
    ignore: BoolArray | None
    ious: tuple[float, ...] = ()
    oracle_iou: float = float("nan")


@dataclass(frozen=True, eq=False)
class _Slice:
    """A measured slice of a volume."""

    sample: Sample
    volume: Volume
    size: Size
    pairs: list[_Pair]


def evaluate(
    engine: Engine,
    samples: Sequence[Sample],
    protocol: Protocol,
    *,
    clicks: int = 1,
    tolerance: float = 2.0,
    embed_picture: Embed | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure an engine on samples.

    Args:
        engine: from ``samphire.load``, for ``semantic`` with an adapter that has classes.
        samples: slices of one volume together.
        protocol: see above.
        clicks: of ``points``.
        tolerance: of the surface Dice, millimetres in volumes, else pixels.
        embed_picture: RGB pixels -> embedding; None runs the engine's encoder.
        on_progress: called with samples done and in all.

    Raises:
        DataError: no sample could be read, or none has an object.
        AdapterError: ``semantic``, and the engine knows no classes.
    """
    embedded: Embed = embed_picture or (lambda rgb: embed(engine, rgb))
    cases: list[Case] = []
    failures: list[tuple[str, str]] = []
    empty: list[str] = []
    volumes: dict[str, list[_Slice]] = {}
    for done, sample in enumerate(samples):
        try:
            labelled = sample.read()
        except (SamphireError, OSError) as error:
            failures.append((sample.id, str(error)))
            continue
        pairs = list(_pairs(engine, labelled, embedded, protocol, clicks))
        if not pairs and sample.volume is None:
            empty.append(sample.id)
        elif sample.volume is not None:
            size = labelled.objects.size
            volumes.setdefault(sample.volume.name, []).append(
                _Slice(sample, sample.volume, size, pairs)
            )
        else:
            cases += [_case(sample, pair, tolerance) for pair in pairs]
        if on_progress is not None:
            on_progress(done + 1, len(samples))
    for name, slices in volumes.items():
        cases += _volume_cases(name, slices, tolerance)
    if not cases:
        reason = f": {failures[0][1]}" if failures else ": none has an object"
        raise DataError(f"nothing could be measured in {len(samples)} samples{reason}")
    return Evaluation(protocol, tuple(cases), tuple(failures), tuple(empty))


def _pairs(
    engine: Engine, labelled: Labelled, embedded: Embed, protocol: Protocol, clicks: int
) -> Iterator[_Pair]:
    """What is predicted on one picture, beside the truth."""
    ignore = labelled.ignore
    if protocol == "semantic":
        classes = engine.info.classes
        predicted = classify(engine, embedded(labelled.image)).to_array()
        true = semantic_map(labelled, len(classes))
        for label, name in enumerate(classes, start=1):
            yield _Pair(name, 0, predicted[label - 1], true == label, _ignored(true))
        return
    objects = _countable(labelled)
    if not len(objects):
        return
    embedding = embedded(labelled.image)
    dense = objects.to_array()
    if protocol == "box":
        found = box_results(engine, embedding, objects).to_array()
        for index, name in enumerate(objects.name):
            yield _Pair(name, index + 1, found[index], dense[index], ignore)
        return
    curves = click_curves(engine, embedding, objects, clicks=clicks, ignore=ignore)
    for index, (name, curve) in enumerate(zip(objects.name, curves, strict=True)):
        first = curve.masks[0].to_array()[0]
        ious = tuple(curve.ious.tolist())
        yield _Pair(name, index + 1, first, dense[index], ignore, ious, curve.oracle_iou)


def _ignored(true: IntArray) -> BoolArray | None:
    ignored: BoolArray = true == IGNORE
    return ignored if ignored.any() else None


def _countable(labelled: Labelled) -> Masks:
    """The objects that have a pixel which counts."""
    objects = labelled.objects
    keep = objects.area > 0
    if labelled.ignore is not None:
        counts = (objects.to_array() & ~labelled.ignore).any(axis=(1, 2))
        keep = keep & counts
    return objects[keep]


def _case(sample: Sample, pair: _Pair, tolerance: float) -> Case:
    measured = agreement(
        pair.predicted, pair.true, spacing=(1.0, 1.0), tolerance=tolerance, ignore=pair.ignore
    )
    name = pair.name or "object"
    target = f"{name} {pair.number}" if pair.number else name
    return Case(sample.id, sample.group, target, measured, pair.ious, pair.oracle_iou)


def _volume_cases(name: str, slices: list[_Slice], tolerance: float) -> Iterator[Case]:
    """One case a class: what is on the slices, put together; a slice without it is empty."""
    first = slices[0]
    placed = sorted(slices, key=lambda each: each.volume.index)
    shape = (len(placed), first.size.height, first.size.width)
    for target in sorted({pair.name for each in placed for pair in each.pairs}):
        predicted, true, ignore = np.zeros((3, *shape), np.bool_)
        for place, each in enumerate(placed):
            for pair in each.pairs:
                if pair.name == target:
                    predicted[place] |= pair.predicted
                    true[place] |= pair.true
                if pair.ignore is not None:
                    ignore[place] |= pair.ignore
        measured = agreement(
            predicted, true, spacing=first.volume.spacing, tolerance=tolerance, ignore=ignore
        )
        yield Case(name, first.sample.group, target or "object", measured)
