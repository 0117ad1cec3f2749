"""``samphire demo``: one click on a photo, the three-level answer in one picture."""

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samphire.cli.parsing import (
    device_option,
    force_option,
    json_option,
    model_option,
    offline_option,
)

if TYPE_CHECKING:
    from samphire.engines.base import Engine

# The photo and the click of segment-anything's own example: a truck's rear window.
PHOTO, CLICK = "truck.jpg", (500, 375)


@click.command()
@click.option(
    "--output", default="samphire-demo.png", show_default=True, help="The picture to write."
)
@model_option
@device_option
@force_option
@offline_option
@json_option
def demo(output: str, model: str, device: str, force: bool, offline: bool, as_json: bool) -> None:
    """Click on a truck, look at the answers.

    \b
    Example:
      samphire demo --output truck-demo.png

    A single click is ambiguous: the window, the cab, or the whole truck? The model answers with
    three masks and a guess how good each is. Fetches the default model if it is not here (37 MB).
    """
    from samphire import atomic
    from samphire.engines.load import load
    from samphire.errors import OutputExistsError

    path = Path(output)
    if path.exists() and not force:
        raise OutputExistsError(
            f"{path} is there already: --force replaces it, --output chooses another file"
        )
    click.echo("fetching the model if it is not here, then clicking on a truck", err=True)
    engine = load(model, device=device, offline=offline)
    atomic.write_bytes(path, demo_picture(engine))
    picture = str(path.resolve())
    click.echo(json.dumps({"picture": picture}) if as_json else picture)


def demo_photo() -> bytes:
    """The photo that comes with Samphire (segment-anything's, Apache-2.0)."""
    return files("samphire.cli").joinpath(PHOTO).read_bytes()


def demo_picture(engine: "Engine") -> bytes:
    """The photo with the click, and the three answers, in one picture: a PNG."""
    import numpy as np

    from samphire.images.draw import draw, encode_png, side_by_side
    from samphire.predict.embed import embed
    from samphire.predict.prompted import segment_prompts
    from samphire.prompts import Prompts

    photo = demo_photo()
    prompts = Prompts.of(points=[CLICK])
    masks = segment_prompts(engine, embed(engine, photo), prompts, multimask=True)
    by_size = masks[np.argsort(masks.area)]
    pictures = [draw(photo, masks[:0], prompts)]
    captions = ["one click"]
    for level, answer in zip(("subpart", "part", "whole"), by_size, strict=True):
        pictures.append(draw(photo, answer, prompts))
        captions.append(f"{level}, predicted IoU {answer.predicted_iou[0]:.2f}")
    return encode_png(side_by_side(pictures, captions))
