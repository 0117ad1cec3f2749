"""Everything read once before a run: what cannot be, what has no objects, which classes occur.

A file that is broken or a class that is missing is told before hours are spent, by name, and what
is left out is left out of the whole run. Not for what spoils a result without breaking a run, leaks
for example (``samples/check.py``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from samphire.errors import DataError, SamphireError
from samphire.evaluation.units import countable, units
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


def to_measure(samples: Sequence[Sample], found: Survey) -> tuple[Sample, ...]:
    """The samples of a validation or test set that can be measured, in the order given.

    A volume of which a slice cannot be read is left out whole: without it, it would be another. If
    no sample has an object, there is nothing: a model that finds nothing would look best.

    Args:
        samples: of one set.
        found: in it.
    """
    gone, filled = dict(found.unreadable), {sample.id for sample in found.filled}
    whole = [unit for _, unit in units(samples) if not any(each.id in gone for each in unit)]
    kept = {sample.id for unit in whole for sample in unit}
    return tuple(sample for sample in samples if sample.id in kept) if kept & filled else ()


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


def check_validation(samples: Sequence[Sample], found: Survey) -> None:
    """Refuse a validation set on which no epoch could be measured.

    Args:
        samples: of the set.
        found: in it.

    Raises:
        DataError: it is; the message says what to do.
    """
    if samples and not to_measure(samples, found):
        raise DataError(
            f"val: none of {len(samples)} can be measured ({_counts(found)}), so no epoch could "
            "be chosen: mend them (samphire data check names all), or validate on others (--splits)"
        )


def in_words(
    name: str, samples: Sequence[Sample], found: Survey, settings: TuneSettings
) -> Iterator[str]:
    """What a person should know before the run begins, a sentence each.

    Args:
        name: of the set: ``train``, ``val`` or ``test``.
        samples: of the set.
        found: in it.
        settings: of the run.
    """
    if found.unreadable:
        reasons = [f"{each} ({reason})" for each, reason in found.unreadable]
        yield f"{name}: left out, {len(reasons)} that could not be read: {listed(reasons)}"
    if name != "train":
        yield from _not_measured(name, samples, found)
        return
    if found.empty and not settings.semantic:
        ids = [sample.id for sample in found.empty]
        yield f"train: left out, {len(ids)} without an object to prompt for: {listed(ids)}"
    classes = settings.adaptation.classes
    missing = [each for label, each in enumerate(classes, 1) if label not in found.labels]
    if missing:
        yield f"warning: no example of {', '.join(missing)} to train on, so it cannot be learned"


def _not_measured(name: str, samples: Sequence[Sample], found: Survey) -> Iterator[str]:
    """Of a set that is only measured: what is left out though it can be read."""
    kept = to_measure(samples, found)
    others = len(samples) - len(kept) - len(found.unreadable)
    if kept and others:
        yield f"{name}: left out, {others} more slices of the same volumes: they are measured whole"
    if name == "test" and samples and not kept:
        yield (
            f"warning: test: none of {len(samples)} can be measured ({_counts(found)}), so the end "
            "is measured on val, by which the best epoch is chosen: new images will do a little "
            "worse"
        )


def _counts(found: Survey) -> str:
    """Of a set in which nothing can be measured: why."""
    said = f"{len(found.unreadable)} cannot be read, {len(found.empty)} have no object"
    torn = len(found.filled)
    return said + (f", {torn} are slices of a volume that cannot be read whole" if torn else "")
