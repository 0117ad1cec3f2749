"""What was measured, for people and for programs: a table, a JSON record, a CSV of the cases.

All three say the protocol and the pixels that were compared; means have their intervals over
groups, and what was missed, made up or could not be read is counted beside them. Not for how the
figures come about (``summary.py``, ``clicks.py``).
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samphire import atomic
from samphire.evaluation.clicks import summarise_clicks
from samphire.evaluation.everything import Proposals
from samphire.evaluation.interactive import MOST_CLICKS
from samphire.evaluation.intervals import Interval, bootstrap_interval, caution
from samphire.evaluation.protocols import Evaluation
from samphire.evaluation.summary import summarise

PROTOCOLS = {
    "points": "a click in the middle of each object, then in that of the largest error",
    "box": "the tight box of each object",
    "semantic": "no prompt, each class on each picture",
    "everything": "everything mode, how many of the objects are among its masks",
}
PIXELS = "original pixels, masks cut at logit 0"


@dataclass(frozen=True)
class Figure:
    """A mean with its interval, or a number without.

    Attributes:
        key: in JSON.
        words: in the table.
        value: of the cases.
    """

    key: str
    words: str
    value: Interval | float


@dataclass(frozen=True)
class Report:
    """What a measurement comes to.

    Attributes:
        protocol: its name.
        cases: how many, an object, class or picture each.
        groups: how many, of which the intervals are drawn.
        figures: means, then numbers.
        failures: what could not be read, and why.
        without_objects: what there was nothing to find on.
    """

    protocol: str
    cases: int
    groups: int
    figures: tuple[Figure, ...]
    failures: tuple[tuple[str, str], ...]
    without_objects: tuple[str, ...]


def report(measured: Evaluation | Proposals) -> Report:
    """The figures of a measurement; the same for the same cases in any order."""
    cases = measured.cases if isinstance(measured, Evaluation) else measured.pictures
    figures = _figures(measured) if isinstance(measured, Evaluation) else _recalls(measured)
    return Report(
        protocol=measured.protocol if isinstance(measured, Evaluation) else "everything",
        cases=len(cases),
        groups=len({case.group for case in cases}),
        figures=tuple(figures),
        failures=measured.failures,
        without_objects=measured.without_objects,
    )


def as_json(found: Report) -> dict[str, Any]:
    """A record for ``json.dumps``; numbers that are not there are null."""
    return {
        "protocol": found.protocol,
        "pixels": PIXELS,
        "cases": found.cases,
        "groups": found.groups,
        "figures": {figure.key: _value(figure.value) for figure in found.figures},
        "failures": [{"id": name, "error": error} for name, error in found.failures],
        "without_objects": list(found.without_objects),
    }


def interval_as_json(interval: Interval) -> dict[str, Any]:
    """``mean``, ``low`` and ``high``; the ends are null where there is one group only."""
    ends = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {name: _number(value) for name, value in ends.items()}


def in_words(columns: Mapping[str, Report]) -> Iterator[str]:
    """A table, line by line.

    Args:
        columns: reports of the same protocol and samples, by what was measured.
    """
    first = next(iter(columns.values()))
    yield f"{first.protocol}: {PROTOCOLS[first.protocol]}"
    yield (
        f"{_counted(first.cases, 'case')} in {_counted(first.groups, 'group')}, {PIXELS}; "
        + (
            f"mean (95 % interval over groups{caution(first.groups)})"
            if first.groups > 1
            else "mean, no interval"
        )
    )
    rows = [["", *columns]]
    for at, figure in enumerate(first.figures):
        values = (each.figures[at].value for each in columns.values())
        rows.append([figure.words, *(value_in_words(value) for value in values)])
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if first.without_objects:
        yield f"without objects, not measured: {len(first.without_objects)}"
    for name, error in first.failures:
        yield f"not measured: {name}: {error}"


def value_in_words(value: Interval | float, sign: str = "") -> str:
    """A number, and its interval if it has one.

    >>> value_in_words(Interval(0.5, 0.25, 0.75, groups=3))
    '0.500 (0.250 to 0.750)'
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:{sign}.3f}"
    ends = f" ({value.low:{sign}.3f} to {value.high:{sign}.3f})"
    return f"{value.mean:{sign}.3f}" + ("" if math.isnan(value.low) else ends)


def write_cases(path: Path, measured: Evaluation | Proposals) -> None:
    """A CSV with a row a case, whole or not at all; what is not there is an empty cell."""
    rows = _case_rows(measured) if isinstance(measured, Evaluation) else _picture_rows(measured)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({key: _number(value) for key, value in row.items()})
    atomic.write_bytes(path, text.getvalue().encode())


def _figures(measured: Evaluation) -> Iterator[Figure]:
    cases = measured.cases
    summary = summarise([case.agreement for case in cases], [case.group for case in cases])
    unit = "mm" if summary.boundary_iou is None else "px"
    near = f"{measured.tolerance:g} {unit}"
    first_click = " after 1 click" if measured.protocol == "points" else ""
    yield Figure("dice", f"Dice{first_click}", summary.dice)
    if summary.dice_of_objects is not None and summary.n_true_empty:
        yield Figure("dice_of_objects", "Dice where there is one", summary.dice_of_objects)
    yield Figure("iou", f"IoU{first_click}", summary.iou)
    yield Figure(f"hd95_{unit}", f"HD95, {unit}, less is better", summary.hausdorff_95)
    yield Figure("nsd", f"surface Dice within {near}", summary.surface_dice)
    if summary.boundary_iou is not None:
        yield Figure("boundary_iou", "boundary IoU", summary.boundary_iou)
    if measured.protocol == "semantic":
        yield from _by_class(measured)
    if measured.protocol == "points":
        yield from _by_clicks(measured)
    yield Figure("pooled_dice", "Dice of all pixels together", summary.pooled_dice)
    yield Figure("pooled_iou", "IoU of all pixels together", summary.pooled_iou)
    yield Figure("true_empty", "cases with nothing to find", summary.n_true_empty)
    yield Figure("missed", "missed: nothing found", summary.n_missed)
    yield Figure("false", "made up: nothing there", summary.n_false)


def _by_class(measured: Evaluation) -> Iterator[Figure]:
    for name in sorted({case.target for case in measured.cases}):
        own = [case for case in measured.cases if case.target == name]
        dice = [case.agreement.dice for case in own]
        groups = [case.group for case in own]
        yield Figure(f"dice_{name}", f"Dice of {name}", bootstrap_interval(dice, groups))


def _by_clicks(measured: Evaluation) -> Iterator[Figure]:
    found = summarise_clicks(measured.cases)
    if found is None:
        return
    for clicks, value in found.iou_at:
        words = f"mIoU after {_counted(clicks, 'click')}"
        yield Figure(f"miou_at_{clicks}", words, value)
    yield Figure("oracle_miou_at_1", "mIoU of the best of 3 after 1 click", found.oracle)
    for each in found.number_of_clicks:
        percent = f"{100 * each.target:.0f}"
        words = f"clicks to an IoU of {each.target:.2f}"
        yield Figure(f"noc_{percent}", words, each.clicks)
        never = f"  never reached, counted as {MOST_CLICKS}"
        yield Figure(f"noc_{percent}_never", never, each.never)


def _recalls(measured: Proposals) -> Iterator[Figure]:
    pooled = measured.pooled
    masks = [float(picture.masks) for picture in measured.pictures]
    groups = [picture.group for picture in measured.pictures]
    yield Figure("ar_1000", "AR@1000, mean of pictures", measured.mean)
    yield Figure("masks", "masks on a picture", bootstrap_interval(masks, groups))
    yield Figure("pooled_ar_1000", "AR@1000 of all objects", pooled.all)
    yield Figure("pooled_ar_1000_small", "  of those up to 32² pixels", pooled.small)
    yield Figure("pooled_ar_1000_medium", "  of those up to 96² pixels", pooled.medium)
    yield Figure("pooled_ar_1000_large", "  of larger ones", pooled.large)
    yield Figure("objects", "objects to find", pooled.truths)


def _case_rows(measured: Evaluation) -> Sequence[Mapping[str, Any]]:
    clicks = max(len(case.ious) for case in measured.cases)
    oracle = clicks > 0
    return [
        {
            "id": case.id,
            "group": case.group,
            "target": case.target,
            "dice": case.agreement.dice,
            "iou": case.agreement.iou,
            "hd95": case.agreement.hausdorff_95,
            "nsd": case.agreement.surface_dice,
            "boundary_iou": case.agreement.boundary_iou,
            "intersection": case.agreement.intersection,
            "predicted_pixels": case.agreement.predicted_pixels,
            "true_pixels": case.agreement.true_pixels,
            **({"oracle_iou": case.oracle_iou} if oracle else {}),
            **{
                f"iou_at_{n}": case.ious[n - 1] if n <= len(case.ious) else float("nan")
                for n in range(1, clicks + 1)
            },
        }
        for case in measured.cases
    ]


def _picture_rows(measured: Proposals) -> Sequence[Mapping[str, Any]]:
    return [
        {
            "id": picture.id,
            "group": picture.group,
            "ar_1000": picture.average_recall,
            "objects": int(picture.recall.truths[0]),
            "masks": picture.masks,
        }
        for picture in measured.pictures
    ]


def _value(value: Interval | float) -> Any:  # noqa: ANN401 - what JSON holds
    return interval_as_json(value) if isinstance(value, Interval) else _number(value)


def _number(value: Any) -> Any:  # noqa: ANN401 - a cell
    return None if isinstance(value, float) and math.isnan(value) else value


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
