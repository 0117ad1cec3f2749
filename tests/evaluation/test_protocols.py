"""Protocols: what is asked and scored, volumes put together, and no sample passed over."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_sets import given, masks, picture, sample

import samphire
from samphire.adapters import Adaptation
from samphire.adapters.partial import Decoder
from samphire.errors import AdapterError, DataError, FileFormatError, ImageError
from samphire.evaluation import protocols
from samphire.evaluation.agreement import agreement
from samphire.evaluation.interactive import click_curves
from samphire.evaluation.protocols import evaluate
from samphire.masks import Masks
from samphire.samples import Labelled, Sample, Volume
from samphire.weights.adapter_file import AdapterFile

pytestmark = pytest.mark.slow

SPACING = (5.0, 1.0, 2.0)


def named(objects, *names):
    return replace(objects, name=names)


def pictured(seed, *boxes, names=None, labels=None, ignore=None):
    objects = named(masks(*boxes, labels=labels), *(names or ["disc"] * len(boxes)))
    return Labelled(picture(seed), objects, ignore)


def slice_of(volume, index, labelled, spacing=SPACING):
    place = Volume(volume, index, spacing)
    return sample(f"{volume}#{index}", labelled, group=volume, volume=place)


@pytest.fixture
def discs():
    return (
        sample("a", pictured(1, (5, 5, 30, 30), (40, 20, 70, 50)), group="one"),
        sample("b", pictured(2, (10, 30, 50, 55)), group="two"),
    )


@pytest.fixture(scope="module")
def classifier(tiny_engine):
    """The tiny engine with a decoder for two classes, of random weights."""
    adaptation = Adaptation(Decoder(), decoder=True, classes=("left", "right"))
    chance = torch.Generator().manual_seed(7)
    tensors = {
        name: value + 0.1 * torch.randn(value.shape, generator=chance)
        for name, value in adaptation.apply(tiny_engine.module).tensors().items()
    }
    info = tiny_engine.info
    file = AdapterFile(adaptation, info.model, info.base_id, info.preprocessing, tensors)
    return tiny_engine.wearing(file)


@pytest.fixture
def answers(monkeypatch):
    """Let the model answer a box with the box itself, a column to the right."""

    def answered(engine, embedding, truth):
        return Masks.from_arrays(np.roll(truth.to_array(), 1, axis=2))

    monkeypatch.setattr(protocols, "box_results", answered)


def told(evaluation):
    return [
        (case.id, case.target, case.agreement, case.ious, case.oracle_iou)
        for case in evaluation.cases
    ]


def test_a_box_is_scored_as_segment_answers_it(tiny_engine, discs):
    found = evaluate(tiny_engine, discs, "box", tolerance=1)
    assert [(case.id, case.group, case.target) for case in found.cases] == [
        ("a", "one", "disc 1"),
        ("a", "one", "disc 2"),
        ("b", "two", "disc 1"),
    ]
    labelled = discs[0].read()
    by_hand = samphire.segment(tiny_engine, labelled.image, boxes=[(40, 20, 70, 50)])
    expected = agreement(
        by_hand.to_array()[0], labelled.objects.to_array()[1], spacing=(1, 1), tolerance=1
    )
    assert found.cases[1].agreement == expected
    assert found.cases[1].ious == ()
    assert found.mean_dice == np.mean([case.agreement.dice for case in found.cases])


def test_clicks_are_scored_after_the_first_and_noted_after_each(tiny_engine, discs):
    found = evaluate(tiny_engine, discs, "points", clicks=3)
    labelled = discs[0].read()
    embedding = samphire.embed(tiny_engine, labelled.image)
    curves = click_curves(tiny_engine, embedding, labelled.objects, clicks=3)
    for case, curve in zip(found.cases, curves, strict=False):
        assert case.ious == tuple(curve.ious)
        assert case.oracle_iou == curve.oracle_iou
        assert case.agreement.iou == pytest.approx(curve.ious[0])


def test_each_class_is_a_case_on_each_picture_whether_it_is_there_or_not(classifier):
    both = pictured(1, (5, 5, 30, 30), (40, 20, 70, 50), labels=[1, 2])
    samples = [sample("both", both), sample("none", pictured(2))]
    found = evaluate(classifier, samples, "semantic")
    assert [(case.id, case.target) for case in found.cases] == [
        (name, target) for name in ("both", "none") for target in ("left", "right")
    ]
    predicted = samphire.classify(classifier, both.image).to_array()
    for index, case in enumerate(found.cases[:2]):
        true = both.objects.to_array()[index]
        assert case.agreement == agreement(predicted[index], true, spacing=(1, 1))
    assert all(case.agreement.true_is_empty for case in found.cases[2:])
    assert found.without_objects == ()
    assert any(not case.agreement.predicted_is_empty for case in found.cases)


def test_semantic_needs_classes_and_labels_among_them(tiny_engine, classifier, discs):
    with pytest.raises(AdapterError, match="class"):
        evaluate(tiny_engine, discs, "semantic")
    third = sample("c", pictured(1, (5, 5, 30, 30), labels=[3]))
    with pytest.raises(FileFormatError, match="label 3"):
        evaluate(classifier, [third], "semantic")


def volume_slices():
    """Slice 1 lacks the second class, slice 2 has no object."""
    first, second = (10, 10, 30, 30), (40, 20, 60, 50)
    return (
        slice_of("v", 0, pictured(1, first, second, names=["left", "right"])),
        slice_of("v", 1, pictured(2, first, names=["left"])),
        slice_of("v", 2, pictured(3)),
    )


def solid(*boxes):
    """(D, 60, 80), a box or None a slice."""
    return np.stack([masks(*[box] if box else []).to_array().any(axis=0) for box in boxes])


def test_the_slices_of_a_volume_are_one_case_a_class(tiny_engine, answers):
    found = evaluate(tiny_engine, volume_slices(), "box")
    assert [(case.id, case.group, case.target) for case in found.cases] == [
        ("v", "v", "left"),
        ("v", "v", "right"),
    ]
    left = solid((10, 10, 30, 30), (10, 10, 30, 30), None)
    right = solid((40, 20, 60, 50), None, None)
    for case, true in zip(found.cases, (left, right), strict=True):
        expected = agreement(np.roll(true, 1, axis=2), true, spacing=SPACING)
        # NaN is not equal to itself
        assert replace(case.agreement, boundary_iou=0) == replace(expected, boundary_iou=0)


def test_objects_of_one_class_on_a_slice_are_put_together(tiny_engine, answers):
    two = pictured(1, (5, 5, 20, 20), (40, 20, 60, 50))
    (case,) = evaluate(tiny_engine, [slice_of("v", 0, two)], "box").cases
    assert case.agreement.true_pixels == 15 * 15 + 20 * 30


def test_slices_lie_where_their_numbers_say(tiny_engine, monkeypatch):
    # found: slice 0, true: slices 0 and 3, which are three spacings apart
    def first_alone(engine, embedding, truth):
        dense = truth.to_array()
        return Masks.from_arrays(dense if truth.area[0] > 400 else dense & False)

    monkeypatch.setattr(protocols, "box_results", first_alone)
    large, small = pictured(1, (10, 10, 40, 40)), pictured(2, (10, 10, 30, 30))
    samples = (slice_of("v", 3, small), slice_of("v", 0, large))
    (case,) = evaluate(tiny_engine, samples, "box").cases
    assert case.agreement.hausdorff_95 == 3 * SPACING[0]


@pytest.mark.parametrize("protocol", ["points", "box"])
def test_the_order_of_the_samples_changes_nothing(tiny_engine, discs, protocol):
    samples = (*discs, *volume_slices())
    forwards = evaluate(tiny_engine, samples, protocol, clicks=2)
    backwards = evaluate(tiny_engine, samples[::-1], protocol, clicks=2)
    key = lambda row: row[:2]  # noqa: E731
    # repr: NaN is not equal to itself
    assert repr(sorted(told(forwards), key=key)) == repr(sorted(told(backwards), key=key))
    assert repr(told(forwards)) == repr(told(evaluate(tiny_engine, samples, protocol, clicks=2)))


def test_ignored_pixels_count_neither_way(tiny_engine, answers):
    ignore = np.zeros((60, 80), bool)
    ignore[:, 30:] = True  # where the answer is a column too wide
    labelled = pictured(1, (10, 10, 30, 30), (50, 10, 60, 20), ignore=ignore)
    (case,) = evaluate(tiny_engine, [sample("a", labelled)], "box").cases
    assert case.target == "disc 1"  # the second has no pixel that counts
    assert case.agreement.predicted_pixels == case.agreement.intersection == 19 * 20


def test_an_object_keeps_its_number_when_one_before_it_does_not_count(tiny_engine):
    labelled = pictured(1, (0, 0, 0, 0), (10, 10, 30, 30))
    (case,) = evaluate(tiny_engine, [sample("a", labelled)], "box").cases
    assert case.target == "disc 2"


def test_ignored_pixels_count_neither_way_in_volumes_and_classes(classifier, tiny_engine, answers):
    ignore = np.zeros((60, 80), bool)
    ignore[:, 30:] = True
    labelled = pictured(1, (10, 10, 30, 30), ignore=ignore)
    (case,) = evaluate(tiny_engine, [slice_of("v", 0, labelled)], "box").cases
    assert case.agreement.predicted_pixels == 19 * 20
    predicted = samphire.classify(classifier, labelled.image).to_array()
    found = evaluate(classifier, [sample("a", labelled)], "semantic")
    assert [case.agreement.predicted_pixels for case in found.cases] == [
        np.count_nonzero(mask[:, :30]) for mask in predicted
    ]


def test_each_picture_and_volume_is_in_one_list(tiny_engine, discs):
    broken = sample("broken", ImageError("broken.png is cut off"))
    samples = (
        *discs,
        broken,
        sample("empty", pictured(3)),
        *volume_slices(),
        slice_of("w", 0, pictured(4)),
        slice_of("w", 1, pictured(5)),
        slice_of("x", 0, pictured(6, (10, 10, 30, 30))),
        slice_of("x", 1, FileFormatError("x is cut off")),
    )
    calls = []
    found = evaluate(tiny_engine, samples, "box", on_progress=lambda *call: calls.append(call))
    assert found.failures == (("broken", "broken.png is cut off"), ("x", "x is cut off"))
    assert found.without_objects == ("empty", "w")
    assert dict.fromkeys(case.id for case in found.cases) == dict.fromkeys("abv")
    assert [done for done, _ in calls] == list(range(1, len(samples) + 1))
    assert {total for _, total in calls} == {len(samples)}


def test_a_sample_given_twice_is_refused(tiny_engine, discs):
    with pytest.raises(DataError, match="a: given twice"):
        evaluate(tiny_engine, (*discs, discs[0]), "box")
    as_volume = slice_of("a", 0, pictured(1, (5, 5, 30, 30)))
    with pytest.raises(DataError, match="a: given twice"):
        evaluate(tiny_engine, (*discs, as_volume), "box")


def test_nothing_to_measure_is_an_error_with_its_reason(tiny_engine):
    with pytest.raises(DataError, match="2 samples: none has an object"):
        evaluate(tiny_engine, [sample("a", pictured(1)), sample("b", pictured(2))], "points")
    with pytest.raises(DataError, match="1 samples: cut off"):
        evaluate(tiny_engine, [sample("a", ImageError("cut off"))], "points")


def test_pictures_are_embedded_by_who_is_asked_to(tiny_engine, discs):
    seen = []

    def embedded(rgb):
        seen.append(rgb)
        return samphire.embed(tiny_engine, rgb)

    found = evaluate(tiny_engine, discs, "box", embed_picture=embedded)
    for rgb, each in zip(seen, discs, strict=True):
        np.testing.assert_array_equal(rgb, each.read().image)
    assert repr(told(found)) == repr(told(evaluate(tiny_engine, discs, "box")))


def test_an_object_without_a_class_is_called_object(tiny_engine):
    labelled = Labelled(picture(1), masks((10, 10, 30, 30)))
    file = Sample("a", "a", (Path("a"),), partial(given, labelled))
    assert evaluate(tiny_engine, [file], "box").cases[0].target == "object 1"
    assert evaluate(tiny_engine, [slice_of("v", 0, labelled)], "box").cases[0].target == "object"
