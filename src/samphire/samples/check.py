"""The check of labelled data before training: read everything once, tell what would break it.

Not for repairing, and not for the rules themselves (``findings.py``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from samphire.errors import SamphireError, ShapeError
from samphire.geometry import Size
from samphire.samples.facts import Facts, facts_of
from samphire.samples.findings import Finding, in_copies, in_samples, in_splits
from samphire.samples.sample import DataSet, Split
from samphire.samples.split import SPLITS

OnProgress = Callable[[int, int], None]
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Part:
    """A split in numbers.

    Attributes:
        split: its name; None for samples without one.
        samples: that could be read.
        groups: among them.
        objects: how many of each class, in the order of ``DataSet.classes``; one number where the
            data does not tell classes apart.
    """

    split: Split | None
    samples: int
    groups: int
    objects: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        name: of the data set.
        layout: of the data set.
        classes: of the data set.
        samples: how many there are.
        parts: train, val, test, and samples without a split; those that are there.
        sizes: of the pictures and how many have each, the most frequent first.
        findings: errors first.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    samples: int
    parts: tuple[Part, ...]
    sizes: tuple[tuple[Size, int], ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that must be dealt with before training."""
        return tuple(each for each in self.findings if each.severity == "error")


def check(dataset: DataSet, *, on_progress: OnProgress | None = None) -> Report:
    """Read every sample once and find what breaks training or makes its judgement worthless.

    Args:
        dataset: where its samples say their split, leaks between splits are errors.
        on_progress: called with the samples that are read and those there are in all.

    Returns:
        the report; a sample that cannot be read is a finding, not an exception.
    """
    facts: list[Facts] = []
    findings: list[Finding] = []
    for done, sample in enumerate(dataset.samples, start=1):
        try:
            facts.append(facts_of(sample, sample.read()))
        except ShapeError as error:
            text = f"{sample.id}: {error}. Give picture and masks one size"
            findings.append(Finding("error", "size mismatch", (sample.id,), text))
        except (SamphireError, OSError) as error:
            text = f"{sample.id}: {error}. Repair the file, or leave the sample out"
            findings.append(Finding("error", "unreadable", (sample.id,), text))
        if on_progress is not None:
            on_progress(done, len(dataset.samples))
    if not dataset.samples:
        text = "no samples; look at the path and at the layout that was recognised"
        findings.append(Finding("error", "nothing there", (), text))
    findings += in_splits(dataset, facts) + in_copies(facts)
    findings += in_samples(facts, dataset.classes)
    return Report(
        name=dataset.name,
        layout=dataset.layout,
        classes=dataset.classes,
        samples=len(dataset.samples),
        parts=tuple(_parts(facts, max(1, len(dataset.classes)))),
        sizes=tuple(Counter(each.size for each in facts).most_common()),
        findings=tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity))),
    )


def _parts(facts: Sequence[Facts], classes: int) -> Iterable[Part]:
    for split in (*SPLITS, None):
        inside = [each for each in facts if each.sample.split == split]
        if inside:
            labels = Counter(int(label) for each in inside for label in each.label)
            yield Part(
                split,
                len(inside),
                len({each.sample.group for each in inside}),
                tuple(labels[label] for label in range(1, classes + 1)),
            )
