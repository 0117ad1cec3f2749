"""Any file of weights -> a model, by content, with every decision said."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_weights
from safetensors import safe_open
from safetensors.torch import save_file
from small_vit import small_vit

import samphire
from samphire.engines.load import weights_file
from samphire.errors import CheckpointError, EmbeddingMismatchError, WeightsError
from samphire.model import variants
from samphire.weights import load as loading
from samphire.weights import names
from samphire.weights.load import load_module, read_checkpoint
from samphire.weights.weights_file import content_digest


def write_folder(path, tensors):
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "sam"}))
    save_file(
        {k: v.clone() for k, v in names.to_hugging_face(tensors).items()},
        path / "model.safetensors",
    )
    return path


def forms(folder, tensors):
    """The same weights, as different people keep them."""
    torch.save(tensors, folder / "official.pth")
    torch.save(tensors, folder / "old.pt", _use_new_zipfile_serialization=False)
    save_file(tensors, folder / "plain.safetensors")
    wrapped = {f"module.{name}": value for name, value in tensors.items()}
    torch.save({"model": wrapped, "epoch": 7, "optimizer": {"lr": 0.1}}, folder / "training.pth")
    torch.save({"state_dict": {f"sam.{k}": v for k, v in tensors.items()}}, folder / "light.ckpt")
    write_folder(folder / "transformers", tensors)
    return [
        "official.pth",
        "old.pt",
        "plain.safetensors",
        "training.pth",
        "light.ckpt",
        "transformers",
    ]


@pytest.mark.slow
def test_the_same_weights_in_every_form_give_the_same_model(small, tmp_path):
    for name in forms(tmp_path, small):
        loaded = load_module(tmp_path / name)
        assert (loaded.variant, loaded.preprocessing) == ("vit_b", "sam-128"), name
        found = loaded.module.state_dict()
        assert found.keys() == small.keys(), name
        for key, value in small.items():
            assert torch.equal(found[key], value), (name, key)


@pytest.mark.slow
def test_an_engine_is_made_of_a_file_and_answers(small, tmp_path, rng):
    torch.save(small, tmp_path / "mine.pth")
    engine = samphire.load(tmp_path / "mine.pth", device="cpu")
    assert (engine.info.model, engine.info.preprocessing) == ("vit_b", "sam-128")
    image = rng.integers(0, 256, (80, 60, 3), np.uint8)
    masks = samphire.segment(engine, image, points=[(30, 40)], multimask=True)
    sam = small_vit()
    sam.load_state_dict(small)
    assert len(masks) == 3
    again = samphire.load(write_folder(tmp_path / "folder", small), device="cpu")
    assert again.info.base_id == engine.info.base_id
    assert masks.equal(samphire.segment(again, image, points=[(30, 40)], multimask=True))


def test_what_was_taken_off_is_said(small, tmp_path):
    forms(tmp_path, small)
    notes = read_checkpoint(tmp_path / "training.pth").notes
    assert notes[0] == "taken off: the wrapper 'model' (beside it: epoch, optimizer)"
    assert notes[1] == "taken off: the prefix 'module.'"


@pytest.mark.parametrize(
    ("name", "variant", "other"),
    [("polyps.pth", "vit_b", "medsam"), ("MedSAM_model_best.pth", "medsam", "vit_b")],
)
def test_vit_b_or_medsam_is_guessed_and_the_guess_is_a_warning(
    small, tmp_path, caplog, name, variant, other
):
    torch.save(small, tmp_path / name)
    found = read_checkpoint(tmp_path / name)
    assert found.variant == variant
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"taken for {variant}" in warning
    assert f"variant='{other}', --variant {other}" in warning


@pytest.mark.parametrize("variant", ["vit_b", "medsam"])
def test_who_says_what_it_is_gets_it_without_a_warning(small, tmp_path, caplog, variant):
    torch.save(small, tmp_path / "medsam.pth")
    found = read_checkpoint(tmp_path / "medsam.pth", variant)
    assert found.variant == variant
    assert found.preprocessing == ("sam-128" if variant == "vit_b" else "medsam-128")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_published_hash_decides(small, tmp_path, monkeypatch, caplog):
    torch.save(small, tmp_path / "anything.pth")
    digest = loading.file_digest(tmp_path / "anything.pth", "sha256").hex()
    monkeypatch.setattr(loading, "OTHER_MEDSAM_FILES", frozenset({digest}))
    found = read_checkpoint(tmp_path / "anything.pth")
    assert (found.variant, found.entry) == ("medsam", None)
    assert "by its hash it is a published MedSAM" in found.notes[-1]
    entry = loading.CATALOG["medsam"]
    monkeypatch.setattr(loading, "entry_of_file", {digest: entry}.get)
    found = read_checkpoint(tmp_path / "anything.pth")
    assert (found.variant, found.entry) == ("medsam", entry)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_variant_that_does_not_exist(small, tmp_path):
    torch.save(small, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no variant is called 'vit_x': expected one of"):
        read_checkpoint(tmp_path / "a.pth", "vit_x")


def test_missing_unexpected_and_misshapen_keys_are_listed(small, tmp_path):
    small["image_encoder.mine"] = small.pop("mask_decoder.iou_token.weight")
    small["image_encoder.neck.1.bias"] = torch.zeros(3)
    torch.save(small, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="does not fill a vit_b, 3 keys differ") as refused:
        load_module(tmp_path / "a.pth")
    assert "missing mask_decoder.iou_token.weight" in str(refused.value)
    assert "unexpected image_encoder.mine" in str(refused.value)
    assert "image_encoder.neck.1.bias has shape (3,), expected (256,)" in str(refused.value)


def test_a_file_of_another_network_is_named(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match=r"resnet\.pth holds no SAM \(conv1\.weight"):
        load_module(tmp_path / "resnet.pth")


def test_numbers_among_the_tensors_are_named(small, tmp_path):
    torch.save(small | {"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"holds \['epoch'\] besides tensors"):
        load_module(tmp_path / "a.pth")


def test_two_different_position_matrices_are_refused(small, tmp_path):
    folder = write_folder(tmp_path / "sam", small)
    theirs = names.to_hugging_face(small)
    theirs[names.POSITIONS_AGAIN] = theirs[names.POSITIONS] + 1
    save_file({k: v.clone() for k, v in theirs.items()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="two different position matrices"):
        load_module(folder)


def test_the_published_normalisation_is_dropped_and_another_one_refused(small, tmp_path):
    small["pixel_mean"] = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    torch.save(small, tmp_path / "a.pth")
    assert "pixel_mean" not in read_checkpoint(tmp_path / "a.pth").tensors
    small["pixel_mean"] = torch.zeros(3, 1, 1)
    torch.save(small, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="another pixel_mean than SAM's"):
        load_module(tmp_path / "a.pth")


def test_half_precision_is_loaded_as_float32(small, tmp_path):
    half = {name: value.bfloat16() for name, value in small.items()}
    torch.save(half, tmp_path / "a.pth")
    found = load_module(tmp_path / "a.pth").module.state_dict()
    for name, value in half.items():
        assert torch.equal(found[name], value.float()), name


def test_tables_for_another_side_build_that_side(small, tmp_path):
    sam = small_vit(table_side=96)
    random_weights(sam)
    torch.save(sam.state_dict(), tmp_path / "a.pth")
    loaded = load_module(tmp_path / "a.pth")
    assert loaded.preprocessing == "sam-96"
    assert loaded.module.image_encoder.img_size == 96
    assert loaded.module.prompt_encoder.input_image_size == (96, 96)


@pytest.mark.slow
def test_tiny_vit_without_its_unused_classifier_is_filled_up(tmp_path):
    sam = variants.vit_t()
    tensors = {
        k: v for k, v in sam.state_dict().items() if ".head." not in k and "norm_head" not in k
    }
    torch.save(tensors, tmp_path / "a.pt")
    loaded = load_module(tmp_path / "a.pt")
    assert loaded.variant == "vit_t"
    assert not loaded.module.state_dict()["image_encoder.head.weight"].any()


def test_a_file_of_ours_that_is_newer_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a", {"format": "samphire-weights", "version": "9"})
    with pytest.raises(CheckpointError, match=r"version '9' of samphire-weights.*upgrade"):
        load_module(tmp_path / "a")
    save_file({"a": torch.zeros(1)}, tmp_path / "a", {"format": "samphire-weights", "version": "1"})
    with pytest.raises(CheckpointError, match="its digest is another"):
        load_module(tmp_path / "a")


def test_a_file_of_ours_from_elsewhere_is_believed_by_its_content_alone(
    tiny_engine, tiny_weights, tmp_path, monkeypatch
):
    forged = tmp_path / "weights" / "forged.safetensors"
    forged.parent.mkdir()
    with safe_open(tiny_weights, framework="pt") as file:
        notes = file.metadata() | {"encoder_id": "e" * 64, "name": "vit_t"}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, forged, notes)
    with pytest.raises(CheckpointError, match="its digest is another"):
        load_module(forged)
    arrays = {key: value.numpy() for key, value in tensors.items()}
    save_file(tensors, forged, notes | {"content_sha256": content_digest(notes, arrays)})
    found = read_checkpoint(forged)
    assert (found.entry, found.identity) == (None, None)
    engine = samphire.load(forged, device="cpu")
    assert engine.info.encoder_id == tiny_engine.info.encoder_id
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path))  # where only Samphire writes
    assert read_checkpoint(forged).identity == ("e" * 64, notes["base_id"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pixel_mean", torch.zeros(4), "another pixel_mean"),
        ("mask_decoder.iou_token.weight", torch.zeros(1, 256).to_sparse(), "sparse"),
        ("mask_decoder.iou_token.weight", torch.zeros(1, 256, dtype=torch.int8), "as torch.int8"),
        ("mask_decoder.iou_token.weight", torch.zeros(1, 256, dtype=torch.cfloat), "complex"),
        ("image_encoder.pos_embed", torch.zeros(1, 0, 0, 32), "a square table of 1 to 256"),
        ("image_encoder.pos_embed", torch.zeros(1).expand(1, 9**5, 9**5, 32), "a square table"),
        ("image_encoder.pos_embed", torch.zeros(1, 8, 9, 32), "a square table"),
    ],
)
def test_tensors_that_no_model_can_hold_are_refused(small, tmp_path, name, value, message):
    torch.save(small | {name: value}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load_module(tmp_path / "a.pth", "vit_b")


def test_a_name_is_the_catalogues_then_a_files_then_an_imports(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPHIRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="no model is called 'polyps'"):
        samphire.load("polyps", offline=True)
    with pytest.raises(WeightsError, match="could not be had"):
        samphire.load("vit_b", offline=True)
    imported = tmp_path / "cache/weights/imported/polyps.safetensors"
    imported.parent.mkdir(parents=True)
    imported.touch()
    (tmp_path / "polyps").mkdir()
    assert weights_file("polyps", offline=True, progress=False) == imported
    assert weights_file("./polyps", offline=True, progress=False) == Path("polyps")


@pytest.mark.slow
def test_another_input_side_is_another_preprocessing_of_the_same_weights(small, tmp_path, rng):
    torch.save(small, tmp_path / "mine.pth")
    whole = samphire.load(tmp_path / "mine.pth", variant="vit_b", device="cpu")
    half = samphire.load(tmp_path / "mine.pth", variant="vit_b", device="cpu", input_side=64)
    assert (whole.info.preprocessing, half.info.preprocessing) == ("sam-128", "sam-64")
    assert whole.info.encoder_id == half.info.encoder_id
    image = rng.integers(0, 256, (80, 60, 3), np.uint8)
    embedding = samphire.embed(half, image)
    assert embedding.features.shape == (1, 256, 4, 4)
    assert len(samphire.segment(half, embedding, points=[(30, 40)])) == 1
    with pytest.raises(EmbeddingMismatchError, match="with preprocessing sam-64"):
        samphire.segment(whole, embedding, points=[(30, 40)])
    with pytest.raises(ValueError, match="input side 100: expected a multiple of 16"):
        samphire.load(tmp_path / "mine.pth", variant="vit_b", device="cpu", input_side=100)
