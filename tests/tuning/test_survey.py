"""A set read once: what is left out, what is refused, and what a person is told."""

from dataclasses import replace

import numpy as np
import pytest
from labelled_sets import masks, picture, sample
from tuning.discs import discs

from samphire.adapters import Adaptation
from samphire.adapters.partial import Decoder
from samphire.errors import DataError, ImageError
from samphire.samples import Labelled
from samphire.tuning.settings import TuneSettings
from samphire.tuning.survey import check_labels, in_words, survey, to_learn_from


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


def test_a_person_is_told_what_is_left_out_and_what_lacks_examples():
    found = survey([of_label("a", 2), nothing_on_it("b"), broken("c")])
    unreadable, empty = in_words("train", found, settings())
    assert "train: left out, 1 that could not be read: c (c is cut short)" in unreadable
    assert "train: left out, 1 without an object to prompt for: b" in empty
    unreadable, missing = in_words("train", found, settings("both", ("x", "y", "z")))
    assert "c is cut short" in unreadable
    assert "no example of x, z to train on" in missing


def test_of_what_is_only_measured_unreadable_files_are_told():
    found = survey([nothing_on_it("b"), broken("c")])
    for task in (settings(), settings("semantic", ("x",))):
        (sentence,) = in_words("val", found, task)
        assert sentence.startswith("val: left out, 1 that could not be read")


def test_of_good_data_nothing_is_said():
    found = survey(discs(3, classes=2))
    for task in (settings(), settings("semantic", ("disc", "square"))):
        assert list(in_words("train", found, task)) == []
        check_labels(found, task)
    assert ids(to_learn_from(found, settings())) == ["disc-0", "disc-1", "disc-2"]


def test_a_file_that_is_gone_is_unreadable():
    def gone():
        raise FileNotFoundError("a.png")

    found = survey([replace(sample("a"), read=gone)])
    assert found.unreadable == (("a", "a.png"),)
