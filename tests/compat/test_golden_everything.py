"""The real vit_t's records of everything in three pictures, beside the original code's."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco

from samphire.compat import SamAutomaticMaskGenerator
from samphire.compat.segment_anything.modeling.sam import from_samphire
from samphire.images.read import read_image

pytestmark = pytest.mark.weights

# Where the pictures lie: two are photos, the third was made small for the golden data.
PICTURES = {
    "vit_t_everything": "photos/dogs.jpg",
    "vit_t_everything_crops": "photos/fig_in_bowl.jpg",
    "vit_t_everything_32": "../golden/room_640.png",
}


@pytest.fixture(scope="module", params=PICTURES)
def pair(request, vit_t, golden, data):
    """Our records and the recorded ones."""
    recorded = json.loads((golden / f"{request.param}.json").read_text())
    generator = SamAutomaticMaskGenerator(from_samphire(vit_t.module), **recorded["settings"])
    return generator.generate(read_image(data / PICTURES[request.param])), recorded["masks"]


def test_the_records_are_the_recorded_ones_in_their_order(pair):
    ours, theirs = pair
    assert len(ours) == len(theirs)
    overlaps = [
        coco.iou([mine["segmentation"]], [other["segmentation"]], [False])[0, 0]
        for mine, other in zip(ours, theirs, strict=True)
    ]
    assert np.mean(np.array(overlaps) >= 0.99) >= 0.99
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-3)
        assert mine["stability_score"] == pytest.approx(other["stability_score"], abs=1e-3)
        assert mine["point_coords"] == other["point_coords"]
        assert mine["crop_box"] == other["crop_box"]
        np.testing.assert_allclose(mine["bbox"], other["bbox"], atol=1)
        assert mine["area"] == pytest.approx(other["area"], rel=0.01)
