"""Splits: which sample is for training, which for choosing, which for the last judgement.

A split is a file, written once and used again: with the same file every run sees the same samples,
and changed data is refused. Groups (patients, volumes, videos, slides) and equal files are never
torn apart. Not for looking at pictures (``check.py`` finds near duplicates), nor for the file's
format (``split_file.py``).
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samphire.errors import FileFormatError
from samphire.samples.sample import DataSet, Sample, Split
from samphire.samples.together import together

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SHOWN = 5


@dataclass(frozen=True)
class Member:
    """A sample of a split.

    Attributes:
        id: of the sample.
        group: of the sample.
        content: SHA-256, in hex, of the SHA-256s of its files in their order.
    """

    id: str
    group: str
    content: str


@dataclass(frozen=True)
class Splits:
    """A data set taken apart; the members of each part are sorted by id.

    Attributes:
        seed: it was drawn with; None where the data itself said which sample is where.
        fractions: of train, val and test that were asked for; None where seed is.
        train: what weights are fitted to.
        val: what decides when to stop and which weights are kept.
        test: what decides nothing.
    """

    seed: int | None
    fractions: tuple[float, float, float] | None
    train: tuple[Member, ...]
    val: tuple[Member, ...]
    test: tuple[Member, ...]

    def members(self, split: Split) -> tuple[Member, ...]:
        """Those of one split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    def ids(self, split: Split) -> tuple[str, ...]:
        """The ids of one split, sorted."""
        return tuple(member.id for member in self.members(split))


def make_splits(
    dataset: DataSet,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
) -> Splits:
    """Take a data set apart by its groups, or as the data itself says.

    Groups that share equal files stay together too. They are put in an order that
    depends only on the seed and their names; the first go to train, val and test, one each, and
    every other to the split that lacks most samples.

    Args:
        dataset: its files are read and hashed.
        seed: of the order; not used where the samples say their split.
        fractions: of the samples for train, val and test; their sum is 1, and only test may be 0.

    Returns:
        splits that :func:`check_splits` accepts.

    Raises:
        ValueError: fractions that are none.
        FileFormatError: too few groups; only some samples say their split; the splits that the
            data says share a group or equal files.
    """
    _check_fractions(fractions)
    _check_ids(dataset)
    members = members_of(dataset.samples)
    said = [sample for sample in dataset.samples if sample.split is not None]
    if not said:
        places = _drawn(dataset, members, seed, fractions)
        return _splits(seed, fractions, members, places)
    if len(said) < len(dataset.samples):
        silent = [sample.id for sample in dataset.samples if sample.split is None]
        raise FileFormatError(
            f"{dataset.name} says the split of {len(said)} samples and not of {listed(silent)}: "
            "expected a split for all or for none; complete it, or take it away"
        )
    splits = _splits(None, None, members, {each.id: each.split for each in said if each.split})
    problems = _leaks(splits) + _empty(splits)
    if problems:
        raise FileFormatError(
            f"the splits that {dataset.name} comes with cannot be used: {'; '.join(problems)}; "
            "correct them, or take them away for Samphire to draw new ones"
        )
    return splits


def check_splits(splits: Splits, dataset: DataSet) -> None:
    """Refuse splits that leak, or that were made for other data than this.

    Raises:
        FileFormatError: ids are missing, new or changed, or an id, a group or equal files are in
            two splits; all are listed by name.
    """
    _check_ids(dataset)
    known = {member.id: member for split in SPLITS for member in splits.members(split)}
    found = {member.id: member for member in members_of(dataset.samples)}
    both = sorted(known.keys() & found.keys())
    problems = _leaks(splits)
    for what, ids in (
        ("are in the splits and not in the data", sorted(known.keys() - found.keys())),
        ("are in the data and not in the splits", sorted(found.keys() - known.keys())),
        ("have changed", [each for each in both if known[each].content != found[each].content]),
        ("are of another group", [each for each in both if known[each].group != found[each].group]),
    ):
        problems += [f"{what}: {listed(ids)}"] if ids else []
    if problems:
        raise FileFormatError(
            f"the splits do not fit {dataset.name}: {'; '.join(problems)}. Bring back the data "
            "that they were made for, or make new splits and train again"
        )


def with_new_test(splits: Splits, dataset: DataSet) -> tuple[Splits, tuple[str, ...]]:
    """Splits whose test samples are what the data holds now.

    For a test set that nothing was measured on yet, of which a file was mended. All that
    :func:`check_splits` refuses beside changed content stays refused.

    Returns:
        the splits, and the ids of the test samples that have changed.
    """
    found = {member.id: member.content for member in members_of(dataset.samples)}
    now = tuple(replace(each, content=found.get(each.id, each.content)) for each in splits.test)
    changed = [was.id for was, each in zip(splits.test, now, strict=True) if was != each]
    return replace(splits, test=now), tuple(changed)


def subset(dataset: DataSet, splits: Splits, split: Split) -> DataSet:
    """The samples of one split, as a data set.

    Raises:
        FileFormatError: the data set lacks some of them.
    """
    wanted = set(splits.ids(split))
    samples = tuple(sample for sample in dataset.samples if sample.id in wanted)
    missing = wanted - {sample.id for sample in samples}
    if missing:
        raise FileFormatError(
            f"{dataset.name} lacks samples of the split {split}: {listed(sorted(missing))}; "
            "check_splits tells the differences"
        )
    return replace(dataset, samples=samples)


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def members_of(samples: Iterable[Sample]) -> list[Member]:
    """What a split keeps of samples, sorted by id; each of their files is read once and hashed.

    Raises:
        FileFormatError: a sample names no files.
        OSError: a file cannot be read.
    """
    digests: dict[Path, bytes] = {}  # slices share their volume, pictures their annotation file
    return [
        Member(sample.id, sample.group, _content(sample, digests))
        for sample in sorted(samples, key=lambda sample: sample.id)
    ]


def _content(sample: Sample, digests: dict[Path, bytes]) -> str:
    if not sample.files:
        raise FileFormatError(
            f"{sample.id} names no files: expected those it is read from, for their bytes tell "
            "whether the data has changed"
        )
    for path in sample.files:
        if path not in digests:
            with path.open("rb") as file:
                digests[path] = hashlib.file_digest(file, "sha256").digest()
    return hashlib.sha256(b"".join(digests[path] for path in sample.files)).hexdigest()


def _drawn(
    dataset: DataSet, members: list[Member], seed: int, fractions: tuple[float, float, float]
) -> dict[str, Split]:
    """The split of each id."""
    clusters = together([("group", each.group), ("content", each.content)] for each in members)
    names: dict[int, str] = {}  # of the smallest group in each
    for cluster, each in zip(clusters, members, strict=True):
        names[cluster] = min(names.get(cluster, each.group), each.group)
    sizes = Counter(clusters)
    order = sorted(sizes, key=lambda cluster: _shuffled(seed, names[cluster]))
    used = [split for split, fraction in zip(SPLITS, fractions, strict=True) if fraction]
    if len(order) < len(used):
        raise FileFormatError(
            f"{dataset.name} has {len(order)} groups that can be kept apart: expected at least "
            f"{len(used)}, one each for {', '.join(used)}. Add data from other sources, or tell "
            "finer groups if pictures of one group are independent"
        )
    lacking = {split: part * len(members) for split, part in zip(SPLITS, fractions, strict=True)}
    homes: dict[int, Split] = {}
    for index, cluster in enumerate(order):
        home = used[index] if index < len(used) else max(used, key=lambda split: lacking[split])
        homes[cluster] = home
        lacking[home] -= sizes[cluster]
    return {each.id: homes[cluster] for each, cluster in zip(members, clusters, strict=True)}


def _shuffled(seed: int, name: str) -> bytes:
    """A sort key; the same in every version of Python and NumPy, unlike their generators."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _splits(
    seed: int | None,
    fractions: tuple[float, float, float] | None,
    members: list[Member],
    places: Mapping[str, Split],
) -> Splits:
    train, val, test = (
        tuple(member for member in members if places[member.id] == split) for split in SPLITS
    )
    return Splits(seed, fractions, train, val, test)


def _leaks(splits: Splits) -> list[str]:
    """What is in two splits, a sentence part each."""
    return (
        _shared(splits, "ids in two splits", lambda member: member.id)
        + _shared(splits, "groups in two splits", lambda member: member.group)
        + _shared(splits, "equal files in two splits", lambda member: member.content)
    )


def _shared(splits: Splits, what: str, key: Callable[[Member], str]) -> list[str]:
    places: dict[str, dict[Split, str]] = {}
    for split in SPLITS:
        for member in splits.members(split):
            places.setdefault(key(member), {}).setdefault(split, member.id)
    found = [
        " = ".join(f"{name} ({split})" for split, name in where.items())
        for _, where in sorted(places.items())
        if len(where) > 1
    ]
    return [f"{what}: {listed(found)}"] if found else []


def _empty(splits: Splits) -> list[str]:
    return [f"{split} is empty" for split in SPLITS[:2] if not splits.members(split)]


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    train, val, test = fractions
    if not (train > 0 and val > 0 and test >= 0 and math.isclose(train + val + test, 1)):
        raise ValueError(
            f"fractions {train}, {val}, {test}: expected those of train, val and test, with a sum "
            "of 1, and more than 0 for train and val"
        )


def _check_ids(dataset: DataSet) -> None:
    counts = Counter(sample.id for sample in dataset.samples)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise FileFormatError(f"{dataset.name} has ids that are there twice: {listed(twice)}")
