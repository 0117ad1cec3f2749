"""``samphire models``: which models there are, and their files on this machine."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.parsing import force_option, json_option, offline_option, variant_option

if TYPE_CHECKING:
    from samphire.weights.catalog import Entry


@click.group(short_help="List, fetch, verify, import and convert models.")
def models() -> None:
    """The models: list, fetch, verify, where; import and convert files of others."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """The models that Samphire knows, and those that you imported.

    \b
    Example:
      samphire models list
    """
    from samphire.weights.catalog import CATALOG
    from samphire.weights.store import imported_names, imported_path, is_cached

    rows = [
        (entry.name, is_cached(entry), entry.description, entry.licence)
        for entry in CATALOG.values()
    ]
    rows += [
        (name, True, f"imported, {imported_path(name)}", "not known") for name in imported_names()
    ]
    for name, here, description, licence in rows:
        if as_json:
            record = {"name": name, "licence": licence, "description": description, "here": here}
            click.echo(json.dumps(record))
        else:
            state = "here" if here else "not fetched"
            click.echo(f"{name:<14}{state:<13}{description} ({licence})")


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
@offline_option
@json_option
def fetch(names: tuple[str, ...], offline: bool, as_json: bool) -> None:
    """Fetch, verify and convert a model's weights; prints the file.

    \b
    Example:
      samphire models fetch vit_t
    """
    from samphire.weights import store

    for entry in _entries(names):
        path = store.fetch(entry, offline=offline, progress=True)
        click.echo(json.dumps({"name": entry.name, "file": str(path)}) if as_json else path)


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Check the files of models, fetched and imported, byte for byte; exits 1 if one is bad.

    \b
    Example:
      samphire models verify
    """
    from samphire.weights import store
    from samphire.weights.catalog import CATALOG

    imported = store.imported_names()
    fetched = [name for name, entry in CATALOG.items() if store.is_cached(entry)]
    chosen = names or (*fetched, *imported)
    known = {entry.name: entry for entry in _entries(set(chosen) - set(imported))}
    bad = 0
    for name in chosen:
        result = store.verify(known[name]) if name in known else store.verify_imported(name)
        bad += result.state != "good"
        if as_json:
            record = {"name": name, "state": result.state, "file": str(result.path)}
            click.echo(json.dumps(record | {"detail": result.detail}))
        else:
            click.echo(f"{name}: {result.state} ({result.path}): {result.detail}")
    if not chosen:
        click.echo("no model is here yet: samphire models fetch vit_t", err=True)
    return 1 if bad else 0


@models.command()
@click.argument("name", required=False, metavar="[MODEL]")
@json_option
def where(name: str | None, as_json: bool) -> None:
    """Print the cache folder, or the file of one model.

    \b
    Example:
      samphire models where vit_t
    """
    from samphire.weights import store

    if name is None:
        folder = str(store.cache_dir())
        click.echo(json.dumps({"folder": folder}) if as_json else folder)
        return
    if name in store.imported_names():
        path, here = store.imported_path(name), True
    else:
        (entry,) = _entries((name,))
        path, here = store.weights_path(entry), store.is_cached(entry)
    record = {"name": name, "file": str(path), "here": here}
    click.echo(json.dumps(record) if as_json else path)
    if not here:
        click.echo(f"not there yet: samphire models fetch {name}", err=True)


@models.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path), metavar="FILE|FOLDER")
@click.option("--name", help="What to call it. Default: the file's name.")
@variant_option
@force_option
@json_option
def import_model(
    file: Path, name: str | None, variant: str | None, force: bool, as_json: bool
) -> None:
    """Keep a file of weights under a name; says what it is taken for.

    \b
    Examples:
      samphire models import sam_vit_b_01ec64.pth
      samphire models import polyps_epoch_30.pth --name polyps
      samphire segment photo.jpg --model polyps --box 60,40,480,300

    Takes what PyTorch and safetensors wrote: official files, training checkpoints, and folders in
    the layout of transformers. No code in a file is run.
    """
    from samphire.weights.imports import import_weights

    made = import_weights(file, name=name, variant=variant, force=force)
    read = made.checkpoint
    if as_json:
        record = {"name": made.name, "variant": read.variant, "preprocessing": read.preprocessing}
        click.echo(json.dumps(record | {"file": str(made.path), "notes": read.notes}))
        return
    for note in read.notes:
        click.echo(f"{file.name}: {note}", err=True)
    click.echo(f"it is called {made.name} now: --model {made.name}", err=True)
    click.echo(made.path)


@models.command()
@click.argument("source", metavar="MODEL|FILE|FOLDER")
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--layout", type=click.Choice(["original", "huggingface"]), required=True, help="Whose names."
)
@variant_option
@force_option
@offline_option
@json_option
def convert(
    source: str,
    output: Path,
    layout: str,
    variant: str | None,
    force: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Write weights as another program reads them, bit for bit.

    \b
    Examples:
      samphire models convert sam-vit-base/ sam_vit_b.pth --layout original
      samphire models convert sam_vit_b_01ec64.pth sam-vit-base/ --layout huggingface

    original: a plain state dict (.pth, .pt, .safetensors) under segment_anything's names.
    huggingface: a folder for SamModel.from_pretrained; vit_b, vit_l and vit_h only.
    """
    from samphire.engines.load import weights_file
    from samphire.errors import OutputExistsError
    from samphire.weights.export import write_hugging_face, write_original
    from samphire.weights.load import read_checkpoint

    if output.is_file() and not force:
        raise OutputExistsError(f"{output} is there already: --force replaces it")
    path = weights_file(source, offline=offline, progress=True)
    checkpoint = read_checkpoint(path, variant)
    for note in checkpoint.notes:
        click.echo(f"{source}: {note}", err=True)
    if layout == "original":
        write_original(checkpoint, output)
    else:
        write_hugging_face(checkpoint, output, force=force)
    record = {"variant": checkpoint.variant, "layout": layout, "output": str(output)}
    click.echo(json.dumps(record) if as_json else output)


def _entries(names: Iterable[str]) -> "list[Entry]":
    """Entries of the catalogue; an unknown name is wrong usage."""
    from samphire.errors import WeightsError
    from samphire.weights.catalog import entry

    try:
        return [entry(name) for name in names]
    except WeightsError as error:
        raise click.UsageError(str(error)) from error
