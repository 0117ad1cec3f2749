"""What a tuning run is asked to do, as a value; to a TOML file, and back.

    task = "semantic"
    classes = ["polyp"]
    [method]
    name = "lora"
    rank = 8

What is left out has its default.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from samphire.adapters import Adaptation
from samphire.adapters.adaptation import make_method
from samphire.errors import AdapterError
from samphire.tuning.augment import Kind

Task = Literal["interactive", "semantic", "both"]
Precision = Literal["float32", "bfloat16", "float16"]

# A decoder that answers prompts already has little to learn and much to lose; one that is to do
# without them has to learn that. Chosen on the validation split of polyps.
LEARNING_RATES: Mapping[Task, float] = {"interactive": 1e-4, "semantic": 1e-3, "both": 3e-4}


@dataclass(frozen=True)
class TuneSettings:
    """The settings of a run; the defaults are explained in the documentation.

    Attributes:
        adaptation: what trains.
        task: ``interactive``, by simulated prompts; ``semantic``, classes without them; ``both``.
        epochs: at most so often each picture is seen.
        patience: stop after so many epochs without a better validation score.
        batch_size: pictures a step; each is run alone, so it costs no memory.
        objects: at most so many of a picture a step, chosen anew each time.
        corrections: clicks that correct the first answer, each with the answer before.
        learning_rate: at its highest, of the model's own parameters; ``make_settings`` takes that
            of the task (``LEARNING_RATES``) where none is given.
        new_learning_rate: of those that an adapter or a head adds.
        weight_decay: of matrices.
        warm_up: share of all steps in which the learning rate rises.
        clip: largest norm of the gradient.
        augment: ``none``, the eight ``flips`` and turns, or ``full``: also zoom, shift and light.
        precision: of the encoder that trains and of the decoder; losses are float32.
        seed: of everything that is drawn.
    """

    adaptation: Adaptation
    task: Task = "interactive"
    epochs: int = 30
    patience: int = 10
    batch_size: int = 2
    objects: int = 8
    corrections: int = 2
    learning_rate: float = 1e-4
    new_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    clip: float = 1.0
    augment: Kind = "flips"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("epochs", "patience", "batch_size", "objects")
        low = [f"{name}={getattr(self, name)}" for name in counts if getattr(self, name) < 1]
        low += ["corrections"] if self.corrections < 0 else []
        rates = ("learning_rate", "new_learning_rate", "clip")
        low += [f"{name}={getattr(self, name)}" for name in rates if getattr(self, name) <= 0]
        if low:
            raise AdapterError(f"{', '.join(low)}: expected a number above 0")
        if not (0 <= self.warm_up < 1 and self.weight_decay >= 0):
            raise AdapterError(
                f"warm_up {self.warm_up}, weight_decay {self.weight_decay}: expected a share below "
                "1, and no negative number"
            )
        if (self.task == "interactive") == bool(self.adaptation.classes):
            raise AdapterError(
                f"task {self.task} with classes {self.adaptation.classes}: semantic tasks need "
                "names of classes, interactive ones have none"
            )

    @property
    def interactive(self) -> bool:
        """Whether prompts are simulated."""
        return self.task != "semantic"

    @property
    def semantic(self) -> bool:
        """Whether classes are learned."""
        return self.task != "interactive"


def settings_record(settings: TuneSettings) -> dict[str, Any]:
    """The settings as :func:`make_settings` takes them, every one."""
    adaptation = settings.adaptation
    top = {field.name: getattr(settings, field.name) for field in fields(settings)[1:]}
    top |= {"decoder": adaptation.decoder, "classes": list(adaptation.classes)}
    return {**top, "method": {"name": adaptation.name, **asdict(adaptation.method)}}


def as_toml(settings: TuneSettings) -> str:
    """The settings as TOML; :func:`of_toml` reads it."""
    top = settings_record(settings)
    method = top.pop("method")
    lines = [f"{name} = {_toml(value)}" for name, value in top.items()]
    lines += ["", "[method]", *(f"{name} = {_toml(value)}" for name, value in method.items())]
    return "\n".join(lines) + "\n"


def of_toml(text: str) -> dict[str, Any]:
    """What a TOML file says, to be given to :func:`make_settings`.

    Raises:
        AdapterError: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AdapterError(f"the settings are no TOML: {error}") from error


def make_settings(given: Mapping[str, Any]) -> TuneSettings:
    """Settings of what is given; the rest has its default.

    Args:
        given: fields of :class:`TuneSettings` but for ``adaptation``, in its place ``classes``,
            ``decoder`` and the table ``method`` with its ``name``.

    Raises:
        AdapterError: a name is not known, or a value is of another kind.
    """
    rest = dict(given)
    method = dict(rest.pop("method", {}))
    name = str(method.pop("name", "decoder"))
    classes, decoder = rest.pop("classes", []), rest.pop("decoder", True)
    if not isinstance(classes, list) or not isinstance(decoder, bool):
        raise AdapterError(
            f"classes {classes!r}, decoder {decoder!r}: expected a list, a yes or no"
        )
    hints = get_type_hints(TuneSettings)
    del hints["adaptation"]
    for key, value in rest.items():
        if key not in hints:
            raise AdapterError(
                f"there is no setting {key!r}: expected {', '.join(hints)}, classes, decoder, or "
                "the table method"
            )
        rest[key] = _checked(key, value, hints[key])
    rest.setdefault("learning_rate", LEARNING_RATES[rest.get("task", "interactive")])
    adaptation = Adaptation(
        make_method(name, method), decoder=decoder, classes=tuple(map(str, classes))
    )
    return TuneSettings(adaptation, **rest)


def _checked(key: str, value: object, kind: Any) -> object:  # noqa: ANN401 - a type, or a Literal
    if isinstance(kind, type):
        found = float(value) if kind is float and type(value) is int else value
        if type(found) is kind:
            return found
        raise AdapterError(f"{key} = {value!r}: expected {kind.__name__}")
    if value in get_args(kind):
        return value
    raise AdapterError(f"{key} = {value!r}: expected one of {', '.join(get_args(kind))}")


def _toml(value: object) -> str:
    """A value as TOML; the ones that occur here are written as JSON writes them."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
