"""The report of a tuning run: one HTML file that needs no network, to read, print and pass on.

What the base does on the same cases stands beside what the adapter does, and the cases that got
worse are counted and shown. Input is plain data, so a report can be made of anything that was
measured. The same input gives the same bytes. Not for measuring (``evaluation/``), and not for the
masks of single pictures (``samphire view``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from samphire import atomic
from samphire.evaluation.protocols import Evaluation
from samphire.masks.colours import rgb
from samphire.tuning.report import cases, sections
from samphire.tuning.report.before_after import BeforeAfter, before_after, choose
from samphire.tuning.report.case_picture import CasePicture, case_picture
from samphire.tuning.report.sections import TrainedPart
from samphire.tuning.report.text import PROTOCOLS, facts, sentences

__all__ = [
    "CasePicture",
    "Report",
    "TrainedPart",
    "case_picture",
    "choose",
    "page",
    "write_report",
]

# Of each series, a number of the palette: on light ground and on dark.
LIGHT, DARK = (5, 6, 16, 18), (0, 1, 2, 4)


@dataclass(frozen=True, eq=False)
class Report:
    """What a report is made of.

    Attributes:
        title: of the page.
        command: that makes the run again.
        base: name of the model that was tuned.
        environment: versions, platform, threads, seed: what is needed to make it again.
        settings: of the run, as JSON takes them.
        trained: what trained.
        parameters: of the whole model, with what was added.
        log: entries of ``log.jsonl``.
        evaluations: by protocol, before (None where the base cannot be asked) and after, on the
            same cases.
        pictures: of cases that :func:`choose` chose, in any order.
        notes: sentences that a reader must not miss.
        cases_file: name of the file with every case, if there is one.
    """

    title: str
    command: str
    base: str
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    trained: Sequence[TrainedPart]
    parameters: int
    log: Sequence[Mapping[str, Any]]
    evaluations: Mapping[str, tuple[Evaluation | None, Evaluation]]
    pictures: Sequence[CasePicture] = ()
    notes: Sequence[str] = ()
    cases_file: str = ""


def write_report(path: Path, report: Report) -> None:
    """Write the report, whole or not at all.

    Raises:
        DataError: the cases before and after differ.
        ValueError: images and volumes are mixed in a protocol.
        OSError: the file cannot be written.
    """
    # file names can hold what UTF-8 cannot
    atomic.write_bytes(path, page(report).encode("utf-8", "replace"))


def page(report: Report) -> str:
    """The text of the page; errors are those of :func:`write_report`."""
    compared = {
        protocol: before_after(before, after)
        for protocol, (before, after) in report.evaluations.items()
        if after.cases
    }
    curves = sections.curves(report.log)
    told = json.dumps(report.settings, indent=2, ensure_ascii=False, default=str)
    words = {
        "title": escape(report.title),
        "version": escape(version("samphire")),
        "style": _colours() + _text("report.css"),
        "base": escape(report.base),
        "run": escape(_run(report.log)),
        "notes": sentences(report.notes, "notes"),
        "overview": sections.overview(compared) if compared else "<p>No case was measured.</p>",
        "curves": f'<section><h2>Training</h2><div class="pair">{curves}</div></section>'
        if curves
        else "",
        "protocols": "".join(
            _protocol(report, protocol, compared.get(protocol)) for protocol in report.evaluations
        ),
        "trained": sections.trained(report.trained, report.parameters),
        "command": escape(report.command),
        "environment": facts(report.environment),
        "settings": escape(told),
    }
    return Template(_text("report.html")).substitute(words)


def _protocol(report: Report, protocol: str, compared: BeforeAfter | None) -> str:
    before, after = report.evaluations[protocol]
    name = escape(PROTOCOLS.get(protocol, protocol))
    left_out = [f"{sample} could not be read: {reason}" for sample, reason in after.failures]
    if after.without_objects:
        left_out.append(f"{len(after.without_objects)} pictures have nothing to point at.")
    not_measured = sentences(left_out, "left-out")
    if compared is None:
        return f"<section><h2>{name}</h2><p>No case was measured.</p>{not_measured}</section>"
    volumes = bool(np.isnan(after.cases[0].agreement.boundary_iou))
    unit = "mm" if volumes else "px"
    cloud = "" if before is None else cases.scatter(before, after)
    shown = [picture for picture in report.pictures if picture.protocol == protocol]
    return (
        f"<section><h2>{name}</h2><p>{escape(sections.verdict(compared))}</p>"
        f'<div class="beside">{sections.measures(compared, unit)}{cloud}</div>{not_measured}'
        f"{cases.case_table(before, after, unit, report.cases_file)}"
        f"{cases.pictures(shown)}</section>"
    )


def _run(log: Sequence[Mapping[str, Any]]) -> str:
    """How long the run was, and which of its epochs was kept."""
    epochs = [entry for entry in log if "score" in entry]
    if not epochs:
        return "no epoch was measured"
    best = max(epochs, key=lambda entry: float(entry["score"]))
    return f"epoch {best['epoch']} of {len(epochs)} kept, after step {best['step']}"


def _colours() -> str:
    """The palette as variables of the style sheet, so that there is one palette."""

    def variables(numbers: Sequence[int]) -> str:
        return " ".join(
            f"--series-{place}: rgb{rgb(number)};" for place, number in enumerate(numbers)
        )

    return (
        f":root {{ {variables(LIGHT)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"
    )


def _text(name: str) -> str:
    return files("samphire.tuning.report").joinpath(name).read_text(encoding="utf-8")
