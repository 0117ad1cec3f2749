"""The method that a page adds is a method like the package's own, on both encoders."""

import copy
import re
from pathlib import Path

import pytest
import torch
from adapted import answer, random_pixels, toy, train

from samphire.adapters import METHODS, Adaptation, merged_tensors
from samphire.errors import AdapterError
from samphire.model import variants
from samphire.weights.adapter_file import AdapterFile, load_adapter

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-method.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def ssf():
    """The method, by the page's first block: the file."""
    names: dict = {}
    exec(compile(BLOCKS[0], PAGE.name, "exec"), names)  # noqa: S102 - our own page
    return names["Ssf"]


@pytest.fixture(params=["tiny", "vit"])
def sam(request):
    return toy(request.param)


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in BLOCKS:
        exec(compile(block, PAGE.name, "exec"), names)  # noqa: S102 - our own page
    count, first, second = capsys.readouterr().out.splitlines()
    assert count.endswith(" numbers train")
    assert float(second) < float(first)
    assert load_adapter(tmp_path / "ssf.safetensors").adaptation.name == "ssf"


def test_it_starts_as_the_identity_and_changes_only_its_own(ssf, sam):
    pixels = random_pixels()
    adapted = Adaptation(ssf(), decoder=False).apply(sam)
    before = {name: value.clone() for name, value in adapted.module.state_dict().items()}
    with torch.no_grad():
        features = sam.encode(pixels)
        assert torch.equal(adapted.module.encode(pixels), features)
    train(adapted, pixels)
    after = adapted.module.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == set(adapted.parameters())
    assert {name.rpartition(".")[2] for name in moved} == {"gamma", "beta"}
    with torch.no_grad():
        assert torch.equal(sam.encode(pixels), features)


def test_its_file_needs_the_line_and_brings_it_back(ssf, sam, tmp_path):
    adaptation = Adaptation(ssf(blocks="last:1"), classes=("a",))
    adapted = adaptation.apply(sam)
    train(adapted, random_pixels())
    file = AdapterFile(
        adaptation=adaptation,
        base="toy",
        base_id="0" * 64,
        preprocessing="sam-64",
        tensors=adapted.tensors(),
    )
    with pytest.raises(AdapterError, match="METHODS"):
        file.save(tmp_path / "a.safetensors")
    METHODS["ssf"] = ssf
    file.save(tmp_path / "a.safetensors")
    read = load_adapter(tmp_path / "a.safetensors")
    assert read.adaptation == adaptation
    again = read.adaptation.apply(sam)
    again.load(read.tensors)
    with torch.no_grad():
        for expected, found in zip(
            answer(adapted, random_pixels()), answer(again, random_pixels()), strict=True
        ):
            assert torch.equal(expected, found)
    del METHODS["ssf"]
    with pytest.raises(AdapterError, match="METHODS"):
        load_adapter(tmp_path / "a.safetensors")


def test_merged_it_is_a_plain_checkpoint_that_answers_alike(ssf, sam):
    adapted = Adaptation(ssf(), decoder=False).apply(sam)
    train(adapted, random_pixels())
    plain = copy.deepcopy(sam)
    plain.load_state_dict(merged_tensors(adapted), strict=True)
    with torch.no_grad():
        expected = adapted.module.encode(random_pixels())
        assert (plain.encode(random_pixels()) - expected).abs().max() < 1e-4
        assert (sam.encode(random_pixels()) - expected).abs().max() > 1e-2


def test_it_trains_as_many_numbers_as_the_paper_counts(ssf):
    with torch.device("meta"):
        sam = variants.vit_b()
    modules = ssf().plan(sam).modules.values()
    count = sum(value.numel() for module in modules for value in module.parameters())
    assert count == 204_288 - 2 * 768  # the paper's, less the patch embedding's
