"""What an adapter says it is, told without PyTorch and without its tensors."""

import subprocess
import sys
from dataclasses import replace

import pytest
from random_adapters import adapter_of

from samphire.adapters.lora import Lora
from samphire.errors import AdapterError
from samphire.weights.adapter_notes import AdapterSummary, read_summary


@pytest.mark.parametrize("classes", [(), ("polyp", "fold")])
def test_a_file_says_its_base_and_its_classes(tiny_engine, tmp_path, classes):
    adapter_of(tiny_engine, Lora(), classes, decoder=False).save(tmp_path / "a.safetensors")
    assert read_summary(tmp_path / "a.safetensors") == AdapterSummary("tiny", classes)


def test_a_file_says_the_window_of_its_volumes(tiny_engine, tmp_path):
    adapter = replace(adapter_of(tiny_engine, Lora()), window="-160,240")
    adapter.save(tmp_path / "a.safetensors")
    assert read_summary(tmp_path / "a.safetensors").window == "-160,240"


def test_it_is_told_without_pytorch(tiny_engine, tmp_path):
    adapter_of(tiny_engine, Lora(), decoder=False).save(tmp_path / "a.safetensors")
    code = (
        "import sys; from pathlib import Path\n"
        "from samphire.weights.adapter_notes import read_summary\n"
        "read_summary(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"version":"1"', b'"version":"2"', "upgrade"),
        (b'"adaptation":', b'"adoptation":', "is not it: 'adaptation'"),
        (b'\\"classes\\": [', b'\\"closses\\": [', "is not it: 'classes'"),
    ],
)
def test_a_newer_or_broken_head_is_refused(tiny_engine, tmp_path, old, new, message):
    path = tmp_path / "a.safetensors"
    adapter_of(tiny_engine, Lora(), decoder=False).save(path)
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(AdapterError, match=message):
        read_summary(path)
