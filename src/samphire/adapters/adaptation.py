"""What is adapted, as a value: method and settings, the decoder, the classes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from samphire.adapters.bottleneck import Bottleneck
from samphire.adapters.inject import Adapted, adapt
from samphire.adapters.lora import Lora
from samphire.adapters.partial import Decoder, Partial
from samphire.errors import AdapterError
from samphire.model.sam import Sam

Method = Lora | Bottleneck | Decoder | Partial

METHODS: Mapping[str, type[Method]] = {
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
        """Of the method."""
        return next(name for name, kind in METHODS.items() if isinstance(self.method, kind))

    def apply(self, base: Sam) -> Adapted:
        """A model with this adapter, untrained: it answers as ``base`` does."""
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
        raise AdapterError(f"method {name!r}: expected one of {', '.join(METHODS)}")
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
