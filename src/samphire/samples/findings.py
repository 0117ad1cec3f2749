"""The rules of the check: each looks at the facts of all samples and tells what it found.

A leak is what lets a model be judged on what it was trained on: always an error. Not for reading
(``check.py``) nor for printing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from samphire.samples.facts import Facts
from samphire.samples.look_alikes import look_alikes
from samphire.samples.sample import DataSet, Sample, Split
from samphire.samples.split import SPLITS, listed
from samphire.samples.together import together

Severity = Literal["error", "warning", "note"]

# Longest side that a picture has in the model, and below which an object is tiny there, pixels.
MODEL_SIDE, TINY = 1024, 16


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: an error spoils training or its judgement, a warning may, a note does not.
        kind: a word or two that stay the same, for programs.
        ids: of the samples, sorted; empty where it is about all.
        text: what was found and what to do.
    """

    severity: Severity
    kind: str
    ids: tuple[str, ...]
    text: str


def in_samples(facts: Sequence[Facts], classes: tuple[str, ...]) -> list[Finding]:
    """What is odd about single pictures and their objects."""

    def found(odd: Callable[[Facts], bool], severity: Severity, kind: str, text: str) -> None:
        ids = tuple(sorted(each.sample.id for each in facts if odd(each)))
        if ids:
            named = f"{len(ids)} of {len(facts)}: {listed(ids)}. {text}"
            findings.append(Finding(severity, kind, ids, named))

    findings = _labels(facts, classes)
    found(
        lambda each: each.ignored,
        "error",
        "all ignored",
        "No pixel counts, so there is nothing to learn; correct the value to ignore, or leave the "
        "picture out",
    )
    found(
        lambda each: each.blank,
        "warning",
        "blank picture",
        "All pixels are the same; look at the file, and leave it out if it shows nothing",
    )
    found(
        lambda each: bool((each.area == each.size.height * each.size.width).any()),
        "warning",
        "full object",
        "An object covers the whole picture; is its mask inverted, or its background lost?",
    )
    found(
        lambda each: bool((each.area == 0).any()),
        "warning",
        "empty object",
        "An object has no pixels; it is left out in training, so remove it or draw it",
    )
    found(
        lambda each: not len(each.area) and each.sample.volume is None,
        "warning",
        "no object",
        "Right for pictures that show none; a mistake where masks were not found",
    )
    found(
        lambda each: not len(each.area) and each.sample.volume is not None,
        "note",
        "no object",
        "Slices without an object, as most volumes have",
    )
    return findings + _tiny(facts)


def in_copies(facts: Sequence[Facts]) -> list[Finding]:
    """Pictures that are there twice, or look as if."""
    shown = [each for each in facts if not each.blank]
    samples = [each.sample for each in shown]
    equal = together([each.pixels] for each in shown)
    findings = [
        _copies(same, "duplicate", "have the same pixels") for same in _sets(samples, equal)
    ]
    pairs = [
        (one, other)
        for one, other in look_alikes(
            [each.look for each in shown], [sample.group for sample in samples]
        )
        if equal[one] != equal[other]
    ]
    keys: list[list[object]] = [[] for _ in shown]
    for pair in pairs:
        for index in pair:
            keys[index].append(pair)
    near = together(keys)
    return findings + [
        _copies(same, "near duplicate", "look alike") for same in _sets(samples, near)
    ]


def in_splits(dataset: DataSet, facts: Sequence[Facts]) -> list[Finding]:
    """What the splits that the data says tear apart or lack."""
    samples = dataset.samples
    twice = tuple(name for name, count in Counter(each.id for each in samples).items() if count > 1)
    silent = tuple(sorted(each.id for each in samples if each.split is None))
    findings: list[Finding] = []
    if twice:
        text = f"{listed(twice)}: two samples have one id; rename one"
        findings.append(Finding("error", "id twice", twice, text))
    if 0 < len(silent) < len(samples):
        text = (
            f"{len(silent)} of {len(samples)} samples say no split: {listed(silent)}. Complete the "
            "split, or take it away for Samphire to draw one"
        )
        findings.append(Finding("error", "half a split", silent, text))
    findings += _torn(samples, "group", lambda each: each.group)
    findings += _torn(samples, "volume", lambda each: each.volume.name if each.volume else None)
    return findings + _missing(dataset.classes, facts)


def _labels(facts: Sequence[Facts], classes: tuple[str, ...]) -> list[Finding]:
    """Labels that are none of the classes: 255 beside 1, numbers of a palette, grey of JPEG."""
    last = max(1, len(classes))
    wrong: dict[str, set[int]] = {}
    for each in facts:
        strange = {int(value) for value in each.label if not 1 <= value <= last}
        if strange:
            wrong[each.sample.id] = strange
    if not wrong:
        return []
    ids, values = tuple(sorted(wrong)), sorted(set().union(*wrong.values()))
    shown = listed([str(value) for value in values])
    hint = (
        "masks of 0 and 255 beside masks of 0 and 1? Write all as 0 and 1"
        if values == [255]
        else "a mask saved as JPEG, a palette, or classes that are not named? Save masks as PNG "
        "with the numbers of the classes, and name all classes (--classes)"
    )
    text = f"labels {shown} in {listed(ids)}: expected 1 to {last}; {hint}"
    return [Finding("error", "mask values", ids, text)]


def _tiny(facts: Sequence[Facts]) -> list[Finding]:
    sides = [
        each.side[each.area > 0] * MODEL_SIDE / max(each.size.height, each.size.width)
        for each in facts
    ]
    total = sum(map(len, sides))
    small = sum(int((side < TINY).sum()) for side in sides)
    if not small:
        return []
    ids = tuple(
        sorted(
            each.sample.id
            for each, side in zip(facts, sides, strict=True)
            if bool((side < TINY).any())
        )
    )
    median = float(np.median(np.concatenate(sides)))
    text = (
        f"{small} of {total} objects are smaller than {TINY} pixels where the picture's longest "
        f"side is {MODEL_SIDE} (median {median:.0f}), in {listed(ids)}. "
    )
    if median < TINY:
        text += "The model sees hardly anything of them; cut the pictures into tiles"
        return [Finding("warning", "tiny objects", ids, text)]
    return [Finding("note", "tiny objects", ids, text + "Expect little of these")]


def _copies(same: Sequence[Sample], kind: str, how: str) -> Finding:
    ids = tuple(sorted(each.id for each in same))
    splits = [split for split in SPLITS if any(each.split == split for each in same)]
    names = " = ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
    if len(splits) > 1:
        text = (
            f"{names} {how}, in {' and '.join(splits)}: a leak. Keep one, or put all in one split"
        )
        return Finding("error", kind, ids, text)
    if len({each.group for each in same}) > 1:
        text = f"{names} {how}, in different groups. Give them one group, or keep one"
        return Finding("warning", kind, ids, text)
    return Finding("note", kind, ids, f"{names} {how}, in one group")


def _sets(samples: Sequence[Sample], clusters: Sequence[int]) -> list[list[Sample]]:
    found: dict[int, list[Sample]] = defaultdict(list)
    for sample, cluster in zip(samples, clusters, strict=True):
        found[cluster].append(sample)
    return [same for same in found.values() if len(same) > 1]


def _torn(
    samples: Iterable[Sample], what: str, name: Callable[[Sample], str | None]
) -> list[Finding]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for each in samples:
        key = name(each)
        if key is not None and each.split is not None:
            found[key].append(each)
    findings = []
    for key, parts in sorted(found.items()):
        splits = [split for split in SPLITS if any(each.split == split for each in parts)]
        if len(splits) > 1:
            text = f"the {what} {key} is in {' and '.join(splits)}: a leak. Put it in one of them"
            ids = tuple(sorted(each.id for each in parts))
            findings.append(Finding("error", f"{what} in two splits", ids, text))
    return findings


def _missing(classes: tuple[str, ...], facts: Sequence[Facts]) -> list[Finding]:
    places: dict[int, set[Split | None]] = defaultdict(set)  # of each label
    for each in facts:
        for label in np.unique(each.label):
            places[int(label)].add(each.sample.split)
    named = list(enumerate(classes, start=1))
    absent = [name for label, name in named if not places[label]]
    findings = []
    if absent and facts:
        text = (
            f"{len(absent)} of {len(classes)} classes have no object at all: {listed(absent)}. "
            "Leave them out, or look at their labels"
        )
        findings.append(Finding("warning", "missing class", (), text))
    for split in SPLITS:
        lacking = [name for label, name in named if places[label] and split not in places[label]]
        if lacking and any(each.sample.split == split for each in facts):
            text = (
                f"{split} has no object of {listed(lacking)}: nothing can be "
                f"{'learnt' if split == 'train' else 'said'} of them; move groups that have some"
            )
            findings.append(Finding("warning", "missing class", (), text))
    return findings
