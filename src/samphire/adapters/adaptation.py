"""What is adapted, as a value: method and settings, the decoder, the classes."""

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, ClassVar, Protocol

import torch

from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.inject import Adapted, Plan, adapt
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.errors import AdapterError
from samphire.model.sam import Sam


class Method(Protocol):
    """A way of tuning: a frozen dataclass of settings, each with a default.

    Values of settings are bool, int, float, str or a tuple of str, as a file can hold them.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def plan(self, sam: Sam) -> Plan:
        """What changes in this model, which is only read; with new modules at every call."""
        ...


# The names that files of adapters and the command line use. A program that has a method of its
# own adds its line: METHODS["name"] = Settings.
METHODS: dict[str, type[Method]] = {
    "adapter": Bottleneck,
    "decoder": Decoder,
    "lora": Lora,
    "partial": Partial,
}


@dataclass(frozen=True)
class Adaptation:
    """What an adapter is.

    Attributes:
        method: with its settings.
        decoder: the mask decoder trains, too.
        classes: names of the classes of a semantic task, the background apart; none without.
    """

    method: Method
    decoder: bool = True
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.method, Decoder) and not self.decoder and not self.classes:
            raise AdapterError("the method decoder with the decoder frozen: nothing would train")
        if len(set(self.classes)) < len(self.classes) or not all(self.classes):
            raise AdapterError(f"classes {self.classes}: expected names that differ")

    @property
    def name(self) -> str:
        """Of the method.

        Raises:
            AdapterError: it is not in ``METHODS``.
        """
        names = [name for name, kind in METHODS.items() if kind is type(self.method)]
        if not names:
            kind = type(self.method).__name__
            raise AdapterError(
                f"{kind} has no name: expected one of {', '.join(METHODS)}; give it its line, "
                f'samphire.adapters.METHODS["..."] = {kind}'
            )
        return names[0]

    def apply(self, base: Sam, *, seed: int = 0) -> Adapted:
        """A model with this adapter, untrained: it answers as ``base`` does.

        Args:
            base: the model; it stays as it is.
            seed: of what new parameters start as; torch's own random numbers are not used up.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            plan = self.method.plan(base)
            return adapt(base, plan, decoder=self.decoder, classes=len(self.classes))

    def as_json(self) -> dict[str, Any]:
        """For the adapter's file; :meth:`of` reads it."""
        return {
            "method": self.name,
            "settings": asdict(self.method),
            "decoder": self.decoder,
            "classes": list(self.classes),
        }

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Adaptation":
        """The value of :meth:`as_json`.

        Raises:
            AdapterError: it is none.
        """
        try:
            method = make_method(given["method"], given["settings"])
            classes = tuple(str(name) for name in given["classes"])
            return cls(method, decoder=bool(given["decoder"]), classes=classes)
        except (KeyError, TypeError, ValueError) as error:
            raise AdapterError(f"{dict(given)} describes no adapter: {error}") from error


def make_method(name: str, settings: Mapping[str, Any]) -> Method:
    """A method by its name, with some settings; the others keep their defaults.

    Raises:
        AdapterError: there is no such method or setting, or a value is of another kind.
    """
    if name not in METHODS:
        raise AdapterError(
            f"method {name!r}: expected one of {', '.join(METHODS)}; one of your own needs its "
            "line in samphire.adapters.METHODS"
        )
    kind = METHODS[name]
    known = {field.name: field.default for field in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise AdapterError(f"method {name} has no setting {key!r}: expected {expected}")
        given = tuple(value) if isinstance(value, list) else value
        given = float(given) if isinstance(known[key], float) and type(given) is int else given
        if type(given) is not type(known[key]):
            raise AdapterError(
                f"{name}, {key} = {value!r}: expected a {type(known[key]).__name__} such as "
                f"{known[key]!r}"
            )
        values[key] = given
    return kind(**values)
