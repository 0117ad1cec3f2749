"""Before and after: the model without and with its adapter, on pictures that decided nothing.

Writes no weights, so samples for testing may come in here, and here alone.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from samphire.arrays import BoolArray
from samphire.engines.torch_engine import TorchEngine
from samphire.evaluation.comparison import values
from samphire.evaluation.protocols import Case, Evaluation, Protocol, answer_for, evaluate
from samphire.evaluation.units import units
from samphire.images.preprocessing import preprocessing
from samphire.predict.embed import embed
from samphire.samples import Labelled, Sample
from samphire.tuning.report.before_after import choose
from samphire.tuning.report.case_picture import CasePicture, case_picture
from samphire.tuning.settings import TuneSettings
from samphire.tuning.validation import protocols
from samphire.weights.adapter_file import AdapterFile

Measured = Mapping[Protocol, tuple[Evaluation | None, Evaluation]]


def measure(
    engine: TorchEngine,
    adapter: AdapterFile,
    samples: Sequence[Sample],
    settings: TuneSettings,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Measure by the protocols of the run; and what prompts can still do, if it learned classes.

    Args:
        engine: the base.
        adapter: trained on it.
        samples: held out.
        settings: of the run.
        on_progress: called with samples done and in all, over all protocols.

    Returns:
        By protocol, before and after; before is None for classes, which the base does not know.

    Raises:
        DataError: nothing could be measured.
    """
    chosen = protocols(engine, settings)
    if not settings.interactive:
        boxes_only = preprocessing(engine.info.preprocessing).boxes_only
        chosen = (*chosen, "box" if boxes_only else "points")
    worn = engine.wearing(adapter)
    work = [
        (p, which) for p in chosen for which in (engine, worn) if p != "semantic" or which is worn
    ]
    found: dict[tuple[Protocol, bool], Evaluation] = {}
    for turn, (protocol, which) in enumerate(work):

        def told(done: int, count: int, turn: int = turn) -> None:
            if on_progress is not None:
                on_progress(turn * count + done, len(work) * count)

        found[protocol, which is worn] = evaluate(which, samples, protocol, on_progress=told)
    return {protocol: (found.get((protocol, False)), found[protocol, True]) for protocol in chosen}


def draw_cases(
    engine: TorchEngine, adapter: AdapterFile, samples: Sequence[Sample], measured: Measured
) -> list[CasePicture]:
    """The worst, the best and the most worsened cases of each protocol, asked again and drawn.

    Of a volume the slice is drawn that shows most of the case.

    Args:
        engine: the base.
        adapter: trained on it.
        samples: those that were measured.
        measured: by :func:`measure`.
    """
    worn = engine.wearing(adapter)
    parts = dict(units(samples))
    pictures = []
    for protocol, (before, after) in measured.items():
        shown = choose(None if before is None else values(before), values(after))
        for index in sorted({*shown.worst, *shown.best, *shown.worsened}):
            case = after.cases[index]
            labelled = _where_it_shows(case, parts[case.id])
            true, now = _masks(worn, labelled, protocol, case)
            was = None if before is None else _masks(engine, labelled, protocol, case)[1]
            pictures.append(
                CasePicture(
                    protocol=protocol,
                    id=case.id,
                    target=case.target,
                    before_dice=before.cases[index].agreement.dice if before else None,
                    after_dice=case.agreement.dice,
                    image=case_picture(labelled.image, true, was, now),
                )
            )
    return pictures


def _where_it_shows(case: Case, unit: tuple[Sample, ...]) -> Labelled:
    """The picture of a case; of a volume, the slice with most of it."""
    if unit[0].volume is None:
        return unit[0].read()
    areas = []
    for sample in unit:
        objects = sample.read().objects
        areas.append(
            sum(objects.area[[(name or "object") == case.target for name in objects.name]])
        )
    return unit[int(np.argmax(areas))].read()


def _masks(
    engine: TorchEngine, labelled: Labelled, protocol: Protocol, case: Case
) -> tuple[BoolArray, BoolArray]:
    """The true and the found mask of a case on a picture, (H, W)."""
    answer = answer_for(engine, labelled, lambda rgb: embed(engine, rgb), protocol)
    named = zip(answer.targets, answer.true.name, strict=True)
    # a case is an object of a picture, or a class of a volume
    rows = np.array([case.target in (one, kind or "object") for one, kind in named], np.bool_)
    true: BoolArray = np.logical_or.reduce(answer.true[rows].to_array(), axis=0)
    found: BoolArray = np.logical_or.reduce(answer.found[rows].to_array(), axis=0)
    return true, found
