"""What the pages share: a cache of their own; and a page that adds a method adds it for itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samphire.adapters import METHODS
from samphire.weights.store import cache_dir


@pytest.fixture(autouse=True)
def _methods() -> Iterator[None]:
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.fixture(scope="session")
def page_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real weights and with no embeddings of a person's."""
    folder = tmp_path_factory.mktemp("cache")
    for name in ("weights", "downloads"):
        (folder / name).symlink_to(cache_dir() / name, target_is_directory=True)
    return folder


@pytest.fixture
def own_cache(page_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of the pages, in the place of a person's."""
    monkeypatch.setenv("SAMPHIRE_CACHE", str(page_cache))
