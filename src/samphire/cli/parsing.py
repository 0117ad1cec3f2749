"""Options that several commands share, and how their texts become values."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from samphire.images.window import Window as VolumeWindowValue

Command = TypeVar("Command", bound=Callable[..., Any])


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them.

    Args:
        name: what help calls it, for example ``X,Y``; one number a part.
        example: what the message about a wrong one shows.
    """

    def __init__(self, name: str, example: str) -> None:
        self.name = name
        self.example = example

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers of the text."""
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.name.split(",")):
            self.fail(f"{value!r} is not {self.name}: expected numbers like {self.example}")
        return numbers


class Window(Numbers):
    """Two intensities in order."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Low and high."""
        from samphire.errors import ImageError
        from samphire.images.intensity import check_window

        low, high = value if isinstance(value, tuple) else super().convert(value, param, ctx)
        try:
            return check_window((low, high))
        except ImageError as error:
            self.fail(str(error))


class VolumeWindow(click.ParamType["VolumeWindowValue"]):
    """A window of volumes, by name, percentiles or ends."""

    name = "window"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "VolumeWindowValue":
        """The window."""
        from samphire.errors import ImageError
        from samphire.images.window import parse_window

        try:
            return parse_window(str(value))
        except ImageError as error:
            self.fail(str(error))


class ClassNames(click.ParamType[tuple[str, ...]]):
    """Names of classes with commas between them, the first for label 1."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names, without the spaces around them."""
        if isinstance(value, tuple):  # a default
            return value
        names = tuple(part.strip() for part in str(value).split(","))
        if not all(names) or len(set(names)) < len(names):
            self.fail(f"{value!r}: expected different names with commas")
        return names


class Bytes(click.ParamType[int]):
    """A number of bytes, for example 500MB."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number."""
        from samphire.cache import parse_bytes

        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(str(error))


POINT = Numbers("X,Y", "520,375")
BOX = Numbers("X0,Y0,X1,Y1", "520,375,900,610")

model_option = click.option(
    "--model", default="vit_t", show_default=True, help="Name of a model, or a weights file."
)
adapter_option = click.option(
    "--adapter", metavar="FILE", help="An adapter that samphire tune wrote for this model."
)
variant_option = click.option(
    "--variant", help="What a file is, where its shapes cannot tell: vit_b or medsam."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps or auto."
)
offline_option = click.option(
    "--offline", is_flag=True, help="Use what is on this machine; touch no network."
)
force_option = click.option("--force", is_flag=True, help="Replace outputs that are there.")
max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=100_000_000,
    show_default=True,
    help="Refuse larger images.",
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Images at once; the processor's cores are shared out.",
)
volume_window_option = click.option(
    "--window",
    type=VolumeWindow(),
    metavar="WINDOW",
    help="Black and white of volumes: ct-soft-tissue, ct-lung, ct-brain, percentile:0.5-99.5 (the "
    "default), or LOW,HIGH in the file's unit.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def image_options(command: Command) -> Command:
    """How pictures are read: ``max_pixels``, ``page``, ``window``."""
    return _with(
        command,
        max_pixels_option,
        click.option(
            "--page",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Of a TIFF, or frame of an animation, from 0.",
        ),
        click.option(
            "--window",
            type=Window("LOW,HIGH", "-160,240"),
            help="Intensities that become black and white, for more than 8 bits.",
        ),
    )


def cache_options(command: Command) -> Command:
    """Where embeddings are kept between runs: ``no_cache``, ``max_cache``."""
    return _with(
        command,
        click.option(
            "--no-cache", is_flag=True, help="Neither look up nor keep what the encoder gives."
        ),
        click.option(
            "--max-cache",
            type=Bytes(),
            envvar="SAMPHIRE_MAX_CACHE",
            default="10GB",
            show_default=True,
            show_envvar=True,
            help="Room for what is kept; the least used goes first.",
        ),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    """The command with these options, shown in this order."""
    for option in reversed(options):
        command = option(command)
    return command
