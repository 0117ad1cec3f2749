"""Two measurements of the same cases: what is paired, counted and refused."""

import numpy as np
import pytest

from samphire.errors import DataError
from samphire.evaluation.agreement import Agreement
from samphire.evaluation.comparison import compare, values
from samphire.evaluation.everything import Picture, Proposals
from samphire.evaluation.intervals import paired_interval
from samphire.evaluation.protocols import Case, Evaluation
from samphire.evaluation.recall import AREAS, IOU_THRESHOLDS, Recall

BEFORE = (0.9, 0.5, 0.80, 0.80, 0.30)
AFTER = (0.8, 0.9, 0.81, 0.79, 0.62)


def measured(dices, groups="abcde"):
    cases = [
        Case(f"{place}.png", group, "object 1", Agreement(dice, 0, 0, 0, 0, 50, 100, 100))
        for place, (dice, group) in enumerate(zip(dices, groups, strict=False))
    ]
    return Evaluation("points", 2.0, tuple(cases))


def proposals(*found):
    """A picture for each number of objects found, of ten, at every threshold."""
    truths = np.full(len(AREAS), 10)
    pictures = [
        Picture(
            str(at), str(at), Recall(np.full((len(AREAS), len(IOU_THRESHOLDS)), each), truths), 9
        )
        for at, each in enumerate(found)
    ]
    return Proposals(tuple(pictures))


def test_differences_are_paired_and_those_of_a_hundredth_are_equal():
    found = compare(measured(BEFORE), measured(AFTER))
    assert found.measure == "Dice"
    assert found.difference == paired_interval(BEFORE, AFTER, list("abcde"))
    assert (found.better, found.equal, found.worse, found.n) == (2, 2, 1, 5)
    assert values(measured(AFTER)).tolist() == list(AFTER)


def test_pictures_of_everything_mode_are_compared_by_recall():
    found = compare(proposals(2, 6), proposals(4, 6))
    assert found.measure == "AR@1000"
    assert found.difference.mean == pytest.approx(0.1)
    assert (found.better, found.equal, found.worse) == (1, 1, 0)


def test_other_cases_are_refused_and_so_is_another_order():
    with pytest.raises(DataError, match=r"4 cases before and 5 after.*4\.png object 1"):
        compare(measured(BEFORE[:4]), measured(AFTER))
    after = measured(AFTER)
    turned = Evaluation("points", 2.0, after.cases[::-1])
    with pytest.raises(DataError, match="in their order"):
        compare(turned, after)
