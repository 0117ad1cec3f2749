"""Weights as other programs read them, bit for bit."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_vit import small_vit
from transformers import SamModel
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from samphire.errors import CheckpointError, OutputExistsError
from samphire.images.preprocessing import sam as sam_record
from samphire.model import variants
from samphire.weights.export import write_hugging_face, write_original
from samphire.weights.load import read_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def checkpoint(small, tmp_path):
    torch.save(small, tmp_path / "mine.pth")
    return read_checkpoint(tmp_path / "mine.pth", "vit_b")


def bits(tensors):
    return {name: (value.dtype, value.numpy().tobytes()) for name, value in tensors.items()}


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors"])
def test_round_trips_through_transformers_are_bit_for_bit(checkpoint, small, tmp_path, name):
    write_hugging_face(checkpoint, tmp_path / "folder")
    write_original(read_checkpoint(tmp_path / "folder", "vit_b"), tmp_path / name)
    load = load_file if name.endswith("safetensors") else torch.load
    assert bits(load(tmp_path / name)) == bits(small)


def test_half_precision_stays_as_it_is(checkpoint, small, tmp_path):
    half = {name: value.half() for name, value in small.items()}
    torch.save(half, tmp_path / "half.pth")
    write_hugging_face(read_checkpoint(tmp_path / "half.pth", "vit_b"), tmp_path / "folder")
    write_original(read_checkpoint(tmp_path / "folder", "vit_b"), tmp_path / "a.pth")
    assert bits(torch.load(tmp_path / "a.pth")) == bits(half)


def test_transformers_reads_the_folder_and_gives_the_same_answers(checkpoint, small, tmp_path):
    write_hugging_face(checkpoint, tmp_path / "folder")
    theirs, told = SamModel.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ours = small_vit()
    ours.load_state_dict(small)
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[10.0, 20.0], [90.0, 30.0]]])
    with torch.inference_mode():
        found = theirs.eval()(
            pixel_values=pixels, input_points=points[None], input_labels=torch.tensor([[[1, 0]]])
        )
        logits, scores = ours.eval()(pixels, (points, torch.tensor([[1, 0]])), None, None, True)
    tolerance = max(1e-5, 1e-5 * float(logits.abs().max()))
    torch.testing.assert_close(found.pred_masks[0], logits, atol=tolerance, rtol=0)
    torch.testing.assert_close(found.iou_scores[0], scores, atol=1e-5, rtol=1e-5)


def test_the_processor_beside_it_prepares_pictures_as_samphire_does(checkpoint, tmp_path, rng):
    write_hugging_face(checkpoint, tmp_path / "folder")
    processor = SamImageProcessorPil.from_pretrained(tmp_path / "folder")
    image = rng.integers(0, 256, (90, 50, 3), np.uint8)
    theirs = processor(image, return_tensors="np")["pixel_values"]
    ours, _ = sam_record(128).apply(image)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_tiny_vit_has_no_place_in_transformers(tmp_path):
    torch.save(variants.lite_medsam().state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no place in the layout of transformers"):
        write_hugging_face(read_checkpoint(tmp_path / "a.pth"), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_holds_something_is_left_alone(checkpoint, tmp_path):
    with pytest.raises(OutputExistsError, match="holds something"):
        write_hugging_face(checkpoint, tmp_path)


def test_another_suffix_is_refused(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"expected a file that ends in \.pth"):
        write_original(checkpoint, tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_tensors_that_share_memory_are_written_each_alone(small, tmp_path, name):
    buffer = torch.zeros(10_000_000)
    state = {}
    for key, value in small.items():
        view = buffer[: value.numel()].view(value.shape)
        state[key] = view
    torch.save(state, tmp_path / "shared.pth")
    write_original(read_checkpoint(tmp_path / "shared.pth", "vit_b"), tmp_path / name)
    assert (tmp_path / name).stat().st_size < 1.2 * sum(4 * v.numel() for v in small.values()) + 1e5


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_full_disk_leaves_nothing_and_is_an_os_error(checkpoint, tmp_path, largest_file, name):
    (tmp_path / "out").mkdir()
    with largest_file(50_000), pytest.raises(OSError, match=r"cannot be written|too large"):
        write_original(checkpoint, tmp_path / "out" / name)
    assert list((tmp_path / "out").iterdir()) == []
