"""The report of a run: its numbers are those computed, and it is one well-formed, safe page."""

import html.parser
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from samphire.evaluation.agreement import agreement
from samphire.evaluation.comparison import values
from samphire.evaluation.intervals import paired_interval
from samphire.evaluation.protocols import Case, Evaluation
from samphire.evaluation.summary import summarise
from samphire.formats.page import is_page
from samphire.tuning.report.before_after import choose
from samphire.tuning.report.page import (
    CasePicture,
    Report,
    TrainedPart,
    case_picture,
    page,
    write_report,
)

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "img", "br", "circle", "path"}
EVIL = '<script>alert("1")</script>&$style ${x}'
IMAGE = np.full((60, 80, 3), 120, np.uint8)


class Parser(html.parser.HTMLParser):
    """Checks that elements close in order; keeps elements, tables and text."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.tables, self.rows = [], [], [], []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.rows.append([])
            self.tables[-1].append(self.rows[-1])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def parse(text):
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def disc(x, radius):
    rows, columns = np.mgrid[:60, :80]
    return (columns - x) ** 2 + (rows - 30) ** 2 < radius**2


def evaluation(error, *, groups=4, count=12, protocol="points"):
    """Discs that are found ``error`` pixels beside their places, more so the later ones."""
    cases = [
        Case(
            f"{place}.png",
            f"patient {place % groups}",
            "polyp 1",
            agreement(disc(40 + error * (1 + place / 6), 12), disc(40, 12), spacing=(1, 1)),
        )
        for place in range(count)
    ]
    return Evaluation(protocol, 2.0, tuple(cases))


def log(steps=40, a_batch=8):
    for step in range(1, steps + 1):
        epoch = (step - 1) // a_batch + 1
        yield {"step": step, "epoch": epoch, "loss": 1 / step, "seconds": 0.5}
        if step % a_batch == 0:
            score = (0.5, 0.7, 0.8, 0.75, 0.8)[epoch - 1]
            yield {"epoch": epoch, "step": step, "score": score, "dice_points": score}


def drawn(before, after):
    chosen = choose(values(before), values(after))
    places = sorted({*chosen.worst, *chosen.best, *chosen.worsened})
    true = disc(40, 12)
    return tuple(
        CasePicture(
            after.protocol,
            after.cases[place].id,
            after.cases[place].target,
            before.cases[place].agreement.dice,
            after.cases[place].agreement.dice,
            case_picture(IMAGE, true, disc(45, 12), true),
        )
        for place in places
    )


@pytest.fixture
def report():
    before, after = evaluation(4), evaluation(1)
    return Report(
        title="Polyps",
        command="samphire tune polyps --epochs 5",
        base="vit_t",
        environment={"torch": "2.13.0", "seed": "7"},
        settings={"epochs": 5, "adaptation": {"method": "lora"}},
        trained=(TrainedPart("LoRA", 10, 2000), TrainedPart("mask decoder", 3, 500)),
        parameters=10_000,
        log=tuple(log()),
        evaluations={"points": (before, after)},
        pictures=drawn(before, after),
        notes=("One click: a drop.",),
        cases_file="cases.csv",
    )


def row(parser, first, *, skip=0):
    found = [cells for cells in parser.rows if cells and cells[0] == first]
    return found[skip][1:]


def shown(value, digits=3, *, sign=False):
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def told(interval, digits=3, *, sign=False):
    mean, low, high = (
        shown(value, digits, sign=sign) for value in (interval.mean, interval.low, interval.high)
    )
    return f"{mean} {low} to {high}"


def test_the_numbers_are_those_computed(report):
    parser = parse(page(report))
    before, after = report.evaluations["points"]
    groups = [case.group for case in after.cases]
    past, found = (
        summarise([case.agreement for case in each.cases], groups) for each in (before, after)
    )
    change = paired_interval(values(before), values(after), groups)
    assert row(parser, "One click") == [
        told(past.dice), told(found.dice), told(change, sign=True), "12", "0", "0", "12", "4",
    ]  # fmt: skip
    assert row(parser, "Dice") == [told(past.dice), told(found.dice), told(change, sign=True)]
    assert row(parser, "NSD")[:2] == [told(past.surface_dice), told(found.surface_dice)]
    assert row(parser, "HD95, px, less is better")[:2] == [
        told(past.hausdorff_95, 1), told(found.hausdorff_95, 1),
    ]  # fmt: skip
    assert row(parser, "Pooled Dice")[:2] == [shown(past.pooled_dice), shown(found.pooled_dice)]
    assert row(parser, "Missed cases")[:2] == ["0", "0"]
    assert f"Mean Dice rose by {shown(change.mean)}" in parser.text


def test_worse_and_missed_cases_are_counted(report):
    before, after = evaluation(1), evaluation(4)
    nothing = agreement(np.zeros((60, 80), bool), disc(40, 12), spacing=(1, 1))
    after = replace(after, cases=(replace(after.cases[0], agreement=nothing), *after.cases[1:]))
    parser = parse(page(replace(report, evaluations={"points": (before, after)})))
    assert row(parser, "One click")[3:6] == ["0", "0", "12"]
    assert row(parser, "Missed cases")[:2] == ["0", "1"]
    assert "Mean Dice fell by" in parser.text


def test_an_interval_around_zero_is_no_clear_change(report):
    before, after = evaluation(2), evaluation(2)
    cases = list(after.cases)
    for place, other in ((0, evaluation(1)), (1, evaluation(3))):
        cases[place] = other.cases[place]
    parser = parse(
        page(
            replace(
                report, evaluations={"points": (before, Evaluation("points", 2.0, tuple(cases)))}
            )
        )
    )
    assert "Mean Dice did not clearly change" in parser.text


def test_one_group_has_no_interval_and_says_so(report):
    one = {"points": (evaluation(4, groups=1), evaluation(1, groups=1))}
    parser = parse(page(replace(report, evaluations=one)))
    assert all(cell.endswith("interval n/a") for cell in row(parser, "One click")[:3])
    assert "All cases are of one group" in parser.text
    assert "nan" not in parser.text


def test_without_a_base_the_adapter_stands_alone(report):
    after = evaluation(1, protocol="semantic")
    parser = parse(page(replace(report, evaluations={"semantic": (None, after)}, pictures=())))
    assert row(parser, "Classes, without prompts")[0] == "n/a"
    assert row(parser, "Classes, without prompts")[2:6] == ["n/a"] * 4
    assert "the base cannot be asked" in parser.text


def test_cases_are_listed_the_worst_first_and_not_all_of_very_many(report):
    parser = parse(page(report))
    listed = [cells for cells in parser.rows if re.fullmatch(r"\d+\.png", cells[0])]
    values = [float(cells[3]) for cells in listed]
    assert len(values) == 12
    assert values == sorted(values)
    last = report.evaluations["points"][1].cases[11]
    assert listed[0][0] == "11.png"
    assert listed[0][5:] == [
        shown(last.agreement.surface_dice), shown(last.agreement.hausdorff_95, 1),
    ]  # fmt: skip
    assert "cases.csv" in parser.text
    many = {"points": (evaluation(0.02, count=203), evaluation(0.01, count=203))}
    parser = parse(page(replace(report, evaluations=many)))
    assert sum(bool(re.fullmatch(r"\d+\.png", cells[0])) for cells in parser.rows) == 200
    assert "The 200 worst of 203 cases." in parser.text


def test_every_picture_is_in_the_page_and_says_what_it_shows(report):
    parser = parse(page(report))
    images = [attrs for tag, attrs in parser.elements if tag == "img"]
    assert len(images) == 12  # six worst, six best; none has fallen
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for attrs in images)
    before, after = (each.cases[11].agreement.dice for each in report.evaluations["points"])
    expected = f"11.png, polyp 1: before, truth, after. Dice {before:.3f} → {after:.3f}"
    assert images[0]["alt"] == expected
    assert "Fell most" not in parser.text


def test_the_best_epoch_is_the_first_of_the_highest_score(report):
    parser = parse(page(report))
    assert "epoch 3 of 5 kept, after step 24" in parser.text
    assert "best: epoch 3, 0.800" in parser.text


def test_what_trained_is_summed_up(report):
    parser = parse(page(report))
    assert row(parser, "Together") == ["13", "2,500"]
    assert "25.00 % of 10,000 parameters" in parser.text


def test_command_environment_settings_and_notes_are_there(report):
    parser = parse(page(report))
    for text in ("samphire tune polyps --epochs 5", "2.13.0", "One click: a drop."):
        assert text in parser.text
    assert json.dumps(report.settings, indent=2) in parser.text


def test_text_from_outside_stays_text(report):
    before, after = report.evaluations["points"]
    evil = [
        Evaluation(
            "points",
            2.0,
            tuple(replace(case, id=EVIL + case.id, target=EVIL) for case in each.cases),
            failures=((EVIL, EVIL),),
        )
        for each in (before, after)
    ]
    parser = parse(
        page(
            replace(
                report,
                title=EVIL,
                command=EVIL,
                base=EVIL,
                environment={EVIL: EVIL},
                settings={"a": EVIL},
                trained=(TrainedPart(EVIL, 1, 1),),
                evaluations={"points": tuple(evil)},
                pictures=tuple(replace(each, id=EVIL, target=EVIL) for each in report.pictures),
                notes=(EVIL,),
                cases_file=EVIL,
                log=(*report.log, {"step": 41, "epoch": 6, "score": 0.1, f"dice_{EVIL}": 0.1}),
            )
        )
    )
    assert not [tag for tag, _ in parser.elements if tag == "script"]
    # title twice, command, base, environment twice, part, failure twice, note, file
    assert parser.text.count(EVIL) >= 10 + 12 * 2 + 12 * 2


def test_the_page_asks_for_nothing_from_elsewhere(report):
    text = page(report)
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    parser = parse(text)
    links = [
        value
        for _, attrs in parser.elements
        for name, value in attrs.items()
        if name in ("src", "href", "srcset", "data")
    ]
    assert links
    assert all(link.startswith("data:") for link in links)
    assert "default-src 'none'" in text


def test_tables_have_headers_and_charts_have_names(report):
    parser = parse(page(report))
    for tag, attrs in parser.elements:
        if tag == "th":
            assert attrs["scope"] in ("col", "row")
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or attrs["aria-label"]
    assert all(len({len(cells) for cells in rows}) == 1 for rows in parser.tables)
    assert len(parser.tables) == 4


def test_a_run_without_anything_has_a_page(report):
    empty = replace(
        report,
        log=(),
        evaluations={"points": (Evaluation("points", 2.0, ()), Evaluation("points", 2.0, ()))},
        pictures=(),
        trained=(),
        notes=(),
        environment={},
        settings={},
        parameters=0,
    )
    parser = parse(page(empty))
    assert "No case was measured." in parser.text
    assert parse(page(replace(empty, evaluations={}))).text


def test_a_report_is_written_whole_and_is_no_page_of_masks(report, tmp_path):
    path = tmp_path / "run" / "report.html"
    write_report(path, report)
    assert path.read_text(encoding="utf-8") == page(report)
    assert not is_page(path)
    write_report(path, replace(report, title="caf\udce9"))
    assert "caf?" in path.read_text(encoding="utf-8")


def test_volumes_are_told_in_millimetres(report):
    true = np.zeros((4, 20, 20), bool)
    true[1:3, 5:15, 5:15] = True
    case = Case("scan", "patient", "liver", agreement(true, true, spacing=(3, 1, 1)))
    volumes = Evaluation("semantic", 2.0, (case,))
    parser = parse(page(replace(report, evaluations={"semantic": (None, volumes)}, pictures=())))
    assert row(parser, "HD95, mm, less is better")[1] == "0.0 interval n/a"
    assert "Boundary IoU" not in [cells[0] for cells in parser.rows]


def test_dice_of_objects_is_told_apart_where_some_cases_have_nothing_to_find(report):
    name = "Dice where there is an object"
    assert name not in page(report)
    nothing = np.zeros((60, 80), bool)
    false = agreement(disc(40, 12), nothing, spacing=(1, 1))
    before, after = (
        replace(each, cases=(replace(each.cases[0], agreement=false), *each.cases[1:]))
        for each in report.evaluations["points"]
    )
    parser = parse(page(replace(report, evaluations={"points": (before, after)})))
    assert row(parser, name)[1].startswith(shown(np.mean(values(after)[1:])))
    assert row(parser, "False cases")[:2] == ["1", "1"]
