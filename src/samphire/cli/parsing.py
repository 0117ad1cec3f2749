"""Options that several commands share, and how their texts become values."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them.

    Args:
        name: what help calls it, for example ``X,Y``; one number a part.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers of the text."""
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.name.split(",")):
            self.fail(f"{value!r} is not {self.name}: expected numbers like {self._example()}")
        return numbers

    def _example(self) -> str:
        return ",".join(["520", "375", "900", "610"][: len(self.name.split(","))])


POINT = Numbers("X,Y")
BOX = Numbers("X0,Y0,X1,Y1")

model_option = click.option(
    "--model", default="vit_t", show_default=True, help="Name of a model, or a weights file."
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
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
