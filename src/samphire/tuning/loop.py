"""Tuning, from the first step to the last: read it from top to bottom.

    for each epoch:  for each batch of pictures:  for each picture:
        frozen part of the encoder (kept) -> the rest -> prompts or classes -> loss -> gradient
    optimiser step;  after each epoch: measure on the validation set, keep the best

Nothing is hidden in a framework: devices, half precision and several processes are plain torch. A
picture is run alone, so a batch costs the memory of one. Test data has no way in here.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from samphire.adapters import Adapted
from samphire.cache import Cache
from samphire.engines.torch_engine import DTYPES, TorchEngine
from samphire.errors import CancelledError, DataError, NonFiniteError
from samphire.evaluation.prompts import generator
from samphire.images.preprocessing import preprocessing
from samphire.samples import Sample
from samphire.tuning import processes
from samphire.tuning.examples import make_example
from samphire.tuning.frozen import FrozenEncoder
from samphire.tuning.objectives import class_maps, conversation
from samphire.tuning.settings import TuneSettings
from samphire.tuning.state import RunState, load_state, save_state
from samphire.tuning.validation import Validation, adapter_file, validate

logger = logging.getLogger(__name__)

STATE, LOG, BEST, LAST = "state.pt", "log.jsonl", "best.safetensors", "last.safetensors"
# A killed run repeats at most so much; a save takes some hundredths of a second.
SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class Progress:
    """What a run says of itself, after each step.

    Attributes:
        epoch: that is under way, from 0.
        step: optimiser steps done, of ``steps``.
        steps: at most.
        loss: of the step, the mean over its pictures.
        score: the newest of the validation; NaN before the first.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    score: float


def fit(
    engine: TorchEngine,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TuneSettings,
    folder: Path,
    *,
    run: str = "",
    cache: Cache | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Validation:
    """Tune an adapter; the best and the last are written to ``folder``, as is all that was logged.

    A run that was stopped at any moment is called again in the same way and goes on: its result is
    that of a run that was not. Selection is by the validation score alone; of equal scores the
    first counts.

    Args:
        engine: the base, without an adapter; it stays as it is.
        train: at least one sample.
        val: at least one sample, none of them in ``train``.
        settings: see there.
        folder: of this run.
        run: identity of data and settings, for resuming.
        cache: where the frozen part's results are kept.
        on_progress: called after each step.
        cancel: asked after each step; the state is saved before the run stops.

    Returns:
        What the best adapter scored on ``val``.

    Raises:
        DataError: a set is empty, sets overlap, or ``folder`` holds another run.
        NonFiniteError: a loss is NaN or infinite; the pictures are named.
        CancelledError: ``cancel`` said so.
    """
    _check_sets(train, val)
    torch.manual_seed(settings.seed)  # the start of the adapter's weights
    adapted = settings.adaptation.apply(engine.module)
    parameters = adapted.parameters()
    for value in parameters.values():
        value.requires_grad_()
    optimiser = make_optimiser(adapted, settings)
    scaler = torch.amp.GradScaler(engine.device.type, enabled=settings.precision == "float16")
    frozen = FrozenEncoder(adapted, engine.info, cache)
    state = _begin(folder, run, adapted, optimiser, scaler)
    log = Log(folder / LOG, state)
    batches = math.ceil(len(train) / settings.batch_size)
    steps = batches * settings.epochs
    score, saved = float("nan"), time.monotonic()

    def save() -> None:
        state.tensors, state.optimiser = adapted.tensors(), optimiser.state_dict()
        state.scaler = scaler.state_dict()
        if processes.is_first():
            save_state(folder / STATE, state)

    while state.epoch < settings.epochs and not _is_stale(state, settings):
        order = epoch_order(len(train), settings.seed, state.epoch)
        while state.batch < batches:
            started = time.perf_counter()
            share = learning_rate_share(state.step, steps, settings.warm_up)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * share
            first = state.batch * settings.batch_size
            batch = [train[index] for index in order[first : first + settings.batch_size]]
            loss = 0.0
            for sample in processes.mine(batch):
                for part in _losses(engine, adapted, frozen, sample, settings, state.epoch):
                    if not math.isfinite(float(part.detach())):
                        raise NonFiniteError(
                            f"the loss of {sample.id} is {float(part.detach())} at step "
                            f"{state.step}: look at the picture (samphire data check), or lower "
                            "the learning rate"
                        )
                    scaler.scale(part / len(batch)).backward()
                    loss += float(part.detach()) / len(batch)
            loss = processes.join_gradients(list(parameters.values()), loss)
            scaler.unscale_(optimiser)
            norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), settings.clip)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad(set_to_none=True)
            state.step, state.batch = state.step + 1, state.batch + 1
            log.write(
                {
                    "step": state.step,
                    "epoch": state.epoch + 1,
                    "loss": loss,
                    "learning_rate": optimiser.param_groups[0]["lr"],
                    "gradient_norm": float(norm),
                    "seconds": round(time.perf_counter() - started, 3),
                }
            )
            if on_progress is not None:
                on_progress(Progress(state.epoch, state.step, steps, loss, score))
            if cancel is not None and cancel():
                save()
                raise CancelledError(f"stopped after step {state.step} of {steps}; it can go on")
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
        state.epoch, state.batch = state.epoch + 1, 0
        measured = validate(engine, adapted, frozen, val, settings)
        score = processes.from_first(measured.score)
        if not state.best_epoch or score > state.best_score:
            state.best_epoch, state.best_score = state.epoch, score
            if processes.is_first():
                adapter_file(engine, adapted, settings, measured).save(folder / BEST)
        log.write({"epoch": state.epoch, "step": state.step, **measured.as_json()})
        save()
        saved = time.monotonic()
    final = validate(engine, adapted, frozen, val, settings)
    if processes.is_first():
        adapter_file(engine, adapted, settings, final).save(folder / LAST)
    return Validation(score=state.best_score, parts={}, epoch=state.best_epoch)


def _losses(
    engine: TorchEngine,
    adapted: Adapted,
    frozen: FrozenEncoder,
    sample: Sample,
    settings: TuneSettings,
    epoch: int,
) -> Iterator[torch.Tensor]:
    """Losses of one picture; their gradients reach the encoder when the last one is done with."""
    rng = generator(settings.seed, epoch, sample.id)
    example = make_example(
        sample.read(),
        classes=len(settings.adaptation.classes),
        objects=settings.objects if settings.interactive else 0,
        view=settings.augment,
        rng=rng,
    )
    tokens, frame = frozen.tokens(example.image)
    half = torch.autocast(
        engine.device.type, DTYPES[settings.precision], enabled=settings.precision != "float32"
    )
    with half:
        features = frozen.features(tokens)
    # the losses meet here, so that the encoder is gone through backwards once
    leaf = features.detach().requires_grad_(features.requires_grad)
    boxes_only = preprocessing(engine.info.preprocessing).boxes_only
    with half:
        if settings.interactive and len(example.objects):
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
        ]
    )


def learning_rate_share(step: int, steps: int, warm_up: float) -> float:
    """The share of the highest learning rate at a step: a linear rise, then a cosine to 1 %.

    >>> [round(learning_rate_share(step, 10, 0.2), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.505, 0.048]
    """
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def epoch_order(count: int, seed: int, epoch: int) -> list[int]:
    """The order of the samples in an epoch."""
    order: list[int] = generator(seed, epoch, "order").permutation(count).tolist()
    return order


class Log:
    """A file of JSON lines; what a stopped run wrote after its last saved state is taken back."""

    def __init__(self, path: Path, state: RunState) -> None:
        self._path = path
        if not processes.is_first():
            return
        kept = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = _entry(line)
                after_epoch = "loss" not in entry and entry.get("epoch", 0) > state.epoch
                if entry and entry["step"] <= state.step and not after_epoch:
                    kept.append(line)
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, entry: dict[str, object]) -> None:
        """Add a line."""
        if processes.is_first():
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def _entry(line: str) -> dict[str, int]:
    """A line of the log; empty for one that was being written when the run was killed."""
    try:
        entry: dict[str, int] = json.loads(line)
    except ValueError:
        return {}
    return entry


def _begin(
    folder: Path,
    run: str,
    adapted: Adapted,
    optimiser: torch.optim.AdamW,
    scaler: torch.amp.GradScaler,
) -> RunState:
    """The state of a run that was stopped, with everything put back; or that of a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    state = load_state(folder / STATE)
    if state is None:
        return RunState(run)
    if state.run != run:
        raise DataError(
            f"{folder} holds a run with other settings or data: choose another --output, or give "
            "--force to begin again there"
        )
    logger.info("going on after step %d", state.step)
    adapted.load(state.tensors)
    optimiser.load_state_dict(dict(state.optimiser))
    scaler.load_state_dict(dict(state.scaler))
    return state


def _is_stale(state: RunState, settings: TuneSettings) -> bool:
    return bool(state.best_epoch) and state.epoch - state.best_epoch >= settings.patience


def _check_sets(train: Sequence[Sample], val: Sequence[Sample]) -> None:
    if not train or not val:
        raise DataError(
            f"{len(train)} samples to train on and {len(val)} to validate on: expected some of "
            "each (samphire data check says what is in the data)"
        )
    shared = {sample.group for sample in train} & {sample.group for sample in val}
    if shared:
        raise DataError(
            f"{len(shared)} groups are in training and in validation, for example "
            f"{sorted(shared)[0]}: a score would tell what was learned by heart"
        )
