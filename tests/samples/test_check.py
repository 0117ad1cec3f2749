"""The check of labelled data: each thing that spoils training is found, and clean data is quiet."""

import cv2
import numpy as np
import pytest
from labelled_sets import made, masks, picture, real, sample

from samphire.errors import ImageError, ShapeError
from samphire.geometry import Size
from samphire.masks import Masks
from samphire.samples import Labelled, Volume
from samphire.samples.check import check

ONE = masks((10, 10, 40, 40))


def kinds(report):
    return [(each.severity, each.kind, each.ids) for each in report.findings]


def one(report, kind):
    """The only finding of this kind."""
    (found,) = [each for each in report.findings if each.kind == kind]
    return found


def clean():
    return [
        sample(name, split=split)
        for name, split in zip("abcd", ["train", "train", "val", "test"], strict=True)
    ]


def test_clean_data_is_quiet_and_counted():
    report = check(made(*clean()))
    assert report.findings == ()
    assert [(part.split, part.samples, part.groups, part.objects) for part in report.parts] == [
        ("train", 2, 2, (2,)),
        ("val", 1, 1, (1,)),
        ("test", 1, 1, (1,)),
    ]
    assert (report.samples, report.sizes) == (4, ((Size(60, 80), 4),))


def test_a_sample_that_cannot_be_read_is_a_finding_and_the_others_are_read():
    broken = sample("b", ImageError("b.png is cut short"))
    gone = sample("c", FileNotFoundError("no c.png"))
    report = check(made(sample("a"), broken, gone))
    assert kinds(report) == [("error", "unreadable", ("b",)), ("error", "unreadable", ("c",))]
    assert "b.png is cut short. Repair" in report.errors[0].text
    assert report.parts[0].samples == 1


def test_a_defect_of_the_program_is_not_taken_for_broken_data():
    with pytest.raises(KeyError):
        check(made(sample("a", KeyError("oops"))))


def test_a_mask_of_another_size_is_told_as_that():
    found = one(check(made(sample("a", ShapeError("the objects are 3x3")))), "size mismatch")
    assert (found.severity, found.ids) == ("error", ("a",))


def test_labels_that_are_no_class_are_errors_with_a_hint():
    mixed = sample("b", Labelled(picture(1), masks((5, 5, 30, 30), labels=[255])))
    found = one(check(made(sample("a"), mixed)), "mask values")
    assert (found.severity, found.ids) == ("error", ("b",))
    assert "labels 255 in b: expected 1 to 1; masks of 0 and 255 beside" in found.text
    palette = sample(
        "c", Labelled(picture(2), masks((5, 5, 9, 9), (20, 20, 50, 50), labels=[3, 0]))
    )
    found = one(check(made(palette, classes=("cat", "dog"))), "mask values")
    assert "labels 0, 3 in c: expected 1 to 2; a mask saved as JPEG" in found.text


def test_pictures_without_objects_are_warned_of_and_slices_only_noted():
    empty = Labelled(picture(1), Masks.from_arrays(np.zeros((0, 60, 80))))
    piece = Labelled(picture(2), Masks.from_arrays(np.zeros((0, 60, 80))))
    report = check(
        made(sample("a", empty), sample("b", piece, volume=Volume("v", 0, (1.0, 1.0, 1.0))))
    )
    assert kinds(report) == [("warning", "no object", ("a",)), ("note", "no object", ("b",))]


def test_full_empty_blank_and_ignored_are_told_apart():
    full = Labelled(picture(1), masks((0, 0, 80, 60)))
    void = Labelled(picture(2), masks((5, 5, 5, 5), (10, 10, 40, 40)))
    blank = Labelled(np.full((60, 80, 3), 7, np.uint8), ONE)
    ignored = Labelled(picture(3), ONE, np.ones((60, 80), bool))
    partly = Labelled(picture(4), ONE, np.eye(60, 80, dtype=bool))
    report = check(
        made(
            *(
                sample(*pair)
                for pair in zip("abcde", (full, void, blank, ignored, partly), strict=True)
            )
        )
    )
    assert kinds(report) == [
        ("error", "all ignored", ("d",)),
        ("warning", "blank picture", ("c",)),
        ("warning", "full object", ("a",)),
        ("warning", "empty object", ("b",)),
    ]


def test_an_object_is_tiny_by_its_longer_side_at_the_models_size():
    # 80 pixels become 1024: 1 pixel 12.8, 2 pixels 25.6
    thin = sample("a", Labelled(picture(1), masks((5, 5, 6, 30))))
    dot = sample("b", Labelled(picture(2), masks((5, 5, 6, 6), (10, 10, 40, 40), (20, 20, 22, 22))))
    found = one(check(made(thin, dot)), "tiny objects")
    assert (found.severity, found.ids) == ("note", ("b",))
    assert "1 of 4 objects" in found.text
    found = one(check(made(sample("c", Labelled(picture(3), masks((5, 5, 6, 6)))))), "tiny objects")
    assert found.severity == "warning"
    assert "tiles" in found.text


@pytest.mark.parametrize(
    ("groups", "splits", "severity"),
    [
        (("1", "2"), ("train", "test"), "error"),
        (("1", "2"), ("train", "train"), "warning"),
        (("1", "2"), (None, None), "warning"),
        (("1", "1"), ("val", "val"), "note"),
    ],
)
def test_the_same_pixels_are_a_leak_only_between_splits(groups, splits, severity):
    first, second = (
        sample(name, Labelled(picture(9), ONE), group=group, split=split)
        for name, group, split in zip(("b", "c"), groups, splits, strict=True)
    )
    rest = [sample(name, split=splits[0]) for name in "ad"]
    found = one(check(made(first, second, *rest)), "duplicate")
    assert (found.severity, found.ids) == (severity, ("b", "c"))
    assert "b = c have the same pixels" in found.text


def saved_again(image, quality=50):
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def test_a_picture_saved_again_is_a_leak_too():
    image = picture(9)
    first = sample("b", Labelled(image, ONE), split="train")
    again = sample("c", Labelled(saved_again(image), ONE), split="test")
    found = one(check(made(*clean()[:1], first, again)), "near duplicate")
    assert (found.severity, found.ids) == ("error", ("b", "c"))
    assert "in train and test: a leak" in found.text


def test_neighbouring_slices_may_look_alike():
    image = picture(9)
    report = check(
        made(
            sample("b", Labelled(image, ONE), group="v"),
            sample("c", Labelled(saved_again(image), ONE), group="v"),
        )
    )
    assert report.findings == ()


def test_blank_slices_of_two_volumes_are_no_leak():
    black = Labelled(np.zeros((60, 80, 3), np.uint8), ONE)
    report = check(made(sample("a", black, split="train"), sample("b", black, split="test")))
    assert [each.kind for each in report.findings] == ["blank picture"]


def test_a_group_or_a_volume_in_two_splits_is_a_leak():
    volume = Volume("scan", 0, (1.0, 1.0, 1.0))
    report = check(
        made(
            sample("a", group="p", split="train"),
            sample("b", group="p", split="val"),
            sample("c", split="train", volume=volume),
            sample("d", split="test", volume=volume),
        )
    )
    assert kinds(report) == [
        ("error", "group in two splits", ("a", "b")),
        ("error", "volume in two splits", ("c", "d")),
    ]
    assert "the group p is in train and val" in report.findings[0].text


def test_half_a_split_and_ids_that_are_there_twice_are_errors():
    report = check(made(sample("a", split="train"), sample("b")))
    assert kinds(report) == [("error", "half a split", ("b",))]
    assert ("error", "id twice", ("a",)) in kinds(check(made(sample("a"), sample("a"))))


def test_a_class_without_objects_is_told_and_where():
    def labelled(name, label, split):
        return sample(
            name, Labelled(picture(ord(name)), masks((9, 9, 40, 40), labels=[label])), split=split
        )

    report = check(
        made(
            labelled("a", 1, "train"),
            labelled("b", 2, "train"),
            labelled("c", 1, "val"),
            classes=("cat", "dog", "owl"),
        )
    )
    assert [each.kind for each in report.findings] == ["missing class"] * 2
    assert "1 of 3 classes have no object at all: owl." in report.findings[0].text
    assert "val has no object of dog: nothing can be said" in report.findings[1].text
    assert report.parts[0].objects == (1, 1, 0)


def test_errors_come_first_and_progress_is_told():
    seen = []
    report = check(
        made(sample("a", Labelled(picture(1), masks())), sample("b", ImageError("broken"))),
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert [each.severity for each in report.findings] == ["error", "warning"]
    assert report.errors == report.findings[:1]
    assert seen == [(1, 2), (2, 2)]


def test_no_samples_is_an_error():
    assert kinds(check(made())) == [("error", "nothing there", ())]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "numbered"),
    [
        ("objects", True),
        ("medical/polyps", False),
        ("medical/fundus_vessels", False),
        ("microscopy/nuclei", True),
    ],
)
def test_real_sets_give_no_false_alarm(data, folder, numbered):
    """Fundus photographs look alike, and yet no two are the same eye's."""
    report = check(real(data / folder, numbered=numbered))
    assert {each.kind for each in report.findings} <= {"tiny objects"}
