"""Whole scripts as users write them, with the real vit_t: ``python -m samphire.compat``."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco

SCRIPTS = Path(__file__).parent / "scripts"

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def checkpoint(vit_t, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "mobile_sam.pt"
    torch.save(vit_t.module.state_dict(), path)
    return path


def run(script, *arguments):
    command = [sys.executable, "-m", "samphire.compat", SCRIPTS / script, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_with_points_and_boxes_gives_the_masks_of_the_original(
    checkpoint, data, golden, tmp_path
):
    recorded = json.loads((golden / "vit_t_prompts.json").read_text())["photos"]["dogs"]["prompts"]
    x, y, _ = recorded["pt1"]["prompt"]["points"][0]
    boxes = [word for box in recorded["boxes3"]["prompt"]["boxes"] for word in ("--box", *box)]
    out = run(
        "segment_photo.py", "--input", data / "photos" / "dogs.jpg", "--output", tmp_path / "out",
        "--checkpoint", checkpoint, "--model-type", "vit_t", "--point", x, y, *boxes,
    )  # fmt: skip
    assert out.splitlines()[1] == "(3, 1, 603, 1072) masks of boxes"
    with np.load(tmp_path / "out" / "masks.npz") as file:
        scores, masks, boxes = file["scores"], file["masks"], file["box_masks"][:, 0]
        refined = file["refined"][0]
    with np.load(golden / "vit_t_prompts_dogs.npz") as file:
        np.testing.assert_allclose(scores, file["pt1/iou"][0, 1:], atol=1e-5)
    expected = recorded["pt1"]["masks"][0][1:] + [row[0] for row in recorded["boxes3"]["masks"]]
    for rle, mask in zip(expected, [*masks, *boxes], strict=True):
        assert np.count_nonzero(coco.decode(rle) != mask) <= 20
    best = masks[scores.argmax()]
    assert (refined & best).sum() / (refined | best).sum() > 0.8
    picture = cv2.imread(str(tmp_path / "out" / "boxes.png"))
    photo = cv2.imread(str(data / "photos" / "dogs.jpg"))
    assert ((picture != photo).any(axis=2) == boxes.any(axis=0)).mean() > 0.999


def test_a_medsam_script_gives_the_masks_of_the_parts(checkpoint, vit_t, data, tmp_path):
    slice_path = data / "medical" / "ct_slices" / "images" / "s0619_32.png"
    grey = cv2.imread(str(slice_path), cv2.IMREAD_UNCHANGED)
    run(
        "organ_in_slice.py", "-i", slice_path, "-o", tmp_path / "organ.png", "-chk", checkpoint,
        "--model", "vit_t", "--box", "[142,28,171,65]",
    )  # fmt: skip
    found = cv2.imread(str(tmp_path / "organ.png"), cv2.IMREAD_UNCHANGED)
    height, width = grey.shape[:2]
    squashed = cv2.resize(grey, (1024, 1024), interpolation=cv2.INTER_CUBIC).astype(float)
    squashed = (squashed - squashed.min()) / (squashed.max() - squashed.min())
    pixels = torch.tensor(squashed, dtype=torch.float32).expand(1, 3, -1, -1)
    box = np.array([142, 28, 171, 65]) / [width, height, width, height] * 1024
    with torch.no_grad():
        low_res, _ = vit_t.module(
            pixels, None, torch.tensor(box[None], dtype=torch.float32), None, False
        )
        logits = torch.nn.functional.interpolate(
            low_res.sigmoid(), (height, width), mode="bilinear"
        )
    expected = (logits[0, 0] > 0.5).numpy()
    assert expected.sum() > 100
    assert np.count_nonzero((found > 0) != expected) <= 2
