"""A set read once: what is left out, what is refused, and what a person is told."""

from dataclasses import replace

import numpy as np
import pytest
from labelled_sets import masks, picture, sample
from tuning.discs import discs

from samphire.adapters import Adaptation
from samphire.adapters.partial import Decoder
from samphire.errors import DataError, ImageError
from samphire.samples import Labelled, Volume
from samphire.tuning.settings import TuneSettings
from samphire.tuning.survey import (
    check_labels,
    check_validation,
    in_words,
    survey,
    to_learn_from,
    to_measure,
)


def settings(task="interactive", classes=()):
    return TuneSettings(Adaptation(Decoder(), decoder=True, classes=classes), task=task)


def nothing_on_it(name):
    return sample(name, Labelled(picture(3), masks()))


def ignored(name):
    everywhere = np.ones((60, 80), bool)
    return sample(name, Labelled(picture(4), masks((5, 5, 9, 9)), everywhere))


def broken(name):
    return sample(name, ImageError(f"{name} is cut short"))


def of_label(name, label):
    return sample(name, Labelled(picture(label), masks((5, 5, 30, 30), labels=[label])))


def ids(samples):
    return [each.id for each in samples]


def test_every_sample_is_filled_empty_or_unreadable():
    given = [sample("a"), nothing_on_it("b"), broken("c"), ignored("d"), sample("e")]
    told = []
    found = survey(given, on_progress=lambda *now: told.append(now))
    assert (ids(found.filled), ids(found.empty)) == (["a", "e"], ["b", "d"])
    assert found.unreadable == (("c", "c is cut short"),)
    assert told == [(done, 5) for done in range(1, 6)]


def test_prompts_need_objects_and_classes_do_not():
    found = survey([nothing_on_it("a"), sample("b"), broken("c"), ignored("d")])
    assert ids(to_learn_from(found, settings())) == ["b"]
    for task in ("semantic", "both"):
        assert ids(to_learn_from(found, settings(task, ("x",)))) == ["a", "b", "d"]


def test_a_small_object_is_an_object():
    found = survey([sample("speck", Labelled(picture(0), masks((7, 7, 8, 8))))])
    assert ids(to_learn_from(found, settings())) == ["speck"]


def test_a_label_that_is_no_class_is_refused_by_name():
    found = survey([of_label("a", 1), of_label("b", 3), of_label("c", 3)])
    with pytest.raises(DataError, match=r"label 3, for example on b, .* 2 classes are x, y.*1 to"):
        check_labels(found, settings("semantic", ("x", "y")))
    check_labels(found, settings("semantic", ("x", "y", "z")))
    check_labels(found, settings())  # prompts do not ask for classes


def told(name, samples, task):
    return list(in_words(name, samples, survey(samples), task))


def test_a_person_is_told_what_is_left_out_and_what_lacks_examples():
    samples = [of_label("a", 2), nothing_on_it("b"), broken("c")]
    unreadable, empty = told("train", samples, settings())
    assert unreadable == "train: left out, 1 that could not be read: c (c is cut short)"
    assert "train: left out, 1 without an object to prompt for: b" in empty
    unreadable, missing = told("train", samples, settings("both", ("x", "y", "z")))
    assert "c is cut short" in unreadable
    assert "no example of x, z to train on" in missing


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_of_several_unreadable_files_each_reason_is_told_up_to_a_handful(name):
    (sentence,) = told(name, [sample("good"), *map(broken, "abc")], settings())
    assert all(f"{each} ({each} is cut short)" in sentence for each in "abc")
    (sentence,) = told(name, [sample("good"), *map(broken, "abcdefgh")], settings())
    assert "8 that could not be read" in sentence
    assert "e (e is cut short) and 3 more" in sentence


def test_of_what_is_only_measured_unreadable_files_are_left_out_and_told():
    samples = [sample("a"), nothing_on_it("b"), broken("c")]
    for task in (settings(), settings("semantic", ("x",))):
        (sentence,) = told("val", samples, task)
        assert sentence.startswith("val: left out, 1 that could not be read")
    assert ids(to_measure(samples, survey(samples))) == ["a", "b"]
    check_validation(samples, survey(samples))


def slices(volume, *labelled):
    place = Volume(volume, 0, (1.0, 1.0, 1.0))
    return [
        sample(f"{volume}#{index}", each, volume=replace(place, index=index))
        for index, each in enumerate(labelled)
    ]


def test_a_volume_with_an_unreadable_slice_is_left_out_whole():
    good = Labelled(picture(0), masks((10, 10, 40, 40)))
    torn = slices("torn", good, ImageError("cut short"), good)
    samples = [*torn, *slices("whole", good, good)]
    assert ids(to_measure(samples, survey(samples))) == ["whole#0", "whole#1"]
    unreadable, others = told("val", samples, settings())
    assert "torn#1 (cut short)" in unreadable
    assert "2 more slices of the same volumes" in others
    assert to_measure(torn, survey(torn)) == ()
    with pytest.raises(DataError, match="2 are slices of a volume that cannot be read whole"):
        check_validation(torn, survey(torn))


def test_where_nothing_has_an_object_nothing_can_be_measured():
    samples = [nothing_on_it("a"), ignored("b"), broken("c")]
    assert to_measure(samples, survey(samples)) == ()
    with pytest.raises(
        DataError, match=r"none of 3 .*1 cannot be read, 2 have no object.*--splits"
    ):
        check_validation(samples, survey(samples))
    _, warning = told("test", samples, settings())
    assert "test: none of 3 can be measured" in warning
    assert "measured on val" in warning
    assert told("test", [], settings()) == []  # no samples is a choice


def test_of_good_data_nothing_is_said():
    samples = discs(3, classes=2)
    for task in (settings(), settings("semantic", ("disc", "square"))):
        for name in ("train", "val", "test"):
            assert told(name, samples, task) == []
        check_labels(survey(samples), task)
    assert ids(to_learn_from(survey(samples), settings())) == ["disc-0", "disc-1", "disc-2"]
    assert to_measure(samples, survey(samples)) == samples


def test_a_file_that_is_gone_is_unreadable():
    def gone():
        raise FileNotFoundError("a.png")

    found = survey([replace(sample("a"), read=gone)])
    assert found.unreadable == (("a", "a.png"),)
