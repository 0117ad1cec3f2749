"""Everything read once before a run: what cannot be, what has no objects, which classes occur.

A file that is broken or a class that is missing is told before hours are spent, by name. Not for
what spoils a result without breaking a run, leaks for example (``samples/check.py``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from samphire.errors import DataError, SamphireError
from samphire.evaluation.units import countable
from samphire.samples import Sample
from samphire.samples.split import listed
from samphire.tuning.settings import TuneSettings


@dataclass(frozen=True)
class Survey:
    """What reading a set gave.

    Attributes:
        filled: samples with an object that counts, in the order given.
        empty: those without.
        unreadable: id and reason of those that could not be read.
        labels: the labels that occur, each with the id of the first sample that has it.
    """

    filled: tuple[Sample, ...]
    empty: tuple[Sample, ...]
    unreadable: tuple[tuple[str, str], ...]
    labels: Mapping[int, str]


def survey(
    samples: Sequence[Sample], *, on_progress: Callable[[int, int], None] | None = None
) -> Survey:
    """Read all samples, one at a time.

    Args:
        samples: of one set.
        on_progress: called with samples done and in all.
    """
    filled: list[Sample] = []
    empty: list[Sample] = []
    unreadable: list[tuple[str, str]] = []
    labels: dict[int, str] = {}
    for done, sample in enumerate(samples, start=1):
        try:
            labelled = sample.read()
        except (SamphireError, OSError) as error:
            unreadable.append((sample.id, str(error)))
        else:
            (filled if len(countable(labelled)) else empty).append(sample)
            for label in labelled.objects.label.tolist():
                labels.setdefault(label, sample.id)
        if on_progress is not None:
            on_progress(done, len(samples))
    return Survey(tuple(filled), tuple(empty), tuple(unreadable), labels)


def to_learn_from(found: Survey, settings: TuneSettings) -> tuple[Sample, ...]:
    """The samples of a training set that a step can learn from, sorted by id.

    A picture without objects teaches which pixels are background, if classes are learned; there is
    nothing on it to prompt for.
    """
    kept = (*found.filled, *found.empty) if settings.semantic else found.filled
    return tuple(sorted(kept, key=lambda sample: sample.id))


def check_labels(found: Survey, settings: TuneSettings) -> None:
    """Refuse labels that are no class of the task.

    Raises:
        DataError: there are; a sample is named.
    """
    classes = settings.adaptation.classes
    wrong = [label for label in sorted(found.labels) if not 1 <= label <= len(classes)]
    if settings.semantic and wrong:
        raise DataError(
            f"objects have the label {wrong[0]}, for example on {found.labels[wrong[0]]}, and the "
            f"{len(classes)} classes are {', '.join(classes)}: expected 1 to {len(classes)}; give "
            "a name for each class of the data (--classes), background not among them"
        )


def in_words(name: str, found: Survey, settings: TuneSettings) -> Iterator[str]:
    """What a person should know before the run begins, a sentence each.

    Args:
        name: of the set: ``train``, ``val`` or ``test``.
        found: in it.
        settings: of the run.
    """
    if found.unreadable:
        ids = [each for each, _ in found.unreadable]
        reason = found.unreadable[0][1]
        yield f"{name}: left out, {len(ids)} that could not be read: {listed(ids)} ({reason})"
    if name != "train":
        return
    if found.empty and not settings.semantic:
        ids = [sample.id for sample in found.empty]
        yield f"train: left out, {len(ids)} without an object to prompt for: {listed(ids)}"
    classes = settings.adaptation.classes
    missing = [each for label, each in enumerate(classes, 1) if label not in found.labels]
    if missing:
        yield f"warning: no example of {', '.join(missing)} to train on, so it cannot be learned"
