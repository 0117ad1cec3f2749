"""What many click curves come to: mIoU after n clicks, and how many clicks good masks take.

Not for one object (``interactive.py``). Sources: Kirillov et al. 2023, sections 7.1 and D.1; for
the number of clicks Sofiiuk et al. 2021 (RITM), section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from samphire.evaluation.interactive import MOST_CLICKS, number_of_clicks, reached
from samphire.evaluation.intervals import Interval, bootstrap_interval
from samphire.evaluation.protocols import Case

SHOWN_CLICKS = (1, 2, 3, 5, 9)
TARGETS = (0.85, 0.90)


@dataclass(frozen=True)
class NumberOfClicks:
    """NoC at one target.

    Attributes:
        target: the IoU to be reached.
        clicks: mean over the objects; one that never gets there counts 20.
        never: how many never got there.
    """

    target: float
    clicks: Interval
    never: int


@dataclass(frozen=True)
class ClickSummary:
    """Click curves of many objects.

    Attributes:
        iou_at: number of clicks and the mean IoU after them, for 1, 2, 3, 5 and 9 as far as they
            were given.
        oracle: mean over the objects of the best of three masks after the first click.
        number_of_clicks: for an IoU of 0.85 and 0.90; empty unless 20 clicks were given.
    """

    iou_at: tuple[tuple[int, Interval], ...]
    oracle: Interval
    number_of_clicks: tuple[NumberOfClicks, ...]


def summarise_clicks(cases: Sequence[Case]) -> ClickSummary | None:
    """Sum up the click curves of cases; None where there are none, as in volumes."""
    curves = [case.ious for case in cases if case.ious]
    if not curves:
        return None
    groups = [case.group for case in cases if case.ious]
    given = min(len(curve) for curve in curves)
    return ClickSummary(
        iou_at=tuple(
            (clicks, bootstrap_interval([curve[clicks - 1] for curve in curves], groups))
            for clicks in SHOWN_CLICKS
            if clicks <= given
        ),
        oracle=bootstrap_interval([case.oracle_iou for case in cases if case.ious], groups),
        number_of_clicks=tuple(
            NumberOfClicks(
                target,
                bootstrap_interval([number_of_clicks(ious, target) for ious in curves], groups),
                sum(not reached(ious, target) for ious in curves),
            )
            for target in TARGETS
            if given >= MOST_CLICKS
        ),
    )
