"""From labelled data to measured cases, by a named protocol: what is asked, and what is scored.

- ``points``: clicks at each object, by the rule of ``prompts.py``; scored after the first.
- ``box``: the tight box of each object.
- ``semantic``: no prompt; each class that the adapter knows.

All in pixels of the original picture, at logit 0, without chance. A case is an object or a class
on a picture; in a volume it is a class in the whole volume, its slices put together. Each picture
and volume given is among the cases, the failures, or those without objects: none is passed over in
silence. Everything mode is ``everything.py``. Sources: see ``interactive.py`` and ``agreement.py``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from samphire.arrays import BoolArray, ByteArray
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.errors import DataError, SamphireError
from samphire.evaluation.agreement import Agreement, agreement
from samphire.evaluation.interactive import box_results, click_curves
from samphire.evaluation.units import countable, place_of, units
from samphire.masks import Masks
from samphire.masks.algebra import concat
from samphire.predict.embed import embed
from samphire.predict.semantic import classify
from samphire.samples import Labelled, Sample
from samphire.samples.semantic import semantic_map

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
        tolerance: of the surface Dice, millimetres in volumes, else pixels.
        cases: in the order of the samples, those of a volume where its first slice is.
        failures: picture or volume, and the reason, of those that could not be read. A volume with
            one such slice is not measured: without it, it would be another volume.
        without_objects: pictures and volumes on which there is nothing to point at.
    """

    protocol: Protocol
    tolerance: float
    cases: tuple[Case, ...]
    failures: tuple[tuple[str, str], ...] = ()
    without_objects: tuple[str, ...] = ()

    @property
    def mean_dice(self) -> float:
        """Over the cases."""
        return float(np.mean([case.agreement.dice for case in self.cases]))


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found on one picture, beside the truth: a row an object or class.

    Attributes:
        found: N masks.
        true: N masks, with the names of their classes.
        targets: what each is called on this picture.
        ignore: (H, W) bool, pixels that count neither way.
        ious: of each, after each click.
        oracle_ious: of each.
    """

    found: Masks
    true: Masks
    targets: tuple[str, ...]
    ignore: BoolArray | None
    ious: tuple[tuple[float, ...], ...]
    oracle_ious: tuple[float, ...]


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
        samples: in any order; slices that are not there count for nothing.
        protocol: see above.
        clicks: of ``points``.
        tolerance: of the surface Dice, millimetres in volumes, else pixels.
        embed_picture: RGB pixels -> embedding; None runs the engine's encoder.
        on_progress: called with samples done and in all.

    Raises:
        DataError: no sample could be read, none has an object, or a sample is given twice.
        FileFormatError: ``semantic``, and an object's label is none of the engine's classes.
        AdapterError: ``semantic``, and the engine knows no classes.
        MissingExtraError: SciPy is not installed.
    """
    embedded: Embed = embed_picture or (lambda rgb: embed(engine, rgb))
    cases: list[Case] = []
    failures: list[tuple[str, str]] = []
    empty: list[str] = []
    done = 0
    for name, unit in units(samples):
        answers: list[Answer] = []
        for sample in unit:
            try:
                labelled = sample.read()
            except (SamphireError, OSError) as error:
                failures.append((name, str(error)))
                break
            answers.append(answer_for(engine, labelled, embedded, protocol, clicks))
            if on_progress is not None:
                on_progress(done + len(answers), len(samples))
        else:
            found = list(_cases(name, unit, answers, tolerance))
            cases += found
            empty += [] if found else [name]
        done += len(unit)
        if on_progress is not None and len(answers) < len(unit):
            on_progress(done, len(samples))
    if not cases:
        reason = f": {failures[0][1]}" if failures else ": none has an object"
        raise DataError(f"nothing could be measured in {len(samples)} samples{reason}")
    return Evaluation(protocol, tolerance, tuple(cases), tuple(failures), tuple(empty))


def answer_for(
    engine: Engine, labelled: Labelled, embedded: Embed, protocol: Protocol, clicks: int = 1
) -> Answer:
    """Ask about one picture what the protocol asks; arguments as for :func:`evaluate`."""
    ignore = labelled.ignore
    if protocol == "semantic":
        found = classify(engine, embedded(labelled.image))
        painted = semantic_map(labelled, len(found))
        true = replace(
            Masks.from_arrays(np.stack([painted == label for label in found.label])),
            name=found.name,
        )
        return _plain(found, true, found.name, ignore)
    chosen = countable(labelled)
    true = labelled.objects[chosen]
    targets = tuple(
        f"{name or 'object'} {index + 1}" for index, name in zip(chosen, true.name, strict=True)
    )
    if not len(true):
        return _plain(true, true, targets, ignore)
    embedding = embedded(labelled.image)
    if protocol == "box":
        return _plain(box_results(engine, embedding, true), true, targets, ignore)
    curves = click_curves(engine, embedding, true, clicks=clicks, ignore=ignore)
    return Answer(
        found=concat([curve.masks[0] for curve in curves]),
        true=true,
        targets=targets,
        ignore=ignore,
        ious=tuple(tuple(curve.ious.tolist()) for curve in curves),
        oracle_ious=tuple(curve.oracle_iou for curve in curves),
    )


def _plain(found: Masks, true: Masks, targets: tuple[str, ...], ignore: BoolArray | None) -> Answer:
    """An answer without clicks."""
    count = len(targets)
    return Answer(found, true, targets, ignore, ((),) * count, (float("nan"),) * count)


def _cases(
    name: str, unit: tuple[Sample, ...], answers: list[Answer], tolerance: float
) -> Iterator[Case]:
    """The cases of a picture or volume."""
    first = unit[0]
    if first.volume is not None:
        for target in sorted({each for answer in answers for each in answer.true.name}):
            predicted, true, ignore = _stacked(target, unit, answers)
            measured = agreement(
                predicted, true, spacing=first.volume.spacing, tolerance=tolerance, ignore=ignore
            )
            yield Case(name, first.group, target or "object", measured)
        return
    (answer,) = answers
    for row, target in enumerate(answer.targets):
        measured = agreement(
            answer.found[row].to_array()[0],
            answer.true[row].to_array()[0],
            spacing=(1.0, 1.0),
            tolerance=tolerance,
            ignore=answer.ignore,
        )
        yield Case(name, first.group, target, measured, answer.ious[row], answer.oracle_ious[row])


def _stacked(
    target: str, unit: tuple[Sample, ...], answers: list[Answer]
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Predicted, true and ignored voxels (D, H, W) of a class; a slice without it is empty.

    Slices lie where their numbers say, so that distances are true where some are not there.
    """
    size, start = answers[0].true.size, place_of(unit[0])
    shape = (place_of(unit[-1]) - start + 1, size.height, size.width)
    predicted, true, ignore = np.zeros((3, *shape), np.bool_)
    for sample, answer in zip(unit, answers, strict=True):
        place = place_of(sample) - start
        rows = np.array([name == target for name in answer.true.name], np.bool_)
        predicted[place] = answer.found[rows].to_array().any(axis=0)
        true[place] = answer.true[rows].to_array().any(axis=0)
        if answer.ignore is not None:
            ignore[place] = answer.ignore
    return predicted, true, ignore
