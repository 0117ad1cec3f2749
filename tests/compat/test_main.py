"""``python -m samphire.compat script.py``: unchanged scripts, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ORIGINAL = """
import sys
import numpy as np
import torch
import segment_anything.modeling.image_encoder
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer)
from segment_anything.utils.transforms import ResizeLongestSide
from neighbour import SIDE

if __name__ == "__main__":
    sam = Sam(
        image_encoder=ImageEncoderViT(img_size=SIDE, embed_dim=32, depth=2, num_heads=2,
                                      use_rel_pos=True, window_size=3, global_attn_indexes=[1]),
        prompt_encoder=PromptEncoder(256, (SIDE // 16, SIDE // 16), (SIDE, SIDE), 16),
        mask_decoder=MaskDecoder(
            transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 64)),
    )
    sam.to(device="cpu").eval()
    predictor = SamPredictor(sam)
    predictor.set_image(np.zeros((50, 100, 3), np.uint8))
    boxes = torch.tensor([[10, 10, 60, 40], [1, 2, 30, 40]], device=predictor.device)
    boxes = predictor.transform.apply_boxes_torch(boxes, (50, 100))
    masks, scores, low_res = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=boxes, multimask_output=False)
    assert isinstance(predictor.transform, ResizeLongestSide)
    print(__name__, sys.argv[1:], tuple(masks.shape), sorted(sam_model_registry))
"""
MOBILE = """
import mobile_sam, numpy as np, torch
from mobile_sam import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from mobile_sam.modeling import MaskDecoder, PromptEncoder, Sam, TinyViT, TwoWayTransformer

sam = Sam(
    image_encoder=TinyViT(img_size=64, in_chans=3, num_classes=1, embed_dims=[16, 16, 32, 32],
                          depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_sizes=[3, 3, 4, 3],
                          mlp_ratio=4., drop_rate=0., drop_path_rate=0.0, use_checkpoint=False,
                          mbconv_expand_ratio=4.0, local_conv_size=3, layer_lr_decay=0.8),
    prompt_encoder=PromptEncoder(embed_dim=256, image_embedding_size=(4, 4),
                                 input_image_size=(64, 64), mask_in_chans=16),
    mask_decoder=MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=64, num_heads=8),
        transformer_dim=256, iou_head_depth=3, iou_head_hidden_dim=256),
)
torch.save(sam.state_dict(), "mobile_sam.pt")
with open("mobile_sam.pt", "rb") as f:
    sam.load_state_dict(torch.load(f))
sam.eval()
predictor = SamPredictor(sam)
predictor.set_image(np.zeros((30, 20, 3), np.uint8))
masks, scores, logits = predictor.predict(
    point_coords=np.array([[10, 10]]), point_labels=np.array([1]), multimask_output=True)
print(masks.shape, masks.dtype, logits.shape, sam_model_registry["vit_t"].__name__)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samphire.compat", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_a_script_for_segment_anything_runs_unchanged_with_its_arguments_and_neighbours(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "neighbour.py").write_text("SIDE = 128\n")
    (folder / "script.py").write_text(ORIGINAL)
    done = run(tmp_path, "scripts/script.py", "--input", "photo.jpg")
    assert done.stdout.splitlines() == [
        "__main__ ['--input', 'photo.jpg'] (2, 1, 50, 100) "
        "['default', 'vit_b', 'vit_h', 'vit_l', 'vit_t']"
    ], done.stderr


def test_a_script_for_mobile_sam_runs_unchanged(tmp_path):
    (tmp_path / "script.py").write_text(MOBILE)
    done = run(tmp_path, "script.py")
    assert done.stdout.splitlines() == ["(3, 30, 20) bool (3, 16, 16) build_sam_vit_t"], done.stderr


@pytest.fixture
def main(monkeypatch, tmp_path):
    """The command in this process, which must come out as it was."""
    from samphire.compat import __main__, aliases

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["python", *arguments])
        __main__.main()

    yield call
    aliases.uninstall()


def test_the_scripts_exit_code_and_errors_are_its_own(main, tmp_path):
    (tmp_path / "leaves.py").write_text("raise SystemExit(7)")
    with pytest.raises(SystemExit) as left:
        main("leaves.py")
    assert left.value.code == 7
    (tmp_path / "fails.py").write_text("raise KeyError('mine')")
    with pytest.raises(KeyError, match="mine"):
        main("fails.py")


def test_a_script_that_is_not_there_is_wrong_usage(main, capsys):
    with pytest.raises(SystemExit) as left:
        main("nowhere.py")
    assert left.value.code == 2
    assert "nowhere.py does not exist" in capsys.readouterr().err


def test_no_script_is_wrong_usage(main, capsys):
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "usage: python -m samphire.compat" in capsys.readouterr().err
