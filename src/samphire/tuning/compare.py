"""Before and after: the model without and with its adapter, on the same pictures and prompts.

Writes no weights and decides nothing, so held-out data may come in here, and here alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from samphire.engines.torch_engine import TorchEngine
from samphire.evaluation.protocols import Evaluation, Protocol, evaluate
from samphire.images.preprocessing import preprocessing
from samphire.samples import Sample
from samphire.tuning.settings import TuneSettings
from samphire.tuning.validation import protocols
from samphire.weights.adapter_file import AdapterFile

# A case whose Dice moved by less than this is the same to a person.
NOTICEABLE = 0.01


@dataclass(frozen=True, eq=False)
class Comparison:
    """What one protocol measured.

    Attributes:
        protocol: its name.
        before: of the base; None where it cannot answer: without an adapter there are no classes.
        after: with the adapter, the same cases in the same order.
    """

    protocol: Protocol
    before: Evaluation | None
    after: Evaluation

    @property
    def worse(self) -> int:
        """Cases whose Dice fell noticeably."""
        if self.before is None:
            return 0
        pairs = zip(self.before.cases, self.after.cases, strict=True)
        return sum(was.agreement.dice - now.agreement.dice > NOTICEABLE for was, now in pairs)

    def in_words(self) -> str:
        """One line for a person."""
        after = f"{self.after.mean_dice:.3f} in {len(self.after.cases)} cases"
        if self.before is None:
            return f"{self.protocol}: mean Dice {after}"
        return (
            f"{self.protocol}: mean Dice {self.before.mean_dice:.3f} before, {after} after, "
            f"{self.worse} of them worse"
        )


def compare(
    engine: TorchEngine,
    adapter: AdapterFile,
    samples: Sequence[Sample],
    settings: TuneSettings,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Comparison, ...]:
    """Measure by the protocols of the run, and what a click can still do after it.

    Args:
        engine: the base.
        adapter: trained on it.
        samples: held out.
        settings: of the run.
        on_progress: called with samples done and in all, over all protocols.

    Raises:
        DataError: nothing could be measured.
    """
    worn = engine.wearing(adapter)
    chosen = protocols(engine, settings)
    if not settings.interactive:
        boxes_only = preprocessing(engine.info.preprocessing).boxes_only
        chosen = (*chosen, "box" if boxes_only else "points")
    total = len(samples) * sum(1 if protocol == "semantic" else 2 for protocol in chosen)
    done = 0

    def measured(which: TorchEngine, protocol: Protocol) -> Evaluation:
        nonlocal done

        def told(here: int, _: int) -> None:
            if on_progress is not None:
                on_progress(done + here, total)

        found = evaluate(which, samples, protocol, on_progress=told)
        done += len(samples)
        return found

    return tuple(
        Comparison(
            protocol,
            None if protocol == "semantic" else measured(engine, protocol),
            measured(worn, protocol),
        )
        for protocol in chosen
    )
