"""The sections of a run's report as HTML text: numbers, curves, cases, pictures, what trained.

Every text from outside is escaped here. Not for what the numbers are (``comparison.py``), how
charts are drawn (``charts.py``), nor the page around the sections (``report.py``).
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from samphire.evaluation.intervals import Interval
from samphire.evaluation.protocols import Case, Evaluation
from samphire.images.shrink import jpeg
from samphire.tuning import charts
from samphire.tuning.case_picture import GAP, PANEL, CasePicture
from samphire.tuning.charts import Line, Mark
from samphire.tuning.comparison import SAME, Comparison, choose, dices, gain

PROTOCOLS = {"points": "One click", "box": "Box", "semantic": "Classes, without prompts"}
# Rows of a table of cases; the file of all cases has the others.
ROWS = 200


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


def number(value: float, digits: int = 3) -> str:
    """A number with a true minus; ``n/a`` for one that is none."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "n/a"


def signed(value: float, digits: int = 3) -> str:
    """A difference; zero has no sign."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and float(f"{value:.{digits}f}") else text


def overview(comparisons: Mapping[str, Comparison]) -> str:
    """The table at the top: a row a protocol."""
    head = ("Asked with", "Cases", "Groups", "Dice before", "Dice after", "Difference")
    rows = []
    for protocol, compared in comparisons.items():
        change, before, after = compared.change, compared.before, compared.after
        rows.append(
            [
                escape(PROTOCOLS.get(protocol, protocol)),
                str(after.n),
                str(after.dice.groups),
                "n/a" if before is None else _interval(before.dice),
                _interval(after.dice),
                "n/a" if change is None else f"<b>{_interval(change.dice, sign=True)}</b>",
                *(
                    ("n/a",) * 3
                    if change is None
                    else (str(change.better), str(change.equal), str(change.worse))
                ),
            ]
        )
    return _table((*head, "Better", "Equal", "Worse"), rows, "Mean Dice, with 95 % intervals")


def verdict(compared: Comparison) -> str:
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
    between = f"95 % interval {signed(change.low)} to {signed(change.high)}"
    if change.low > 0 or change.high < 0:
        how = "rose" if change.mean > 0 else "fell"
        return f"Mean Dice {how} by {number(abs(change.mean))} ({between})."
    return f"Mean Dice did not clearly change: {signed(change.mean)} ({between})."


def measures(compared: Comparison, unit: str) -> str:
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
        if found is not None:
            past = getattr(before, key, None)
            moved = getattr(change, key, None)
            rows.append(
                [
                    name,
                    "n/a" if past is None else _interval(past, digits),
                    _interval(found, digits),
                    "" if moved is None else _interval(moved, digits, sign=True),
                ]
            )
    for name, key in (("Pooled Dice", "pooled_dice"), ("Pooled IoU", "pooled_iou")):
        past = "n/a" if before is None else number(getattr(before, key))
        rows.append([name, past, number(getattr(after, key)), ""])
    for name, key in (("Missed cases", "n_missed"), ("False cases", "n_false")):
        past = "n/a" if before is None else str(getattr(before, key))
        rows.append([name, past, str(getattr(after, key)), ""])
    return _table(("Measure", "Before", "After", "Difference"), rows, "Means over cases")


def scatter(before: Evaluation, after: Evaluation) -> str:
    """Each case as a point."""
    left, right = dices(before), dices(after)
    gained = gain(left, right)
    better, worse = int((gained > SAME).sum()), int((gained < -SAME).sum())
    title = (
        f"Dice of {len(left)} cases before and after tuning: {better} are higher, {worse} lower by "
        f"more than {SAME}"
    )
    return (
        f'<figure class="cloud">{charts.cloud(left, right, SAME, title=title)}'
        '<figcaption class="legend"><span><i class="better"></i>better</span>'
        '<span><i class="equal"></i>equal</span><span><i class="worse"></i>worse</span>'
        "</figcaption></figure>"
    )


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


def case_table(before: Evaluation | None, after: Evaluation, unit: str, csv: str) -> str:
    """The cases, worst first."""
    order = np.argsort(dices(after), kind="stable").tolist()
    rows = [
        _case_row(None if before is None else before.cases[index], after.cases[index])
        for index in order[:ROWS]
    ]
    head = ("Picture", "Object", "Dice before", "Dice after", "Difference", "NSD", f"HD95, {unit}")
    table = _table(head, rows, "", texts=2)
    named = f" All are in <code>{escape(csv)}</code>." if csv else ""
    more = f"<p>The {ROWS} worst of {len(order)} cases.</p>" if len(order) > ROWS else ""
    return (
        f"<details><summary>Cases, the worst first ({len(order)})</summary>{more}{table}"
        f"<p>NSD and HD95 are of after tuning.{named}</p></details>"
    )


def pictures(shown: Sequence[CasePicture]) -> str:
    """Those of one protocol: the worst, the best, the most worsened."""
    if not shown:
        return ""
    after = np.array([picture.after_dice for picture in shown])
    past = [picture.before_dice for picture in shown]
    known = [value for value in past if value is not None]
    chosen = choose(np.array(known) if len(known) == len(past) else None, after)
    kinds = {"Fell most": chosen.worsened, "Worst": chosen.worst, "Best": chosen.best}
    return "".join(
        f'<h3>{name}</h3><div class="cases">{"".join(_figure(shown[i]) for i in places)}</div>'
        for name, places in kinds.items()
        if places
    )


def trained(parts: Sequence[TrainedPart], parameters: int) -> str:
    """What trained, and its share of the model."""
    total = sum(part.parameters for part in parts)
    rows = [[escape(part.name), f"{part.tensors:,}", f"{part.parameters:,}"] for part in parts]
    rows.append(["<b>Together</b>", f"{sum(part.tensors for part in parts):,}", f"{total:,}"])
    share = f"{100 * total / parameters:.2f} % of {parameters:,} parameters" if parameters else ""
    return _table(("Part", "Tensors", "Parameters"), rows, share)


def facts(values: Mapping[str, str]) -> str:
    """Names with their values."""
    pairs = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values.items())
    return f"<dl>{''.join(pairs)}</dl>"


def sentences(texts: Sequence[str], kind: str) -> str:
    """A list; nothing if it is empty."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, texts: int = 1) -> str:
    """Cells are HTML already; the first one of a row is its header, ``texts`` are not numbers."""
    titles = "".join(
        f'<th scope="col"{_text(place < texts)}>{escape(title)}</th>'
        for place, title in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row">{first}</th>'
        + "".join(f"<td{_text(at < texts)}>{cell}</td>" for at, cell in enumerate(rest, start=1))
        + "</tr>"
        for first, *rest in rows
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide" tabindex="0"><table>{told}<thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _text(*conditions: bool) -> str:
    return ' class="text"' if all(conditions) else ""


def _interval(found: Interval, digits: int = 3, *, sign: bool = False) -> str:
    show = signed if sign else number
    if math.isnan(found.low):
        return f"{show(found.mean, digits)} <small>interval n/a</small>"
    low, high = show(found.low, digits), show(found.high, digits)
    return f"{show(found.mean, digits)} <small>{low} to {high}</small>"


def _part(name: str) -> str:
    protocol = name.removeprefix("dice_")
    return PROTOCOLS.get(protocol, protocol).lower()


def _case_row(before: Case | None, after: Case) -> list[str]:
    found = after.agreement
    past = None if before is None else before.agreement.dice
    return [
        escape(after.id),
        escape(after.target),
        "n/a" if past is None else number(past),
        number(found.dice),
        "n/a" if past is None else signed(found.dice - past),
        number(found.surface_dice),
        number(found.hausdorff_95, 1),
    ]


def _figure(picture: CasePicture) -> str:
    before = picture.before_dice
    name = f"{picture.id}, {picture.target}"
    panels = "truth, after" if before is None else "before, truth, after"
    told = f"Dice {number(picture.after_dice)}"
    if before is not None:
        told = f"Dice {number(before)} \N{RIGHTWARDS ARROW} {number(picture.after_dice)}"
    data = base64.b64encode(jpeg(picture.image, 3 * PANEL + 2 * GAP)).decode()
    height, width = picture.image.shape[:2]
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(f"{name}: {panels}. {told}")}">'
        f"<figcaption><b>{told}</b> <span>{escape(name)}</span></figcaption></figure>"
    )
