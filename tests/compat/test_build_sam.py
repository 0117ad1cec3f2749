"""The builders: sizes, keys, and checkpoints read safely and strictly."""

import pytest
import torch

from samphire.compat import build_sam_vit_t, sam_model_registry
from samphire.compat.segment_anything.build_sam import _build_sam
from samphire.errors import CheckpointError

# of the published checkpoints: keys, millions of values, heads, blocks with global attention
PUBLISHED = {
    "vit_h": (594, 641.1, 16, [7, 15, 23, 31]),
    "vit_l": (482, 312.3, 16, [5, 11, 17, 23]),
    "vit_b": (314, 93.7, 12, [2, 5, 8, 11]),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sizes(name):
    with torch.device("meta"):
        sam = sam_model_registry[name]()
    state, blocks = sam.state_dict(), sam.image_encoder.blocks
    millions = sum(value.numel() for value in state.values()) / 1e6
    everywhere = [i for i, block in enumerate(blocks) if block.window_size == 0]
    heads = blocks[0].attn.num_heads
    assert (len(state), round(millions, 1), heads, everywhere) == PUBLISHED[name]
    assert {block.window_size for block in blocks} == {0, 14}
    assert {block.norm1.eps for block in blocks} == {1e-6}
    assert sam.image_encoder.img_size == 1024
    assert not sam.training


def test_other_projects_build_other_sizes():
    sam = _build_sam(
        encoder_embed_dim=32,
        encoder_depth=2,
        encoder_num_heads=2,
        encoder_global_attn_indexes=[1],
    )
    assert sam.image_encoder.pos_embed.shape == (1, 64, 64, 32)
    assert [block.window_size for block in sam.image_encoder.blocks] == [14, 0]


@pytest.fixture(scope="module")
def built():
    torch.manual_seed(0)
    return build_sam_vit_t()


def test_vit_t_has_mobile_sams_keys_and_is_ready(built):
    assert len(built.state_dict()) == 439
    assert not any(module.training for module in built.modules())


@pytest.mark.slow
def test_a_checkpoint_fills_every_value(built, tmp_path):
    path = tmp_path / "mobile_sam.pt"
    torch.save(built.state_dict(), path)
    loaded = sam_model_registry["vit_t"](checkpoint=str(path))
    assert not loaded.training
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, built.state_dict()[name]), name


def test_a_checkpoint_saved_on_a_gpu_is_read_without_one(built, tmp_path, monkeypatch):
    path = tmp_path / "gpu.pt"
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    torch.save(built.state_dict(), path)
    assert b"cuda:0" in path.read_bytes()
    assert sam_model_registry["vit_t"](path).device.type == "cpu"


def test_a_checkpoint_of_another_model_is_refused_by_name(built, tmp_path):
    state = built.state_dict()
    state["image_encoder.mine"] = state.pop("image_encoder.neck.0.weight")
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt(.|\n)*neck\.0\.weight") as refused:
        build_sam_vit_t(str(tmp_path / "other.pt"))
    assert isinstance(refused.value, RuntimeError)  # as load_state_dict raises


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the checkpoint ran')",))


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"image_encoder.neck.0.weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError):
        build_sam_vit_t(tmp_path / "evil.pt")


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        build_sam_vit_t(tmp_path / "nowhere.pt")
