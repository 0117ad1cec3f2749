"""``samphire models``: which models there are, and their files on this machine."""

import json
from typing import TYPE_CHECKING

import click

from samphire.cli.parsing import json_option, offline_option

if TYPE_CHECKING:
    from samphire.weights.catalog import Entry


@click.group()
def models() -> None:
    """The models: list, fetch, verify, and where their files are."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """The models that Samphire knows.

    \b
    Example:
      samphire models list
    """
    from samphire.weights.catalog import CATALOG
    from samphire.weights.store import is_cached

    for entry in CATALOG.values():
        here = is_cached(entry)
        if as_json:
            record = {
                "name": entry.name,
                "licence": entry.licence,
                "description": entry.description,
            }
            click.echo(json.dumps(record | {"here": here}))
        else:
            state = "here" if here else "not fetched"
            click.echo(f"{entry.name:<14}{state:<13}{entry.description} ({entry.licence})")


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
@offline_option
def fetch(names: tuple[str, ...], offline: bool) -> None:
    """Fetch, verify and convert a model's weights; prints the file.

    \b
    Example:
      samphire models fetch vit_t
    """
    from samphire.weights import store

    for entry in _entries(names):
        click.echo(store.fetch(entry, offline=offline, progress=True))


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Check the files of fetched models, byte for byte; exits 1 if one is damaged or missing.

    \b
    Example:
      samphire models verify
    """
    from samphire.weights import store
    from samphire.weights.catalog import CATALOG

    chosen = _entries(names) if names else [e for e in CATALOG.values() if store.is_cached(e)]
    bad = 0
    for entry in chosen:
        result = store.verify(entry)
        bad += result.state != "good"
        if as_json:
            record = {"name": entry.name, "state": result.state, "file": str(result.path)}
            click.echo(json.dumps(record | {"detail": result.detail}))
        else:
            click.echo(f"{entry.name}: {result.state} ({result.path}): {result.detail}")
    if not chosen:
        click.echo("no model is here yet: samphire models fetch vit_t", err=True)
    return 1 if bad else 0


@models.command()
@click.argument("name", required=False, metavar="[MODEL]")
def where(name: str | None) -> None:
    """Print the cache folder, or the file of one model.

    \b
    Example:
      samphire models where vit_t
    """
    from samphire.weights import store

    if name is None:
        click.echo(store.cache_dir())
        return
    (entry,) = _entries((name,))
    click.echo(store.weights_path(entry))
    if not store.is_cached(entry):
        click.echo(f"not there yet: samphire models fetch {name}", err=True)


def _entries(names: tuple[str, ...]) -> "list[Entry]":
    """Entries of the catalogue; an unknown name is wrong usage."""
    from samphire.errors import WeightsError
    from samphire.weights.catalog import entry

    try:
        return [entry(name) for name in names]
    except WeightsError as error:
        raise click.UsageError(str(error)) from error
