"""``python -m samphire.compat script.py``: unchanged scripts, as plain Python would run them."""

import subprocess
import sys

import pytest

from samphire.compat import aliases

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


# what a script can see of its start, and its ways to end
PLAIN = """
import argparse, os, pickle, sys
import neighbour

class Mine:
    pass

def fail(reason):
    try:
        neighbour.fail()
    except ZeroDivisionError as error:
        raise KeyError(reason) from error

if __name__ == "__main__":
    print(__name__, __file__, __package__, __spec__, sys.argv, sys.path[0])
    pickle.loads(pickle.dumps(Mine()))
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=["done", "code", "words", "error", "relative"])
    parser.add_argument("rest", nargs="*")
    how = parser.parse_args().how
    if how == "code":
        sys.exit(7)
    if how == "words":
        sys.exit("bad luck")
    if how == "error":
        fail("mine")
    if how == "relative":
        from . import neighbour
"""


@pytest.mark.slow
def test_a_script_for_segment_anything_runs_unchanged_with_its_arguments_and_neighbours(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "neighbour.py").write_text("SIDE = 128\n")
    (folder / "script.py").write_text(ORIGINAL)
    command = [sys.executable, "-m", "samphire.compat", "scripts/script.py", "--input", "photo.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.splitlines() == [
        "__main__ ['--input', 'photo.jpg'] (2, 1, 50, 100) "
        "['default', 'vit_b', 'vit_h', 'vit_l', 'vit_t']"
    ], done.stderr


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The command in this process, which comes out as it was: (stdout, stderr, exit code)."""
    from samphire.compat import __main__ as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["python", *arguments])
        code = 0
        try:
            command.main()
        except SystemExit as left:  # as the interpreter does at its end
            code = left.code if isinstance(left.code, int) else 1
            if isinstance(left.code, str):
                sys.stderr.write(left.code + "\n")
        except Exception:
            code = 1
            sys.excepthook(*sys.exc_info())
        return *capsys.readouterr(), code

    yield call
    aliases.uninstall()
    sys.modules.pop("neighbour", None)


def test_a_script_for_mobile_sam_runs_unchanged(run, tmp_path):
    (tmp_path / "script.py").write_text(MOBILE)
    out, err, code = run("script.py")
    assert (out, code) == ("(3, 30, 20) bool (3, 16, 16) build_sam_vit_t\n", 0), err


# which plain Python does not show
@pytest.mark.filterwarnings("ignore:can't resolve package:ImportWarning")
@pytest.mark.parametrize(
    "arguments",
    [
        ["scripts/plain.py"],
        ["scripts/plain.py", "--help"],
        ["scripts/plain.py", "--how", "done", "--", "--x"],
        ["scripts/plain.py", "--how", "nonsense"],
        ["scripts/plain.py", "--how", "code"],
        ["scripts/plain.py", "--how", "words"],
        ["scripts/plain.py", "--how", "error"],
        ["scripts/plain.py", "--how", "relative"],
        ["scripts/no_python.py"],
    ],
    ids=" ".join,
)
def test_output_traceback_and_exit_code_are_those_of_plain_python(run, tmp_path, arguments):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "plain.py").write_text(PLAIN)
    (folder / "no_python.py").write_text("x = (\nprint(1")
    (folder / "neighbour.py").write_text("def fail():\n    return 1 / 0\n")
    command = [sys.executable, *arguments]
    plain = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run(*arguments) == (plain.stdout, plain.stderr, plain.returncode)


def test_a_script_that_is_not_there_is_wrong_usage(run):
    _, err, code = run("nowhere.py")
    assert code == 2
    assert "nowhere.py is not a file: expected the path of a script" in err


def test_no_script_is_wrong_usage(run):
    _, err, code = run()
    assert code == 2
    assert "usage: python -m samphire.compat script.py [argument ...]" in err
