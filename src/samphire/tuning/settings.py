"""What a tuning run is asked to do, as a value; to a TOML file, and back.

    task = "semantic"
    classes = ["polyp"]
    [method]
    name = "lora"
    rank = 8

What is left out has its default.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
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
            Flips and turns teach left as right: ``none`` for classes that name a side.
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
        low += [  # NaN, too, is refused
            f"{name}={getattr(self, name)}"
            for name in rates
            if not 0 < getattr(self, name) < math.inf
        ]
        if low:
            raise AdapterError(f"{', '.join(low)}: expected a number above 0, and finite")
        if not (0 <= self.warm_up < 1 and 0 <= self.weight_decay < math.inf):
            raise AdapterError(
                f"warm_up {self.warm_up}, weight_decay {self.weight_decay}: expected a share below "
                "1, and a finite number that is not negative"
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


def as_toml(settings: TuneSettings, *, classes: Sequence[str] = ()) -> str:
    """The settings as TOML; :func:`of_toml` reads it.

    Args:
        settings: of a run.
        classes: names of the data's classes, for a task that does not learn them.
    """
    top = settings_record(settings)
    if not settings.semantic:
        top["classes"] = list(classes)
    method = top.pop("method")
    lines = [f"{name} = {_toml(value)}" for name, value in top.items()]
    lines += ["", "[method]", *(f"{name} = {_toml(value)}" for name, value in method.items())]
    return "\n".join(lines) + "\n"


def of_toml(text: str) -> dict[str, Any]:
    """What a TOML file says, to be given to :func:`make_settings`; ``method`` is a table.

    Raises:
        AdapterError: it is no TOML, or the method is neither a table nor a name.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AdapterError(f"the settings are no TOML: {error}") from error
    return {**given, "method": _method_table(given)} if "method" in given else given


def given_classes(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of classes among settings as :func:`make_settings` takes them.

    Raises:
        AdapterError: they are no list.
    """
    classes = given.get("classes", [])
    if not isinstance(classes, list):
        raise AdapterError(f"classes {classes!r}: expected a list of names")
    return tuple(map(str, classes))


def make_settings(given: Mapping[str, Any]) -> TuneSettings:
    """Settings of what is given; the rest has its default.

    Args:
        given: fields of :class:`TuneSettings` but for ``adaptation``, in its place ``classes``,
            ``decoder`` and the table ``method`` with its ``name``, or that name. A task that
            learns no classes may be given those of its data, and passes them over.

    Raises:
        AdapterError: a name is not known, or a value is of another kind.
    """
    rest = dict(given)
    method = _method_table(given)
    name = str(method.pop("name", "decoder"))
    classes, decoder = given_classes(given), rest.pop("decoder", True)
    if not isinstance(decoder, bool):
        raise AdapterError(f"decoder {decoder!r}: expected a yes or no, true or false")
    for key in ("method", "classes"):
        rest.pop(key, None)
    hints = get_type_hints(TuneSettings)
    del hints["adaptation"]
    for key, value in rest.items():
        if key not in hints:
            raise AdapterError(
                f"there is no setting {key!r}: expected {', '.join(hints)}, classes, decoder, or "
                "the table method"
            )
        rest[key] = _checked(key, value, hints[key])
    task = rest.get("task", "interactive")
    rest.setdefault("learning_rate", LEARNING_RATES[task])
    learned = () if task == "interactive" else classes
    adaptation = Adaptation(make_method(name, method), decoder=decoder, classes=learned)
    return TuneSettings(adaptation, **rest)


def _method_table(given: Mapping[str, Any]) -> dict[str, Any]:
    """The method's settings with its name; a text is the name alone."""
    method = given.get("method", {})
    if isinstance(method, str):
        return {"name": method}
    if not isinstance(method, Mapping):
        raise AdapterError(f"method {method!r}: expected a name, or a table with name and settings")
    return dict(method)


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
