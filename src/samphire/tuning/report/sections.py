"""The sections of a run's report as HTML text: results, measures, curves, what trained.

Every text from outside is escaped here. Not for what the numbers are (``before_after.py``), how
charts are drawn (``charts.py``), single cases (``cases.py``), nor the page around the
sections (``report.py``).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from samphire.evaluation.intervals import caution
from samphire.tuning.report import charts
from samphire.tuning.report.before_after import BeforeAfter
from samphire.tuning.report.charts import Line, Mark
from samphire.tuning.report.text import PROTOCOLS, interval, number, signed, table


@dataclass(frozen=True)
class TrainedPart:
    """A part of the model that trained.

    Attributes:
        name: for people, such as ``mask decoder``.
        tensors: how many.
        parameters: in all of them.
    """

    name: str
    tensors: int
    parameters: int


def overview(comparisons: Mapping[str, BeforeAfter]) -> str:
    """The table at the top: a row a protocol."""
    head = ("Asked with", "Dice before", "Dice after", "Difference", "Better", "Equal", "Worse")
    rows = []
    for protocol, compared in comparisons.items():
        change, before, after = compared.change, compared.before, compared.after
        rows.append(
            [
                escape(PROTOCOLS.get(protocol, protocol)),
                "n/a" if before is None else interval(before.dice),
                interval(after.dice),
                "n/a" if change is None else f"<b>{interval(change.dice, sign=True)}</b>",
                *(
                    ("n/a",) * 3
                    if change is None
                    else (
                        str(change.cases.better),
                        str(change.cases.equal),
                        str(change.cases.worse),
                    )
                ),
                str(after.n),
                str(after.dice.groups),
            ]
        )
    return table((*head, "Cases", "Groups"), rows, "Mean Dice, with 95 % intervals")


def verdict(compared: BeforeAfter) -> str:
    """What the difference says, in a sentence."""
    after = compared.after
    if compared.change is None:
        return f"Mean Dice is {number(after.dice.mean)}; the base cannot be asked in this way."
    change = compared.change.dice
    if math.isnan(change.low):
        return (
            f"Mean Dice changed by {signed(change.mean)}. All cases are of one group, which says "
            "nothing about others."
        )
    between = f"95 % interval {signed(change.low)} to {signed(change.high)}{caution(change.groups)}"
    if change.low > 0 or change.high < 0:
        how = "rose" if change.mean > 0 else "fell"
        return f"Mean Dice {how} by {number(abs(change.mean))} ({between})."
    return f"Mean Dice did not clearly change: {signed(change.mean)} ({between})."


def measures(compared: BeforeAfter, unit: str) -> str:
    """All measures of a protocol: before, after, difference."""
    before, after, change = compared.before, compared.after, compared.change
    rows = []
    for name, key, digits in (
        ("Dice", "dice", 3),
        ("IoU", "iou", 3),
        ("NSD", "surface_dice", 3),
        (f"HD95, {unit}, less is better", "hausdorff_95", 1),
        ("Boundary IoU", "boundary_iou", 3),
        ("Dice where there is an object", "dice_of_objects", 3),
    ):
        found = getattr(after, key)
        told_already = key == "dice_of_objects" and not after.n_true_empty
        if found is not None and not told_already:
            past = getattr(before, key, None)
            moved = getattr(change, key, None)
            rows.append(
                [
                    name,
                    "n/a" if past is None else interval(past, digits),
                    interval(found, digits),
                    "" if moved is None else interval(moved, digits, sign=True),
                ]
            )
    for name, key in (("Pooled Dice", "pooled_dice"), ("Pooled IoU", "pooled_iou")):
        past = "n/a" if before is None else number(getattr(before, key))
        rows.append([name, past, number(getattr(after, key)), ""])
    for name, key in (("Missed cases", "n_missed"), ("False cases", "n_false")):
        past = "n/a" if before is None else str(getattr(before, key))
        rows.append([name, past, str(getattr(after, key)), ""])
    return table(("Measure", "Before", "After", "Difference"), rows, "Means over cases")


def curves(log: Sequence[Mapping[str, Any]]) -> str:
    """Loss by step, and the scores of the validation by epoch; nothing without a log."""
    steps = [entry for entry in log if "loss" in entry]
    epochs = [entry for entry in log if "score" in entry]
    drawn = ""
    if steps:
        x, loss = (np.array([entry[key] for entry in steps], float) for key in ("step", "loss"))
        window = max(1, len(loss) // 20)
        smoothed = charts.smooth(loss, window)
        lines = [Line("each step", x, loss, faint=True)]
        lines += [Line(f"mean over {window} steps", x, smoothed)] if window > 1 else []
        title = f"Loss by step, from {loss[0]:.3g} to {loss[-1]:.3g} in {len(loss)} steps"
        drawn += charts.line_chart(lines, title=title, x_name="step", y_name="Loss")
    if epochs:
        best = max(epochs, key=lambda entry: float(entry["score"]))
        x = np.array([entry["epoch"] for entry in epochs], float)
        names = sorted({key for entry in epochs for key in entry if key.startswith("dice_")})
        parts = [name for name in names if all(name in entry for entry in epochs)]
        lines = [
            Line(_part(name), x, np.array([entry[name] for entry in epochs], float), series=place)
            for place, name in enumerate(parts, start=1)
            if len(parts) > 1
        ]
        score = np.array([entry["score"] for entry in epochs], float)
        lines.append(Line("mean of them" if lines else "score", x, score, dots=len(x) <= 60))
        told = f"best: epoch {best['epoch']}, {best['score']:.3f}"
        drawn += charts.line_chart(
            lines,
            title=f"Dice on the validation set by epoch; {told}",
            x_name="epoch",
            y_name="Dice on the validation set",
            mark=Mark(best["epoch"], best["score"], told),
        )
    return drawn


def trained(parts: Sequence[TrainedPart], parameters: int) -> str:
    """What trained, and its share of the model."""
    total = sum(part.parameters for part in parts)
    rows = [[escape(part.name), f"{part.tensors:,}", f"{part.parameters:,}"] for part in parts]
    rows.append(["<b>Together</b>", f"{sum(part.tensors for part in parts):,}", f"{total:,}"])
    share = f"{100 * total / parameters:.2f} % of {parameters:,} parameters" if parameters else ""
    return table(("Part", "Tensors", "Parameters"), rows, share)


def _part(name: str) -> str:
    protocol = name.removeprefix("dice_")
    return PROTOCOLS.get(protocol, protocol).lower()
