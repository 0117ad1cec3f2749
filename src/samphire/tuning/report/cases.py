"""The cases of a run's report as HTML text: a cloud of points, a table, pictures.

Every text from outside is escaped here. Not for how a case is drawn (``case_picture.py``), nor for
what all cases come to (``sections.py``).
"""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np

from samphire.evaluation.comparison import SAME, compare, values
from samphire.evaluation.protocols import Case, Evaluation
from samphire.images.shrink import jpeg
from samphire.tuning.report import charts
from samphire.tuning.report.before_after import choose
from samphire.tuning.report.case_picture import GAP, PANEL, PREDICTED, TRUE, CasePicture
from samphire.tuning.report.text import number, signed, table

# Rows of a table of cases; the file of all cases has the others.
ROWS = 200


def scatter(before: Evaluation, after: Evaluation) -> str:
    """Each case as a point."""
    left, right, found = values(before), values(after), compare(before, after)
    title = (
        f"Dice of {len(left)} cases before and after tuning: {found.better} are higher, "
        f"{found.worse} lower by more than {SAME}"
    )
    return (
        f'<figure class="cloud">{charts.cloud(left, right, SAME, title=title)}'
        '<figcaption class="legend"><span><i class="better"></i>better</span>'
        '<span><i class="equal"></i>equal</span><span><i class="worse"></i>worse</span>'
        "</figcaption></figure>"
    )


def case_table(before: Evaluation | None, after: Evaluation, unit: str, csv: str) -> str:
    """The cases, worst first."""
    order = np.argsort(values(after), kind="stable").tolist()
    rows = [
        _case_row(None if before is None else before.cases[index], after.cases[index])
        for index in order[:ROWS]
    ]
    head = ("Picture", "Object", "Dice before", "Dice after", "Difference", "NSD", f"HD95, {unit}")
    listed = table(head, rows, "", texts=2)
    named = f" All are in <code>{escape(csv)}</code>." if csv else ""
    more = f"<p>The {ROWS} worst of {len(order)} cases.</p>" if len(order) > ROWS else ""
    return (
        f"<details><summary>Cases, the worst first ({len(order)})</summary>{more}{listed}"
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
    inks = (("truth", TRUE), ("predicted", PREDICTED))
    keys = "".join(f'<span><i style="background: rgb{ink}"></i>{name}</span>' for name, ink in inks)
    panels = "truth, after" if shown[0].before_dice is None else "before, truth, after"
    return f'<p class="legend panels"><span>From left: {panels}</span>{keys}</p>' + "".join(
        f'<h3>{name}</h3><div class="cases">{"".join(_figure(shown[i]) for i in places)}</div>'
        for name, places in kinds.items()
        if places
    )


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
