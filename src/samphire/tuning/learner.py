"""One step: some pictures, their losses, one move of the optimiser.

A picture is run alone, so that a batch costs the memory of one; its gradient reaches the encoder
once, whatever was asked about it. The loop that calls it is ``loop.py``.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from samphire.adapters import Adapted
from samphire.engines.torch_engine import DTYPES, TorchEngine
from samphire.errors import NonFiniteError
from samphire.evaluation.prompts import generator
from samphire.images.preprocessing import preprocessing
from samphire.samples import Sample
from samphire.tuning import processes
from samphire.tuning.examples import make_example
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.objectives import class_maps, conversation
from samphire.tuning.settings import TuneSettings
from samphire.tuning.state import RunState, save_state

logger = logging.getLogger(__name__)


class Learner:
    """What a step needs, and the step.

    Args:
        engine: the base.
        adapted: the model that trains.
        frozen: its encoder.
        settings: of the run.
    """

    def __init__(
        self, engine: TorchEngine, adapted: Adapted, frozen: FrozenEncoder, settings: TuneSettings
    ) -> None:
        self.engine, self.adapted, self.frozen, self.settings = engine, adapted, frozen, settings
        self.parameters = list(adapted.parameters().values())
        for value in self.parameters:
            value.requires_grad_()
        self.optimiser = make_optimiser(adapted, settings)
        self.scaler = torch.amp.GradScaler(
            engine.device.type, enabled=settings.precision == "float16"
        )

    def step(self, batch: Sequence[Sample], *, epoch: int, rate: float) -> tuple[float, float]:
        """Learn from some pictures.

        Args:
            batch: of all processes; this one takes its share.
            epoch: from 0.
            rate: share of the learning rate.

        Returns:
            the loss, a mean over the batch, and the norm of its gradient before it was clipped.

        Raises:
            NonFiniteError: a loss or the gradient is NaN or infinite.
        """
        loss = 0.0
        for sample in processes.mine(batch):
            for part in self.losses(sample, epoch):
                value = float(part.detach())
                if not math.isfinite(value):
                    raise NonFiniteError(
                        f"the loss of {sample.id} is {value} in epoch {epoch + 1}: look at the "
                        "picture (samphire data check), or lower the learning rate"
                    )
                self.scaler.scale(part / len(batch)).backward()
                loss += value / len(batch)
        loss = processes.join_gradients(self.parameters, loss)
        if all(value.grad is None for value in self.parameters):
            return loss, 0.0  # pictures without an object, and prompts alone: nothing to learn
        self.scaler.unscale_(self.optimiser)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        if not math.isfinite(norm):
            self._overflowed(batch, epoch, float(norm))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        return loss, float(norm)

    def _overflowed(self, batch: Sequence[Sample], epoch: int, norm: float) -> None:
        """Say that a step will not be taken; only float16, whose scale then falls, may go on."""
        names = ", ".join(sample.id for sample in batch)
        said = f"the gradient of {names} has norm {norm} in epoch {epoch + 1}"
        # below 1 it is not the scale that is too large
        if not self.scaler.is_enabled() or self.scaler.get_scale() < 1:
            raise NonFiniteError(
                f"{said}: lower the learning rate, tune in float32, or look at the pictures "
                "(samphire data check)"
            )
        logger.warning("%s: too large for float16, so this step is left out", said)

    def losses(self, sample: Sample, epoch: int) -> Iterator[torch.Tensor]:
        """Losses of one picture; their gradients reach the encoder after the last one."""
        settings, adapted = self.settings, self.adapted
        rng = generator(settings.seed, epoch, sample.id)
        example = make_example(
            sample.read(),
            classes=len(settings.adaptation.classes),
            objects=settings.objects if settings.interactive else 0,
            view=settings.augment,
            rng=rng,
        )
        if adapted.head is None and not len(example.objects):
            return  # nothing to ask about, so the encoder need not look
        tokens, frame = self.frozen.tokens(example.image)
        half = torch.autocast(
            self.engine.device.type,
            DTYPES[settings.precision],
            enabled=settings.precision != "float32",
        )
        with half:
            features = self.frozen.features(tokens)
        # the losses meet here, so that the encoder is gone through backwards once
        leaf = features.detach().requires_grad_(features.requires_grad)
        with half:
            if settings.interactive and len(example.objects):
                boxes_only = preprocessing(self.engine.info.preprocessing).boxes_only
                corrections = 0 if boxes_only else settings.corrections
                turns = conversation(
                    adapted.module,
                    leaf,
                    example,
                    frame,
                    corrections=corrections,
                    boxes_only=boxes_only,
                    rng=rng,
                )
                for loss in turns:
                    yield loss / (1 + corrections)
            if adapted.head is not None:
                yield class_maps(adapted.module, adapted.head, leaf, example, frame)
        if leaf.grad is not None:
            features.backward(leaf.grad)

    def save(self, path: Path, state: RunState) -> None:
        """Write where the run stands."""
        state.tensors, state.optimiser = self.adapted.tensors(), self.optimiser.state_dict()
        state.scaler = self.scaler.state_dict()
        if processes.is_first():
            save_state(path, state)

    def restore(self, state: RunState) -> None:
        """Put everything back."""
        self.adapted.load(state.tensors)
        self.optimiser.load_state_dict(dict(state.optimiser))
        self.scaler.load_state_dict(dict(state.scaler))


def make_optimiser(adapted: Adapted, settings: TuneSettings) -> torch.optim.AdamW:
    """AdamW; weight decay for matrices alone, the model's own parameters slower than new ones."""
    own = {name for name, _ in adapted.base.named_parameters()}
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, value in adapted.parameters().items():
        peak = settings.learning_rate if name in own else settings.new_learning_rate
        decay = settings.weight_decay if value.ndim > 1 else 0.0
        groups.setdefault((peak * adapted.learning_rates[name], decay), []).append(value)
    return torch.optim.AdamW(
        [
            {"params": values, "lr": peak, "peak": peak, "weight_decay": decay}
            for (peak, decay), values in groups.items()
        ],
        fused=True,  # one pass over memory, not ten: a twentieth of a step with kept embeddings
    )
