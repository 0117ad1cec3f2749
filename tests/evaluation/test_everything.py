"""Everything mode on labelled pictures: recall by picture and by object, nothing passed over."""

import numpy as np
import pytest
from labelled_sets import masks, picture, sample

import samphire
from samphire.errors import DataError, ImageError
from samphire.evaluation import everything
from samphire.evaluation.everything import Proposals, evaluate_everything
from samphire.evaluation.recall import average_recall, recall
from samphire.predict.everything import segment_everything
from samphire.predict.everything_settings import EverythingSettings
from samphire.samples import Labelled

ANY = EverythingSettings(points_per_side=3, min_predicted_iou=0, min_stability=0)


def pictured(seed, *boxes, ignore=None):
    return Labelled(picture(seed), masks(*boxes), ignore)


@pytest.fixture
def perfect(monkeypatch):
    """Let everything mode find one rectangle, whatever the picture."""

    def found(engine, image, settings):
        return masks((5, 5, 30, 30))

    monkeypatch.setattr(everything, "segment_everything", found)


def test_a_picture_is_measured_as_everything_mode_segments_it(tiny_engine):
    labelled = pictured(1, (5, 5, 30, 30), (40, 20, 70, 50))
    (found,) = evaluate_everything(tiny_engine, [sample("a", labelled)], ANY).pictures
    expected = segment_everything(tiny_engine, labelled.image, ANY)
    assert found.masks == len(expected) > 0
    by_hand = recall(expected, labelled.objects)
    np.testing.assert_array_equal(found.recall.found, by_hand.found)
    assert found.average_recall == average_recall([by_hand]).all


def test_the_mean_is_over_pictures_and_the_pooled_value_over_objects(tiny_engine, perfect):
    one = sample("a", pictured(1, (5, 5, 30, 30)))
    three = sample("b", pictured(2, (5, 5, 30, 30), (40, 5, 60, 30), (40, 40, 60, 50)))
    found = evaluate_everything(tiny_engine, [one, three])
    assert found.mean.mean == pytest.approx((1 + 1 / 3) / 2)
    assert found.mean.groups == 2
    assert found.pooled.all == 2 / 4


def test_objects_without_a_pixel_that_counts_need_not_be_found(tiny_engine, perfect):
    ignore = np.zeros((60, 80), bool)
    ignore[:, 35:] = True
    labelled = pictured(1, (5, 5, 30, 30), (40, 20, 70, 50), ignore=ignore)
    assert evaluate_everything(tiny_engine, [sample("a", labelled)]).mean.mean == 1


def test_each_sample_is_in_one_list(tiny_engine, perfect):
    samples = [
        sample("a", pictured(1, (5, 5, 30, 30))),
        sample("b", ImageError("cut off")),
        sample("c", pictured(2)),
    ]
    calls = []
    found = evaluate_everything(tiny_engine, samples, on_progress=lambda *call: calls.append(call))
    assert [each.id for each in found.pictures] == ["a"]
    assert found.failures == (("b", "cut off"),)
    assert found.without_objects == ("c",)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(DataError, match="twice"):
        evaluate_everything(tiny_engine, [samples[0], samples[0]])
    for alone, reason in ((samples[1], "cut off"), (samples[2], "none has an object")):
        with pytest.raises(DataError, match=reason):
            evaluate_everything(tiny_engine, [alone])


def test_pictures_are_embedded_by_who_is_asked_to(tiny_engine):
    seen = []

    def embedded(rgb):
        seen.append(rgb)
        return samphire.embed(tiny_engine, rgb)

    given = [sample("a", pictured(1, (5, 5, 30, 30)))]
    found = evaluate_everything(tiny_engine, given, ANY, embed_picture=embedded)
    assert isinstance(found, Proposals)
    assert len(seen) == 1
