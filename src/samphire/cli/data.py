"""``samphire data``: labelled data, looked at before it is used."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from samphire.cli.parsing import ClassNames, force_option, json_option, volume_window_option

if TYPE_CHECKING:
    from samphire.images.window import Window
    from samphire.samples.check import Part, Report
    from samphire.samples.findings import Finding
    from samphire.samples.sample import DataSet

# Findings of one kind that are told in words, and classes and sizes in the table; JSON has all.
SHOWN = 5


@click.group(short_help="Check labelled data.")
def data() -> None:
    """Labelled data: check it before tuning and evaluation."""


@data.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--output", metavar="FILE", help="A contact sheet, PNG: pictures with their masks.")
@click.option(
    "--classes",
    type=ClassNames(),
    default=(),
    metavar="NAMES",
    help="Of mask files whose numbers are classes, the first for 1: polyp, or liver,spleen.",
)
@volume_window_option
@force_option
@json_option
def check(
    path: Path,
    output: str | None,
    classes: tuple[str, ...],
    window: "Window | None",
    force: bool,
    as_json: bool,
) -> int:
    """Read labelled data once and tell what would spoil training; exits 1 on an error.

    \b
    Examples:
      samphire data check polyps/
      samphire data check coco/instances.json --output sheet.png
      samphire data check organs/ --classes liver,spleen

    Finds files that cannot be read, masks of another size or with strange values, pictures without
    objects, tiny objects, classes without examples, and leaks: a patient, a picture or its copy in
    two splits. PATH is a folder or a file of annotations; nothing in it is changed.
    """
    from tqdm import tqdm

    from samphire.batch.local import check_free
    from samphire.cli.labelled import open_labelled
    from samphire.samples.check import check as check_data

    sheet = _sheet_path(output)
    check_free([sheet] if sheet else [], force=force)
    dataset = open_labelled(path, classes, window)
    with tqdm(total=len(dataset.samples), unit="sample", disable=None) as bar:

        def on_progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        report = check_data(dataset, on_progress=on_progress)
    if sheet and dataset.samples:
        _write_sheet(sheet, dataset)
    if as_json:
        click.echo(json.dumps(_record(report, dataset.notes, sheet)))
    else:
        for line in _told(report, dataset.notes):
            click.echo(line)
        if sheet:
            click.echo(f"contact sheet: {sheet}", err=True)
    return 1 if report.errors else 0


def _sheet_path(output: str | None) -> Path | None:
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() != ".png" or path.is_dir():
        raise click.UsageError(f"--output {output}: the contact sheet is one file, like sheet.png")
    return path


def _write_sheet(path: Path, dataset: "DataSet") -> None:
    from samphire import atomic
    from samphire.masks.picture import rgb_to_png
    from samphire.samples.contact_sheet import contact_sheet

    atomic.write_bytes(path, rgb_to_png(contact_sheet(dataset)))


def _told(report: "Report", notes: Iterable[str]) -> Iterator[str]:
    """The report in words."""
    yield f"{report.name}: {report.layout}, {_counted(report.samples, 'sample')}"
    yield from (f"  {note}" for note in notes)
    for part in report.parts:
        yield (
            f"  {part.split or 'no split':<9} {_counted(part.samples, 'sample')}, "
            f"{_counted(part.groups, 'group')}, {_objects(report, part)}"
        )
    if report.sizes:
        shown = [f"{size} ({count})" for size, count in report.sizes[:SHOWN]]
        yield f"  sizes     {', '.join(shown)}{_more(len(report.sizes) - SHOWN)}"
    if not report.findings:
        yield "nothing found that would spoil training"
    for kind in dict.fromkeys((each.severity, each.kind) for each in report.findings):
        alike = [each for each in report.findings if (each.severity, each.kind) == kind]
        yield from (f"{each.severity}: {each.kind}: {each.text}" for each in alike[:SHOWN])
        if len(alike) > SHOWN:
            yield f"{kind[0]}: {kind[1]}: {len(alike) - SHOWN} more, which --json lists"


def _objects(report: "Report", part: "Part") -> str:
    total = _counted(sum(part.objects), "object")
    if len(report.classes) < 2:
        return total
    counts = zip(report.classes[:SHOWN], part.objects, strict=False)
    shown = ", ".join(f"{name} {count}" for name, count in counts)
    return f"{total} ({shown}{_more(len(report.classes) - SHOWN)})"


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _record(report: "Report", notes: Iterable[str], sheet: Path | None) -> dict[str, Any]:
    return {
        "name": report.name,
        "layout": report.layout,
        "notes": list(notes),
        "samples": report.samples,
        "classes": list(report.classes),
        "splits": [
            {
                "split": part.split,
                "samples": part.samples,
                "groups": part.groups,
                "objects": list(part.objects),
            }
            for part in report.parts
        ],
        "sizes": [
            {"width": size.width, "height": size.height, "count": count}
            for size, count in report.sizes
        ],
        "errors": len(report.errors),
        "findings": [_finding(each) for each in report.findings],
        "contact_sheet": str(sheet) if sheet else None,
    }


def _finding(found: "Finding") -> dict[str, Any]:
    return {
        "severity": found.severity,
        "kind": found.kind,
        "ids": list(found.ids),
        "text": found.text,
    }


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
