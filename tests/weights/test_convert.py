import subprocess
import sys

import numpy as np
import pytest
import torch

from samphire.errors import CheckpointError
from samphire.weights.convert import tensors_of
from samphire.weights.sources import UrlSource

URL = UrlSource("http://example.invalid/tiny.pt", "tiny.pt", 10, "a" * 64)


def test_a_checkpoint_gives_its_tensors(tmp_path, make_entry):
    path = tmp_path / "tiny.pt"
    torch.save({"a": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}, path)
    found = tensors_of(path, URL, make_entry(URL))
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    assert found["steps"] == 3
    assert found["steps"].dtype == np.int64


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, make_entry):
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (marker.touch, ())

    path = tmp_path / "tiny.pt"
    torch.save({"a": Attack()}, path)
    with pytest.raises(CheckpointError, match="holds a Python object, getattr, besides tensors"):
        tensors_of(path, URL, make_entry(URL))
    assert not marker.exists()


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from pathlib import Path
from samphire.errors import MissingExtraError
from samphire.weights.catalog import entry
from samphire.weights.convert import tensors_of
found = entry("vit_t")
try:
    tensors_of(Path("nothing"), found.sources[0], found)
except MissingExtraError as error:
    sys.exit(str(error))
"""


def test_without_pytorch_the_extra_is_named():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip().endswith(
        'mobile_sam.pt can only be read with PyTorch: pip install "samphire[torch]"'
    )
