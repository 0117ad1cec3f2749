"""``samphire evaluate``: labelled data and a model -> how good its masks are, and how sure that is.

Not for measuring, which is the room ``evaluation``; the run itself is ``evaluate_run.py``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.inputs import check_model
from samphire.cli.parsing import (
    ClassNames,
    cache_options,
    device_option,
    force_option,
    json_option,
    model_option,
    offline_option,
    variant_option,
    volume_window_option,
)

if TYPE_CHECKING:
    from samphire.images.window import Window
    from samphire.samples import DataSet
    from samphire.weights.adapter_file import AdapterFile

CASES, BASE_CASES, SUMMARY = "cases.csv", "base-cases.csv", "summary.json"


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--protocol",
    type=click.Choice(["points", "box", "semantic", "everything"]),
    required=True,
    help="What the model is asked: clicks at each object, its box, its own classes, all masks.",
)
@model_option
@variant_option
@click.option(
    "--adapter",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that samphire tune wrote; the model without it is measured, too.",
)
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train", "all"]),
    help="Default: test if the data or --splits says splits, else all.",
)
@click.option(
    "--splits",
    "splits_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of splits that the adapter was tuned with.",
)
@click.option(
    "--classes",
    type=ClassNames(),
    metavar="NAMES",
    help="Of the data, with commas, the first for 1.  [default: the data's, else the adapter's]",
)
@volume_window_option
@click.option(
    "--clicks",
    type=click.IntRange(1, 20),
    default=9,
    show_default=True,
    help="At each object, for points; 20 also tell how many a good mask takes.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Of the surface Dice: pixels, in volumes millimetres.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help=f"A folder for {CASES} and {SUMMARY}."
)
@device_option
@cache_options
@force_option
@json_option
@offline_option
def evaluate(  # noqa: PLR0913, PLR0917 - one parameter an option
    data: Path,
    protocol: str,
    model: str,
    variant: str | None,
    adapter: Path | None,
    split: str | None,
    splits_file: Path | None,
    classes: tuple[str, ...] | None,
    window: "Window | None",
    clicks: int,
    tolerance: float,
    output: Path | None,
    device: str,
    no_cache: bool,
    max_cache: int,
    force: bool,
    as_json: bool,
    offline: bool,
) -> int:
    """Measure masks against labelled data, in pixels of the original pictures.

    \b
    Examples:
      samphire evaluate polyps/ --protocol box
      samphire evaluate polyps/ --protocol points --adapter polyps.safetensors --output report/
      samphire evaluate coco/instances.json --protocol everything --split all

    Means come with a 95 % interval, drawn over groups (patients, volumes, slides). With --adapter
    the model without it is measured on the same cases, and the cases that got worse are counted.
    Volumes are read in the adapter's window.
    DATA is a folder or a file of annotations. Nothing is left to chance: the same command gives the
    same numbers. A run that was stopped begins anew, but embeddings that were kept are found again.
    Exits 1 if a picture could not be read.
    """
    # Everything that can be wrong is checked before the model is loaded.
    from samphire.batch.local import check_free

    if output is not None and output.is_file():
        raise click.UsageError(f"--output {output} is a file: expected a folder")
    compared = adapter is not None and protocol != "semantic"
    names = (CASES, SUMMARY, BASE_CASES) if compared else (CASES, SUMMARY)
    check_free([output / name for name in names] if output else [], force=force)
    check_model(model)
    worn = _adapter(adapter)
    known = _adapter_classes(worn, adapter, protocol)
    dataset = _opened(data, classes, known, _window(data, window, worn))
    if protocol == "semantic" and known != dataset.classes:
        raise click.UsageError(
            f"the adapter knows the classes {', '.join(known)}, and the data has "
            f"{', '.join(dataset.classes) or 'none'}: expected the same in the same order; give "
            "data labelled with them, or the data's names for them with --classes"
        )
    chosen, part = _chosen(dataset, split, splits_file)

    from samphire.cli.evaluate_run import Job, run
    from samphire.cli.seen_samples import count_seen, say_seen

    seen = count_seen(worn, chosen.samples) if worn else None
    job = Job(
        data=chosen,
        part=part,
        protocol=protocol,
        model=model,
        variant=variant,
        adapter=adapter,
        seen=seen,
        compared=compared,
        clicks=clicks,
        tolerance=tolerance,
        device=device,
        offline=offline,
        max_cache=None if no_cache else max_cache,
    )
    for note in dataset.notes:
        click.echo(note, err=True)
    if worn is not None:
        say_seen(seen, len(chosen.samples))
    return run(job, output, print_json=as_json)


def _adapter(path: Path | None) -> "AdapterFile | None":
    if path is None:
        return None
    from samphire.weights.adapter_file import load_adapter

    return load_adapter(path)


def _adapter_classes(
    worn: "AdapterFile | None", adapter: Path | None, protocol: str
) -> tuple[str, ...]:
    """Those of the adapter; ``semantic`` cannot do without."""
    known = () if worn is None else worn.adaptation.classes
    if protocol == "semantic" and not known:
        found = f"{adapter} has none" if adapter else "the model alone has none"
        raise click.UsageError(
            f"--protocol semantic needs an adapter with classes, and {found}: give --adapter FILE "
            "of a samphire tune run with --task semantic or both, or take --protocol points or box"
        )
    return known


def _window(data: Path, given: "Window | None", worn: "AdapterFile | None") -> "Window | None":
    """The window given, or that which the adapter was trained with: no other is right for it."""
    from samphire.images.window import parse_window
    from samphire.samples.volumes import holds_volumes

    if worn is None or not worn.window:
        return given
    own = parse_window(worn.window)
    if given is not None and given != own:
        raise click.UsageError(
            f"the adapter was trained in the window {own}, and --window is {given}: leave it out, "
            "or tune another adapter in that window"
        )
    return own if holds_volumes(data) else given


def _opened(
    data: Path,
    classes: tuple[str, ...] | None,
    known: tuple[str, ...],
    window: "Window | None",
) -> "DataSet":
    """The data, with the names given, its own, or those of the adapter."""
    from samphire.samples import open_data

    if classes is not None:
        return open_data(data, classes=classes, window=window)
    dataset = open_data(data, window=window)
    if dataset.classes or not known:
        return dataset
    return open_data(data, classes=known, window=window)


def _chosen(
    dataset: "DataSet", split: str | None, splits_file: Path | None
) -> "tuple[DataSet, str]":
    """The samples to measure, and the name of their split."""
    from dataclasses import replace

    from samphire.samples.split import SPLITS, check_splits, subset
    from samphire.samples.split_file import load_splits

    said = splits_file is not None or any(sample.split for sample in dataset.samples)
    name = split or ("test" if said else "all")
    part = next((each for each in SPLITS if each == name), None)
    if splits_file is not None:
        splits = load_splits(splits_file)
        check_splits(splits, dataset)
        chosen = dataset if part is None else subset(dataset, splits, part)
    else:
        own = (s for s in dataset.samples if part is None or s.split == part)
        chosen = replace(dataset, samples=tuple(own))
    if not chosen.samples:
        found = f"no sample in the split {name}" if said else "no splits"
        raise click.UsageError(
            f"{dataset.name} has {found}: give the file of --splits, or --split all"
        )
    return chosen, name
