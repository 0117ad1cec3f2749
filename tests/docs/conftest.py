"""A page that adds a method adds it for itself alone."""

from collections.abc import Iterator

import pytest

from samphire.adapters import METHODS


@pytest.fixture(autouse=True)
def _methods() -> Iterator[None]:
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)
