"""``samphire embed``: images -> embeddings, kept for later runs and, if asked, in files."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from samphire.cli.engine_choice import EngineChoice
from samphire.cli.inputs import Reading, check_pictures, find_images, output_folder
from samphire.cli.outputs import STREAM, folder_targets
from samphire.cli.parsing import (
    adapter_option,
    cache_options,
    device_option,
    force_option,
    image_options,
    json_option,
    model_option,
    offline_option,
    variant_option,
)

if TYPE_CHECKING:
    from samphire.batch.local import Outcome
    from samphire.batch.task import Product, Task
    from samphire.embedding import ImageEmbedding
    from samphire.engines.base import Engine
    from samphire.formats.embedding_cache import EmbeddingCache


@click.command(short_help="Encode images once, for all prompts to come.")
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@click.option("--output", metavar="FOLDER", help="Also write a file an image into this folder.")
@model_option
@adapter_option
@variant_option
@device_option
@image_options
@cache_options
@force_option
@json_option
@offline_option
def embed(  # noqa: PLR0913, PLR0917 - one parameter an option
    inputs: tuple[str, ...],
    output: str | None,
    model: str,
    adapter: str | None,
    variant: str | None,
    device: str,
    max_pixels: int,
    page: int,
    window: tuple[float, float] | None,
    no_cache: bool,
    max_cache: int,
    force: bool,
    as_json: bool,
    offline: bool,
) -> int:
    """Run the image encoder on images and folders: the slow part, once for all prompts to come.

    \b
    Examples:
      samphire embed photos/
      samphire embed scans/ --output embeddings/ --window -160,240

    Embeddings go into the cache that all commands share, under their pixels: renamed and copied
    images are found again. With --output they are written as NAME.embedding.safetensors, too,
    which samphire segment and samphire.load_embedding take in place of the image.
    """
    if STREAM in inputs:
        raise click.UsageError("- (stdin) cannot be embedded: give files or folders")
    check_pictures(inputs)
    if no_cache and output is None:
        raise click.UsageError("with --no-cache nothing is kept: give --output FOLDER")
    folder = None if output is None else output_folder(inputs, output, "embeddings")
    tasks = find_images(inputs, folder, embeddings=False)
    choice = EngineChoice(model, adapter, variant, device, offline)
    choice.check(window)

    from samphire.cli.report import tell_all, tell_failures
    from samphire.formats.embedding_cache import EmbeddingCache

    cache = None if no_cache else EmbeddingCache(max_bytes=max_cache)
    reading = Reading(max_pixels, page, window)
    engine = choice.load()
    if folder is None:
        outcomes = _into_cache(engine, tasks, reading, cache)
    else:
        outcomes = _into_folder(engine, tasks, reading, cache, folder, force=force)
    counts, failed = tell_all(outcomes, len(tasks), _in_words, as_json=as_json)
    click.echo(
        f"{counts['made']} encoded, {counts['cached']} from the cache, "
        f"{counts['skipped']} done before, {counts['failed']} failed",
        err=True,
    )
    tell_failures(failed)
    if cache is not None:
        click.echo(f"the cache: {cache.in_words()}", err=True)
    return 1 if failed else 0


def _into_folder(
    engine: "Engine",
    tasks: "list[Task]",
    reading: Reading,
    cache: "EmbeddingCache | None",
    folder: Path,
    *,
    force: bool,
) -> "Iterator[Outcome]":
    """A file an image, through the journal."""
    from samphire.batch.journal import settings_id
    from samphire.batch.local import run

    targets = folder_targets(tasks, folder)
    return run(
        tasks,
        lambda task: _product(engine, task, targets[task.name].embedding, reading, cache),
        folder=folder,
        settings=settings_id(_settings(engine, reading)),
        force=force,
    )


def _into_cache(
    engine: "Engine", tasks: "list[Task]", reading: Reading, cache: "EmbeddingCache | None"
) -> "Iterator[Outcome]":
    """Encode what the cache does not have; a bad file fails alone."""
    from samphire.batch.local import Outcome, check_regular
    from samphire.errors import SamphireError

    for task in tasks:
        try:
            check_regular(task.source)
            _, record = _embedding(engine, task, reading, cache)
        except SamphireError as error:
            yield Outcome(task, "failed", error=str(error))
        else:
            yield Outcome(task, "done", record=record)


def _product(
    engine: "Engine", task: "Task", target: Path, reading: Reading, cache: "EmbeddingCache | None"
) -> "Product":
    """The file of one embedding, ready to be written."""
    from samphire.batch.task import Product
    from samphire.formats.embedding import encode

    embedding, record = _embedding(engine, task, reading, cache)
    return Product(((target, encode(embedding)),), record)


def _embedding(
    engine: "Engine", task: "Task", reading: Reading, cache: "EmbeddingCache | None"
) -> "tuple[ImageEmbedding, dict[str, Any]]":
    """The embedding of one image, and what there is to tell about it."""
    from samphire.predict.embed import embed as embed_image

    started = time.perf_counter()
    hits = 0 if cache is None else cache.hits
    embedding = embed_image(
        engine,
        task.source,
        max_pixels=reading.max_pixels,
        page=reading.page,
        window=reading.window,
        cache=cache,
    )
    size = embedding.frame.original
    return embedding, {
        "width": size.width,
        "height": size.height,
        "seconds": round(time.perf_counter() - started, 3),
        "engine": str(engine.info),
        "embedding": "cached" if cache is not None and cache.hits > hits else "made",
    }


def _settings(engine: "Engine", reading: Reading) -> dict[str, Any]:
    """All that a file depends on besides the image.

    An adapter is part of the encoder's identity where it changes the encoder, and not where it
    leaves embeddings as they are.
    """
    return {
        "command": "embed",
        "encoder_id": engine.info.encoder_id,
        "preprocessing": engine.info.preprocessing,
        "page": reading.page,
        "window": reading.window,
    }


def _in_words(record: dict[str, Any]) -> str:
    how = "from the cache" if record["embedding"] == "cached" else f"by {record['engine']}"
    return f"{record['width']}x{record['height']}, {record['seconds']:.2f} s {how}"
