"""What a tuning run is asked to do, as a value; from the command line or a TOML file, and back."""

from dataclasses import dataclass
from typing import Literal

from samphire.adapters import Adaptation
from samphire.errors import AdapterError
from samphire.tuning.augment import Kind

Task = Literal["interactive", "semantic", "both"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TuneSettings:
    """The settings of a run; the defaults are explained in the documentation.

    Attributes:
        adaptation: what trains.
        task: ``interactive``, by simulated prompts; ``semantic``, classes without prompts; both.
        epochs: at most so often each picture is seen.
        patience: stop after so many epochs without a better validation score.
        batch_size: pictures a step; each is run alone, so it costs no memory.
        objects: at most so many of a picture a step, chosen anew each time.
        corrections: clicks that correct the first answer, each with the answer before.
        learning_rate: at its highest, of the model's own parameters.
        new_learning_rate: of those that an adapter or a head adds.
        weight_decay: of matrices.
        warm_up: share of all steps in which the learning rate rises.
        clip: largest norm of the gradient.
        augment: ``none``, the eight ``flips``, or ``full``: see ``augment.py``.
        precision: of the encoder that trains and of the decoder; losses are float32.
        seed: of everything that is drawn.
    """

    adaptation: Adaptation
    task: Task = "interactive"
    epochs: int = 30
    patience: int = 10
    batch_size: int = 4
    objects: int = 8
    corrections: int = 2
    learning_rate: float = 1e-4
    new_learning_rate: float = 5e-4
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
