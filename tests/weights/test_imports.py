"""A user's file, kept under a name."""

from dataclasses import replace

import pytest
import torch

import samphire
from samphire.errors import OutputExistsError, WeightsError
from samphire.weights import imports, store
from samphire.weights.catalog import CATALOG
from samphire.weights.imports import import_weights
from samphire.weights.load import read_checkpoint
from samphire.weights.weights_file import check_weights

pytestmark = pytest.mark.slow


@pytest.fixture
def file(small, cache, tmp_path):
    path = tmp_path / "polyps.pth"
    torch.save({"model": {f"module.{name}": value for name, value in small.items()}}, path)
    return path


def test_an_imported_model_is_loaded_by_its_name(file, small, cache):
    made = import_weights(file, variant="vit_b")
    assert (made.name, store.imported_names()) == ("polyps", ["polyps"])
    file.unlink()
    engine = samphire.load("polyps", device="cpu")
    assert (engine.info.model, engine.info.preprocessing) == ("vit_b", "sam-128")
    for name, value in engine.module.state_dict().items():
        assert torch.equal(value, small[name]), name


def test_the_ids_are_those_of_the_file_itself(file):
    direct = samphire.load(file, variant="vit_b", device="cpu")
    import_weights(file, variant="vit_b")
    assert samphire.load("polyps", device="cpu").info == direct.info


def test_another_name_and_variant_are_kept(file):
    made = import_weights(file, name="lungs-2", variant="medsam")
    kept = read_checkpoint(made.path)
    assert (kept.variant, kept.preprocessing, kept.layout) == ("medsam", "medsam-128", "samphire")


def test_a_name_that_is_taken_is_not_replaced_unasked(file):
    import_weights(file, variant="vit_b")
    with pytest.raises(OutputExistsError, match="a model called polyps is there already"):
        import_weights(file, variant="vit_b")
    import_weights(file, variant="medsam", force=True)
    assert samphire.load("polyps", device="cpu").info.model == "medsam"


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "a b", "x" * 65])
def test_a_name_that_is_no_file_name_is_refused(file, name):
    with pytest.raises(WeightsError, match="cannot be used: expected letters"):
        import_weights(file, name=name or " ", variant="vit_b")
    assert store.imported_names() == []


def test_a_name_of_the_catalogue_is_not_for_other_files(file):
    with pytest.raises(WeightsError, match="vit_b is a model of the catalogue"):
        import_weights(file, name="vit_b", variant="vit_b")


def test_a_published_file_becomes_the_catalogues_model(file, monkeypatch):
    entry = CATALOG["vit_b"]
    digest = imports.file_digest(file, "sha256").hex()
    monkeypatch.setattr("samphire.weights.load.entry_of_file", {digest: entry}.get)
    made = import_weights(file)
    assert (made.name, made.path) == ("vit_b", store.weights_path(entry))
    check_weights(made.path, entry)
    assert samphire.load("vit_b", device="cpu", offline=True).info.model == "vit_b"


def test_a_file_that_does_not_fill_its_model_is_not_kept(small, cache, tmp_path):
    del small["mask_decoder.iou_token.weight"]
    torch.save(small, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"missing mask_decoder\.iou_token\.weight"):
        import_weights(tmp_path / "a.pth", variant="vit_b")
    assert store.imported_names() == []


def test_a_file_of_ours_with_the_catalogues_tensors_becomes_the_catalogues_model(
    tiny_engine, tiny_weights, cache, monkeypatch
):
    info = tiny_engine.info
    entry = replace(
        CATALOG["vit_t"], variant="tiny", encoder_id=info.encoder_id, base_id=info.base_id
    )
    monkeypatch.setitem(CATALOG, "vit_t", entry)
    made = import_weights(tiny_weights)
    assert (made.name, made.path) == ("vit_t", store.weights_path(entry))


def test_what_a_killed_import_left_is_no_model(cache):
    path = store.imported_path(".polyps.1234abcd.tmp")
    path.parent.mkdir(parents=True)
    path.touch()
    assert store.imported_names() == []


def test_an_imported_file_can_be_verified(file):
    made = import_weights(file, variant="vit_b")
    assert store.verify_imported("polyps").state == "good"
    data = bytearray(made.path.read_bytes())
    data[-1] ^= 1
    made.path.write_bytes(data)
    assert store.verify_imported("polyps").state == "damaged"
