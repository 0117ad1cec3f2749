"""What compat's tests share: the tiny model under its published interface, and a picture."""

import numpy as np
import pytest

from samphire.compat import SamPredictor, aliases
from samphire.compat.segment_anything.modeling.sam import Sam, from_samphire
from samphire.model.sam import Sam as PlainSam

collect_ignore = ["scripts"]  # they import segment_anything: for ``python -m samphire.compat``


@pytest.fixture
def sam(tiny_sam: PlainSam) -> Sam:
    """The tiny model; encoder and decoder are shared with other tests: do not change them."""
    return from_samphire(tiny_sam)


@pytest.fixture
def photo() -> np.ndarray:
    """75 rows, 100 columns, RGB: it becomes 48 x 64 in the tiny model's input."""
    return np.random.default_rng(1).integers(0, 256, (75, 100, 3), dtype=np.uint8)


@pytest.fixture
def predictor(sam: Sam, photo: np.ndarray) -> SamPredictor:
    """With the photo set."""
    predictor = SamPredictor(sam)
    predictor.set_image(photo)
    return predictor


@pytest.fixture
def installed():
    """``segment_anything`` and ``mobile_sam`` are Samphire's, as long as the test runs."""
    aliases.install()
    yield
    aliases.uninstall()
