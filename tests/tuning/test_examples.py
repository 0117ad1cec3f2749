"""What a step learns from: targets are what the labels say, and nothing that is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samphire.errors import FileFormatError
from samphire.evaluation.prompts import generator
from samphire.geometry import Size
from samphire.images.preprocessing import preprocessing
from samphire.masks import Masks
from samphire.samples import Labelled
from samphire.samples.semantic import IGNORE
from samphire.tuning.examples import FINER, class_target, make_example, mask_targets
from samphire.tuning.losses import semantic_loss


def disc(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def labelled(*dense, labels=None, ignore=None):
    objects = Masks.from_arrays(np.stack(dense))
    objects = replace(objects, label=np.array(labels or [1] * len(dense)))
    return Labelled(np.zeros((*dense[0].shape, 3), np.uint8), objects, ignore)


def example_of(given_, **changes):
    settings = {"classes": 0, "objects": 8, "view": "none", "rng": generator(0, 0, "x")}
    return make_example(given_, **{**settings, **changes})


@given(
    st.integers(60, 300), st.integers(60, 300),
    st.sampled_from(["sam-64", "sam-1024", "medsam-1024", "lite-medsam-256"]),
)  # fmt: skip
def test_a_disc_keeps_its_area_and_its_centre_in_the_targets(height, width, record):
    mask = disc(height, width, 0.6 * width, 0.4 * height, 0.3 * min(height, width))
    frame = preprocessing(record).frame(Size(height, width))
    example = example_of(labelled(mask), classes=1)
    target, valid = mask_targets(example, frame)
    cell = frame.input_side / frame.low_res_side
    scale = np.array([frame.resized.width / width, frame.resized.height / height])
    area = float(target.sum()) * cell**2 / scale.prod()
    assert area == pytest.approx(mask.sum(), rel=0.02)
    rows, columns = np.mgrid[: len(target[0]), : len(target[0])] + 0.5
    for axis, places in ((1, columns), (0, rows)):
        middle = float((target[0].numpy() * places).sum() / target.sum()) * cell
        true = np.nonzero(mask)[axis].mean() + 0.5
        assert middle / scale[1 - axis] == pytest.approx(true, abs=0.5)
    assert not (target[:, ~valid] > 0.5).any()

    classes = class_target(example, frame).numpy()
    assert set(np.unique(classes)) <= {0, 1, IGNORE}  # moved, never mixed
    step = cell / FINER
    assert (classes == 1).sum() * step**2 / scale.prod() == pytest.approx(mask.sum(), rel=0.15)


@given(st.integers(5, 80), st.integers(5, 80), st.sampled_from(["sam-64", "lite-medsam-256"]))
def test_padding_and_only_padding_does_not_count(height, width, record):
    frame = preprocessing(record).frame(Size(height, width))
    mask = np.ones((height, width), bool)
    example = example_of(labelled(mask), classes=1)
    _, valid = mask_targets(example, frame)
    cell = frame.input_side / frame.low_res_side
    tall, wide = (round(side / cell) for side in (frame.resized.height, frame.resized.width))
    assert abs(int(valid.any(1).sum()) - tall) <= 1
    assert abs(int(valid.any(0).sum()) - wide) <= 1
    classes = class_target(example, frame).numpy()
    assert (classes[: FINER * tall - 1, : FINER * wide - 1] == 1).all()
    assert (classes[FINER * tall + 1 :] == IGNORE).all()
    assert (classes[:, FINER * wide + 1 :] == IGNORE).all()


def test_what_an_augmentation_brings_in_from_outside_does_not_count():
    mask = disc(60, 60, 30, 30, 15)
    given_ = labelled(mask)
    seen = (
        example_of(given_, view="full", classes=1, rng=generator(seed, 0, "x"))
        for seed in range(50)
    )
    example = next(each for each in seen if not each.valid.all())
    assert (example.classes[~example.valid] == IGNORE).all()
    assert not example.objects[:, ~example.valid].any()
    frame = preprocessing("sam-64").frame(Size(60, 60))
    _, valid = mask_targets(example, frame)
    assert 0 < valid.sum() < valid.numel()


def test_ignored_regions_count_in_neither_target():
    mask = disc(60, 80, 40, 30, 20)
    ignore = np.zeros((60, 80), bool)
    ignore[:, :40] = True
    example = example_of(labelled(mask, ignore=ignore), classes=1)
    frame = preprocessing("sam-64").frame(Size(60, 80))
    _, valid = mask_targets(example, frame)
    half = frame.low_res_side // 2
    assert not valid[:, :half].any()
    assert valid[:10, half:].all()
    assert (class_target(example, frame).numpy()[:, : FINER * half] == IGNORE).all()


def test_a_picture_that_is_ignored_altogether_teaches_nothing():
    mask = disc(60, 80, 40, 30, 20)
    example = example_of(labelled(mask, ignore=np.ones((60, 80), bool)), classes=1)
    assert len(example.objects) == 0
    frame = preprocessing("sam-64").frame(Size(60, 80))
    target = class_target(example, frame)
    logits = torch.randn(1, 2, *target.shape, requires_grad=True)
    loss = semantic_loss(logits=logits, target=target[None]).total.sum()
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_all_foreground_and_no_foreground_are_classes_like_others():
    frame = preprocessing("sam-64").frame(Size(64, 64))
    full = example_of(labelled(np.ones((64, 64), bool)), classes=1)
    assert set(class_target(full, frame).unique().tolist()) == {1}
    assert len(full.objects) == 1
    none = example_of(labelled(np.zeros((64, 64), bool)), classes=1)
    assert set(class_target(none, frame).unique().tolist()) == {0}
    assert len(none.objects) == 0


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(FileFormatError, match="3"):
        example_of(labelled(disc(60, 60, 30, 30, 9), labels=[3]), classes=2)


def test_no_more_objects_than_asked_for_and_each_gets_its_turn():
    row = [disc(60, 200, x, 30, 8) for x in (15, 45, 75, 105, 135, 165)]
    given_ = labelled(*row)
    taken = [
        example_of(given_, objects=2, rng=generator(0, epoch, "x")).objects for epoch in range(30)
    ]
    assert {len(each) for each in taken} == {2}
    seen = {index for each in taken for mask in each for index in range(6)
            if np.array_equal(mask, row[index])}  # fmt: skip
    assert seen == set(range(6))


def test_the_labels_are_left_as_they_were():
    given_ = labelled(disc(60, 60, 30, 30, 9), disc(60, 60, 10, 10, 5))
    before = given_.image.copy(), given_.objects.to_array().copy()
    example_of(given_, view="full", classes=1)
    assert np.array_equal(given_.image, before[0])
    assert np.array_equal(given_.objects.to_array(), before[1])
