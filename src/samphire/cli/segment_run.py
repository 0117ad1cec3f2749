"""What ``samphire segment`` does once its arguments are checked: images -> masks -> files."""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from samphire.arrays import ByteArray
from samphire.batch.journal import settings_id
from samphire.batch.local import Outcome, check_free, run
from samphire.batch.task import Product, Task
from samphire.cli.inputs import Reading
from samphire.cli.mask_files import (
    contents,
    losses,
    paths,
    picture_of,
    say_losses,
    scores,
)
from samphire.cli.outputs import (
    EMBEDDING_SUFFIX,
    STREAM,
    Target,
    folder_targets,
    single_target,
)
from samphire.cli.prompted_images import PromptedImages, as_json
from samphire.cli.report import tell, tell_all, tell_failures
from samphire.embedding import ImageEmbedding
from samphire.engines.base import Engine
from samphire.errors import ImageError
from samphire.formats import Format, Picture
from samphire.formats.embedding import load_embedding
from samphire.formats.embedding_cache import EmbeddingCache
from samphire.formats.prompt_records import NamedPrompts
from samphire.images.draw import draw, encode_png
from samphire.images.read import image_name
from samphire.masks import Masks
from samphire.predict.embed import embed
from samphire.predict.prompted import segment_prompts
from samphire.prompts import Prompts

# Masks of an image that are told in words; JSON tells all.
SHOWN = 5


@dataclass(frozen=True)
class Options:
    """What the command line asks for, beside the inputs.

    Attributes:
        asked: the same prompts for every image; None: each has its own, from a file.
        formats: of the masks' files.
        overlay: also write a picture with the masks drawn on it.
        multimask: see ``samphire.segment``.
        reading: how pictures are read.
        cache: where embeddings are kept between runs.
        force: replace outputs that are there.
        as_json: tell results as JSON.
    """

    asked: Prompts | None
    formats: tuple[Format, ...]
    overlay: bool
    multimask: bool | None
    reading: Reading
    cache: EmbeddingCache | None
    force: bool
    as_json: bool


def check_single(images: PromptedImages, options: Options, output: str | None) -> None:
    """Refuse, before the model is loaded, what could not be written in the end."""
    (task,) = images.tasks
    answers = len(images.prompts[task.name].prompts) * (3 if options.multimask else 1)
    if output == STREAM:
        kind = options.formats[0]
        if len(kind.paths(Path(), answers)) > 1:
            raise click.UsageError(
                f"{kind.name} is one file a mask, and {answers} are asked for: stdout takes "
                "--format json"
            )
        return
    target = single_target(output, task)
    check_free(
        paths(target, answers, options.formats, overlay=options.overlay), force=options.force
    )


def segment_one(
    engine: Engine,
    images: PromptedImages,
    options: Options,
    output: str | None,
    *,
    stdin: bool,
) -> int:
    """One image: a file, or stdin; into files, or to stdout."""
    (task,) = images.tasks
    image = sys.stdin.buffer.read() if stdin else task.source
    prompts = images.prompts[task.name]
    if output == STREAM:
        _write_to_stdout(_answer(engine, image, prompts, options).masks, options.formats[0])
        return 0
    product = _product(
        engine, image, task.source.name, prompts, single_target(output, task), options
    )
    check_free(product.outputs, force=options.force)
    say_losses(task, product)
    product.write()
    outcome = Outcome(task, "done", product.outputs, product.record)
    tell(outcome, _in_words, as_json=options.as_json)
    return 0


def segment_many(engine: Engine, images: PromptedImages, options: Options, folder: Path) -> int:
    """Files and folders, through the journal."""
    tasks, prompts = images.tasks, images.prompts
    targets = folder_targets(tasks, folder)

    def product(task: Task) -> Product:
        return _product(
            engine, task.source, task.name, prompts[task.name], targets[task.name], options
        )

    settings = settings_id(_settings(engine, options))
    outcomes = run(
        tasks,
        product,
        folder=folder,
        settings=settings,
        force=options.force,
        announce=say_losses,
    )
    counts, failed = tell_all(outcomes, len(tasks), _in_words, as_json=options.as_json)
    click.echo(
        f"{counts['done']} segmented, {counts['skipped']} done before, {counts['failed']} failed; "
        f"masks are in {folder}",
        err=True,
    )
    tell_failures(failed)
    return 1 if failed else 0


@dataclass(frozen=True, eq=False)
class _Answer:
    """Masks of one image, what was asked, and the picture they lie on, where there is one."""

    masks: Masks
    prompts: Prompts
    rgb: ByteArray | None
    embedding: str


def _answer(engine: Engine, image: Path | bytes, named: NamedPrompts, options: Options) -> _Answer:
    rgb, embedding, origin = _embedded(engine, image, options)
    if options.asked is None:  # files are written by programs, which round
        named = named.fitted(embedding.frame.original)
    masks = segment_prompts(engine, embedding, named.prompts, multimask=options.multimask)
    masks = replace(
        masks,
        name=tuple(named.names[index] for index in masks.prompt_index),
        label=np.array([named.labels[index] for index in masks.prompt_index]),
    )
    return _Answer(masks, named.prompts, rgb, origin)


def _embedded(
    engine: Engine, image: Path | bytes, options: Options
) -> tuple[ByteArray | None, ImageEmbedding, str]:
    """The picture, its embedding, and where that is from: made, cached, or given as a file."""
    if isinstance(image, Path) and image.name.endswith(EMBEDDING_SUFFIX):
        if options.overlay:
            raise ImageError(
                f"{image.name} is an embedding, it holds no picture to draw on: leave out "
                "--overlay, or give the image"
            )
        return None, load_embedding(image), "given"
    cache = options.cache
    rgb = options.reading.read(image, engine)
    hits = 0 if cache is None else cache.hits
    embedding = replace(embed(engine, rgb, cache=cache), image=image_name(image))
    cached = cache is not None and cache.hits > hits
    return rgb, embedding, "cached" if cached else "made"


def _product(
    engine: Engine,
    image: Path | bytes,
    name: str,
    named: NamedPrompts,
    target: Target,
    options: Options,
) -> Product:
    """Masks of one image, ready to be written."""
    started = time.perf_counter()
    answer = _answer(engine, image, named, options)
    seconds = time.perf_counter() - started
    masks = answer.masks
    picture = picture_of(image, name, target, answer.rgb)
    overlay = None
    if options.overlay and answer.rgb is not None:
        overlay = encode_png(draw(answer.rgb, masks, answer.prompts))
    return Product(
        files=contents(masks, target, options.formats, picture, overlay),
        record={
            "width": masks.size.width,
            "height": masks.size.height,
            "seconds": round(seconds, 3),
            "engine": str(engine.info),
            "embedding": answer.embedding,
            "losses": losses(masks, options.formats),
            "masks": [scores(masks, index) for index in range(len(masks))],
        },
    )


def _settings(engine: Engine, options: Options) -> dict[str, Any]:
    """All that the outputs depend on besides the image."""
    return {
        "command": "segment",
        "base_id": engine.info.base_id,
        "adapter": engine.info.adapter,
        "preprocessing": engine.info.preprocessing,
        "prompts": None if options.asked is None else as_json(options.asked),
        "multimask": options.multimask,
        "formats": [kind.name for kind in options.formats],
        "overlay": options.overlay,
        "page": options.reading.page,
        "window": options.reading.window,
    }


def _write_to_stdout(masks: Masks, kind: Format) -> None:
    (data,) = kind.encode(masks, Picture())  # more were refused before
    sys.stdout.buffer.write(data)


def _in_words(record: dict[str, Any]) -> str:
    answers = ", ".join(_answer_in_words(mask) for mask in record["masks"][:SHOWN])
    more = len(record["masks"]) - SHOWN
    rest = f" and {more} more" if more > 0 else ""
    origin = "" if record["embedding"] == "made" else f", embedding {record['embedding']}"
    return (
        f"{record['width']}x{record['height']}, {answers}{rest}; "
        f"{record['seconds']:.2f} s, {record['engine']}{origin}"
    )


def _answer_in_words(mask: dict[str, Any]) -> str:
    name = f"{mask['name']}: " if mask["name"] else ""
    return (
        f"{name}predicted IoU {mask['predicted_iou']:.3f} stability {mask['stability_score']:.3f}"
    )
