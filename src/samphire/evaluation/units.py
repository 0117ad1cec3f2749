"""What is measured as one, and which of its objects count.

Not for measuring (``protocols.py``, ``everything.py``).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from samphire.arrays import BoolArray, IntArray
from samphire.errors import DataError
from samphire.samples import Labelled, Sample


def units(samples: Sequence[Sample]) -> list[tuple[str, tuple[Sample, ...]]]:
    """What is measured as one, by its name: a picture, or the slices of a volume in their order.

    Raises:
        DataError: a sample is given twice, or a picture has the name of a volume.
    """
    twice = [name for name, count in Counter(sample.id for sample in samples).items() if count > 1]
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.volume.name if sample.volume else sample.id, []).append(sample)
    twice += [
        name for name, unit in found.items() if len(unit) > 1 and not all(s.volume for s in unit)
    ]
    if twice:
        raise DataError(f"{', '.join(twice[:5])}: given twice, expected each sample once")
    return [(name, tuple(sorted(unit, key=place_of))) for name, unit in found.items()]


def place_of(sample: Sample) -> int:
    """Of a slice in its volume; 0 of a picture."""
    return sample.volume.index if sample.volume else 0


def countable(labelled: Labelled) -> IntArray:
    """Which objects have a pixel that counts: their indices."""
    objects, ignore = labelled.objects, labelled.ignore
    counts: BoolArray = objects.area > 0
    if ignore is not None:
        counts = np.array([bool((each.to_array()[0] & ~ignore).any()) for each in objects], bool)
    indices: IntArray = np.flatnonzero(counts)
    return indices
