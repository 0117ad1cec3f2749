"""Look-alikes: copies are found however they were saved, other pictures are not."""

import cv2
import numpy as np
import pytest
from labelled_sets import picture, real

from samphire.samples.look_alikes import look_alikes, look_at

COPIES = {
    "smaller": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda image: cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR),
    "brighter": lambda image: np.clip(image * 1.1 + 8, 0, 255).astype(np.uint8),
    "jpeg": lambda image: cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 1
    ),
    "grey": lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
}


def pairs(images):
    return look_alikes([look_at(image) for image in images], [str(at) for at in range(len(images))])


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_found_among_others(name):
    images = [picture(seed, (120, 160)) for seed in range(8)]
    assert pairs([*images, COPIES[name](images[3])]) == [(3, 8)]


def test_pictures_of_one_group_are_not_compared():
    looks = [look_at(picture(1))] * 3
    assert look_alikes(looks, ["a", "a", "b"]) == [(0, 2), (1, 2)]


def test_flat_pictures_show_nothing_to_compare():
    grey = np.full((30, 40, 3), 90, np.uint8)
    faint = grey.copy()
    faint[3, 3] = 93  # sensor noise: alike in any two pictures of darkness
    assert look_at(grey) is look_at(faint) is None
    assert pairs([grey, picture(1), grey, picture(1)]) == [(1, 3)]
    assert pairs([grey]) == pairs([]) == []


def test_a_mirrored_picture_is_another():
    assert pairs([picture(1), picture(1)[:, ::-1].copy()]) == []


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["medical/fundus_vessels", "medical/polyps"])
def test_copies_of_real_pictures_are_found_and_nothing_else(data, folder):
    images = [sample.read().image for sample in real(data / folder).samples[:28]]
    copies = [COPIES["jpeg"](COPIES["smaller"](image)) for image in images]
    assert pairs([*images, *copies]) == [(at, at + len(images)) for at in range(len(images))]
