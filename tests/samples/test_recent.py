"""What was read last stays, up to a number of bytes."""

import numpy as np

from samphire.samples.recent import Recent


class Reader:
    """Counts what it is asked to read."""

    def __init__(self):
        self.read = []

    def of(self, name, size=10):
        def read():
            self.read.append(name)
            return (np.zeros(size - 4, np.uint8), np.zeros(1, np.float32))

        return read


def test_what_fits_is_read_once_in_any_order():
    recent, reader = Recent(30), Reader()
    first = recent.get("a", reader.of("a"))
    for name in "bcabca":
        recent.get(name, reader.of(name))
    assert reader.read == ["a", "b", "c"]
    assert recent.get("a", reader.of("a")) is first


def test_the_least_recently_used_goes_first():
    recent, reader = Recent(20), Reader()
    for name in "abaca":
        recent.get(name, reader.of(name))
    assert reader.read == ["a", "b", "c"]
    recent.get("b", reader.of("b"))
    assert reader.read[-1] == "b"


def test_one_that_is_larger_than_all_is_kept_alone():
    recent, reader = Recent(20), Reader()
    recent.get("small", reader.of("small"))
    for _ in range(3):
        recent.get("large", reader.of("large", 100))
    recent.get("small", reader.of("small"))
    recent.get("large", reader.of("large", 100))
    assert reader.read == ["small", "large", "small", "large"]
