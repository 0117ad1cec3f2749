"""What ``samphire segment`` does once its arguments are checked: images -> masks -> files."""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from samphire import atomic
from samphire.arrays import ByteArray
from samphire.batch.journal import settings_id
from samphire.batch.local import Outcome, Product, Task, check_free, run
from samphire.cli.outputs import STREAM, Target, folder_targets, single_target
from samphire.engines.base import Engine
from samphire.formats import Format, save_masks
from samphire.images.draw import draw, encode_png
from samphire.images.read import image_name, read_image
from samphire.masks import Masks
from samphire.predict.embed import embed
from samphire.predict.prompted import segment_prompts
from samphire.prompts import Prompts


@dataclass(frozen=True)
class Options:
    """What the command line asks for, beside the inputs.

    Attributes:
        prompts: the same for every image.
        formats: of the masks' files.
        overlay: also write a picture with the masks drawn on it.
        multimask: see ``samphire.segment``.
        max_pixels: refuse larger images.
        force: replace outputs that are there.
        as_json: tell results as JSON.
    """

    prompts: Prompts
    formats: tuple[Format, ...]
    overlay: bool
    multimask: bool | None
    max_pixels: int
    force: bool
    as_json: bool


def segment_one(engine: Engine, given: str, options: Options, output: str | None) -> int:
    """One image: a file, or stdin; into files, or to stdout."""
    if given == STREAM:
        task, image = Task("stdin", Path("stdin")), sys.stdin.buffer.read()
    else:
        task, image = Task(given, Path(given)), Path(given)
    if output == STREAM:
        masks, _ = _masks(engine, image, options)
        _write_to_stdout(masks, options.formats[0])
        return 0
    product = _product(engine, image, single_target(output, task), options)
    check_free(product, force=options.force)
    product.write()
    _tell(Outcome(task, "done", product.outputs, product.record), options, click.echo)
    return 0


def segment_many(engine: Engine, tasks: list[Task], options: Options, folder: Path) -> int:
    """Files and folders, through the journal."""
    targets = folder_targets(tasks, folder)
    outcomes = run(
        tasks,
        lambda task: _product(engine, task.source, targets[task.name], options),
        folder=folder,
        settings=settings_id(_settings(engine, options)),
        force=options.force,
    )
    counts = Counter[str]()
    failed: list[Outcome] = []
    for outcome in tqdm(outcomes, total=len(tasks), unit="image", disable=None):
        counts[outcome.status] += 1
        failed += [outcome] if outcome.status == "failed" else []
        _tell(outcome, options, _beside_bar)
    click.echo(
        f"{counts['done']} segmented, {counts['skipped']} done before, {counts['failed']} failed; "
        f"masks are in {folder}",
        err=True,
    )
    for outcome in failed:
        click.echo(f"  {outcome.task.name}: {outcome.error}", err=True)
    return 1 if failed else 0


def _masks(engine: Engine, image: Path | bytes, options: Options) -> tuple[Masks, ByteArray]:
    """The masks, and the picture they lie on."""
    rgb = read_image(image, options.max_pixels)
    embedding = replace(embed(engine, rgb), image=image_name(image))
    masks = segment_prompts(engine, embedding, options.prompts, multimask=options.multimask)
    return masks, rgb


def _product(engine: Engine, image: Path | bytes, target: Target, options: Options) -> Product:
    """Masks of one image, ready to be written."""
    started = time.perf_counter()
    masks, rgb = _masks(engine, image, options)
    seconds = time.perf_counter() - started

    def write() -> None:
        for kind in options.formats:
            save_masks(masks, target.masks(kind.suffix), kind.name)
        if options.overlay:
            picture = draw(rgb, masks, options.prompts)
            atomic.write_bytes(target.overlay, encode_png(picture))

    files = [
        path
        for kind in options.formats
        for path in kind.paths(target.masks(kind.suffix), len(masks))
    ]
    return Product(
        outputs=(*files, target.overlay) if options.overlay else tuple(files),
        write=write,
        record={
            "width": masks.size.width,
            "height": masks.size.height,
            "seconds": round(seconds, 3),
            "engine": str(engine.info),
            "masks": [_scores(masks, index) for index in range(len(masks))],
        },
    )


def _scores(masks: Masks, index: int) -> dict[str, Any]:
    """What JSON tells about one mask; the box is x0, y0, x1, y1."""
    return {
        "prompt_index": int(masks.prompt_index[index]),
        "candidate": int(masks.candidate[index]),
        "predicted_iou": round(float(masks.predicted_iou[index]), 6),
        "stability_score": round(float(masks.stability[index]), 6),
        "area": int(masks.area[index]),
        "box": [int(edge) for edge in masks.boxes[index]],
    }


def _settings(engine: Engine, options: Options) -> dict[str, Any]:
    """All that the outputs depend on besides the image."""
    return {
        "command": "segment",
        "base_id": engine.info.base_id,
        "preprocessing": engine.info.preprocessing,
        "prompts": [
            {
                "points": item.points.tolist(),
                "labels": item.labels.tolist(),
                "box": None if item.box is None else item.box.tolist(),
                "mask": None
                if item.mask is None
                else hashlib.sha256(item.mask.tobytes()).hexdigest(),
            }
            for item in options.prompts.objects
        ],
        "multimask": options.multimask,
        "formats": [kind.name for kind in options.formats],
        "overlay": options.overlay,
    }


def _write_to_stdout(masks: Masks, kind: Format) -> None:
    files = list(kind.encode(masks))
    if len(files) > 1:
        raise click.UsageError(
            f"{kind.name} is one file a mask and there are {len(masks)}: stdout takes --format json"
        )
    sys.stdout.buffer.write(files[0])


def _tell(outcome: Outcome, options: Options, say: Callable[..., None]) -> None:
    """Results to stdout, talk to stderr."""
    record, files = outcome.record, [str(path) for path in outcome.outputs]
    if options.as_json:
        head = {"image": outcome.task.name, "status": outcome.status, "outputs": files}
        error = {"error": outcome.error} if outcome.error else {}
        say(json.dumps(head | error | record))
        return
    if record:
        answers = ", ".join(
            f"predicted IoU {mask['predicted_iou']:.3f} stability {mask['stability_score']:.3f}"
            for mask in record["masks"]
        )
        say(
            f"{outcome.task.name}: {record['width']}x{record['height']}, {answers}; "
            f"{record['seconds']:.2f} s, {record['engine']}",
            err=True,
        )
    for file in files:
        say(file)


def _beside_bar(text: str, err: bool = False) -> None:  # noqa: FBT002 - click.echo's signature
    """Like click.echo, without tearing the progress bar."""
    tqdm.write(text, file=sys.stderr if err else sys.stdout)
