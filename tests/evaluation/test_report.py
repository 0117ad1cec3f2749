"""Reports: the figures of a table, JSON and CSV, click summaries and comparisons, by hand."""

import csv
import json

import numpy as np
import pytest

from samphire.evaluation.agreement import agreement
from samphire.evaluation.clicks import summarise_clicks
from samphire.evaluation.everything import Picture, Proposals
from samphire.evaluation.intervals import Interval, bootstrap_interval
from samphire.evaluation.protocols import Case, Evaluation
from samphire.evaluation.recall import recall
from samphire.evaluation.report import (
    as_json,
    in_words,
    interval_as_json,
    report,
    value_in_words,
    write_cases,
)
from samphire.masks import Masks


def row(*places, shape=(1, 20)):
    mask = np.zeros(shape, np.bool_)
    mask[..., list(places)] = True
    return mask


def case(name, predicted, true, *, target="disc 1", group=None, ious=(), oracle=float("nan")):
    shape = predicted.shape
    found = agreement(predicted, true, spacing=(1.0,) * len(shape))
    return Case(name, group or name, target, found, ious, oracle)


def half(name, **more):
    return case(name, row(0, 1), row(1, 2), **more)


def exact(name, **more):
    return case(name, row(0, 1), row(0, 1), **more)


def box(*cases, failures=(), without=()):
    return Evaluation("box", 2.0, cases, failures, without)


def curves():
    """One object gets to 0.85 with the third click and never to 0.9, the other at once to both."""
    slow = (0.5, 0.6, 0.85, *[0.86] * 17)
    return (
        half("a", ious=slow, oracle=0.7),
        exact("b", ious=(0.95,) * 20, oracle=0.96),
    )


def table(report_of):
    return {line.split("  ")[0]: line for line in in_words({"x": report(report_of)})}


def test_figures_are_means_with_intervals_and_counts():
    found = as_json(report(box(half("a"), exact("b"), case("c", row(), row(3)))))
    dice = [0.5, 1.0, 0.0]
    assert (found["protocol"], found["cases"], found["groups"]) == ("box", 3, 3)
    expected = bootstrap_interval(dice, ["a", "b", "c"])
    assert found["figures"]["dice"] == interval_as_json(expected)
    assert found["figures"]["missed"] == 1
    assert found["figures"]["false"] == found["figures"]["true_empty"] == 0
    assert found["figures"]["pooled_dice"] == pytest.approx(2 * 3 / 9)
    assert "dice_of_objects" not in found["figures"]
    assert "original pixels" in found["pixels"]
    json.dumps(found, allow_nan=False)


def test_what_was_not_measured_is_in_the_record_and_the_table():
    found = report(box(exact("a"), failures=(("b", "b is cut off"),), without=("c", "d")))
    assert as_json(found)["failures"] == [{"id": "b", "error": "b is cut off"}]
    assert as_json(found)["without_objects"] == ["c", "d"]
    lines = list(in_words({"x": found}))
    assert lines[-2:] == [
        "without objects, not measured: 2",
        "not measured: b: b is cut off",
    ]


def test_intervals_over_few_groups_are_printed_with_a_caution():
    few, many = (
        list(in_words({"x": report(box(*(half(f"{at}") for at in range(count))))}))[1]
        for count in (5, 6)
    )
    assert few.endswith("mean (95 % interval over groups, of 5 groups only, so too narrow)")
    assert many.endswith("mean (95 % interval over groups)")


def test_the_order_of_cases_changes_no_figure():
    rng = np.random.default_rng(0)
    cases = [
        case(f"{at}", row(*rng.choice(20, 5, replace=False)), row(*range(7)), group=f"{at % 3}")
        for at in range(12)
    ]
    forwards, backwards = report(box(*cases)), report(box(*cases[::-1]))
    for one, other in zip(forwards.figures, backwards.figures, strict=True):
        assert value_in_words(one.value) == value_in_words(other.value)


def test_two_reports_are_columns_of_one_table():
    columns = {"base": report(box(half("a"))), "adapter": report(box(exact("a")))}
    lines = list(in_words(columns))
    assert lines[0] == "box: the tight box of each object"
    assert lines[1] == (
        "1 case in 1 group, original pixels, masks cut at logit 0; mean, no interval"
    )
    assert lines[2].split() == ["base", "adapter"]
    assert lines[3].split() == ["Dice", "0.500", "1.000"]
    assert lines[2].index("adapter") == lines[3].index("1.000")


def test_volumes_are_told_in_millimetres_and_have_no_boundary_iou():
    volume = case("v", row(0, 1, shape=(2, 3, 20)), row(1, 2, shape=(2, 3, 20)))
    lines = table(box(volume))
    assert "HD95, mm, less is better" in lines
    assert "surface Dice within 2 mm" in lines
    assert "boundary IoU" not in lines
    assert "hd95_mm" in as_json(report(box(volume)))["figures"]
    assert "HD95, px, less is better" in table(box(exact("a")))


def test_clicks_are_summed_up_by_hand():
    found = summarise_clicks(curves())
    means = {clicks: interval.mean for clicks, interval in found.iou_at}
    assert means == pytest.approx({1: 0.725, 2: 0.775, 3: 0.9, 5: 0.905, 9: 0.905})
    assert found.oracle.mean == pytest.approx(0.83)
    good, better = found.number_of_clicks
    assert (good.target, good.clicks.mean, good.never) == (0.85, (3 + 1) / 2, 0)
    assert (better.target, better.clicks.mean, better.never) == (0.90, (20 + 1) / 2, 1)


def test_few_clicks_tell_what_they_can():
    few = [half("a", ious=(0.5, 0.6), oracle=0.5)]
    found = summarise_clicks(few)
    assert [clicks for clicks, _ in found.iou_at] == [1, 2]
    assert found.number_of_clicks == ()
    assert summarise_clicks([half("a")]) is None


def test_clicks_are_lines_of_the_table():
    lines = table(Evaluation("points", 2.0, curves()))
    assert "0.725" in lines["mIoU after 1 click"]
    assert "0.830" in lines["mIoU of the best of 3 after 1 click"]
    assert "10.500" in lines["clicks to an IoU of 0.90"]
    assert "Dice after 1 click" in lines
    figures = as_json(report(Evaluation("points", 2.0, curves())))["figures"]
    assert (figures["noc_85_never"], figures["noc_90_never"]) == (0, 1)


def test_each_class_has_its_dice_and_what_is_there_is_told_apart():
    cases = (half("a", target="left"), case("a", row(), row(), target="right"))
    lines = table(Evaluation("semantic", 2.0, cases))
    assert "0.500" in lines["Dice of left"]
    assert "1.000" in lines["Dice of right"]
    assert "0.750" in lines["Dice"]
    assert "0.500" in lines["Dice where there is one"]


def test_recalls_have_figures_of_their_own():
    object_ = Masks.from_arrays(np.ones((1, 4, 4)))
    missed = recall(object_[:0], object_)
    found = Proposals(
        (Picture("a", "a", recall(object_, object_), 5), Picture("b", "b", missed, 2))
    )
    record = as_json(report(found))
    assert record["protocol"] == "everything"
    assert record["figures"]["ar_1000"]["mean"] == 0.5
    assert record["figures"]["pooled_ar_1000_large"] is None
    assert record["figures"]["masks"]["mean"] == 3.5


def test_cases_are_rows_that_read_back_exactly(tmp_path):
    cases = (*curves(), half("c, d", target='"x"', ious=(0.25,), oracle=0.5))
    write_cases(tmp_path / "cases.csv", Evaluation("points", 2.0, cases))
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["id"], r["group"], r["target"]) for r in rows] == [
        (c.id, c.group, c.target) for c in cases
    ]
    for found, given in zip(rows, cases, strict=True):
        assert float(found["dice"]) == given.agreement.dice
        assert float(found["hd95"]) == given.agreement.hausdorff_95
        assert float(found["nsd"]) == given.agreement.surface_dice
        assert int(found["true_pixels"]) == given.agreement.true_pixels
        assert float(found["oracle_iou"]) == given.oracle_iou
        assert float(found["iou_at_1"]) == given.ious[0]
    assert rows[2]["iou_at_2"] == ""
    assert [path.name for path in tmp_path.iterdir()] == ["cases.csv"]


def test_cells_that_are_not_there_are_empty_and_columns_of_clicks_are_theirs(tmp_path):
    volume = case("v", row(0, shape=(2, 3, 20)), row(0, shape=(2, 3, 20)))
    write_cases(tmp_path / "cases.csv", box(volume))
    head, line = (tmp_path / "cases.csv").read_text().splitlines()
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert cells["boundary_iou"] == ""
    assert not {"oracle_iou", "iou_at_1"} & cells.keys()


def test_numbers_without_an_interval_say_so():
    assert value_in_words(Interval(0.5, float("nan"), float("nan"), 1)) == "0.500"
    assert value_in_words(Interval(0.5, -0.25, 1, 2), sign="+") == "+0.500 (-0.250 to +1.000)"
    assert value_in_words(3) == "3"
    assert value_in_words(float("nan")) == "-"
    lone = interval_as_json(Interval(0.5, float("nan"), float("nan"), 1))
    assert lone == {"mean": 0.5, "low": None, "high": None}
