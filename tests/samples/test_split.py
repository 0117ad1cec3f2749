"""Splits: nothing leaks, the same seed gives the same, changed data is refused."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.errors import FileFormatError
from samphire.masks import Masks
from samphire.samples import DataSet, Labelled, Sample
from samphire.samples import split as split_module
from samphire.samples.split import (
    Member,
    Splits,
    check_splits,
    make_splits,
    subset,
    with_new_test,
)
from samphire.samples.split_file import load_splits, save_splits


def blank():
    return Labelled(np.zeros((4, 4, 3), np.uint8), Masks.from_arrays(np.zeros((0, 4, 4))))


def make(folder, groups, splits=None):
    """A data set with one file a sample: ``groups[i]`` is the group of sample i."""
    samples = []
    for index, group in enumerate(groups):
        path = folder / f"{index:03}.png"
        path.write_text(f"picture {index}")
        given = splits[index] if splits else None
        samples.append(Sample(path.name, group, (path,), partial(blank), given))
    return DataSet("set", "made", tuple(samples))


def ids(splits):
    return {split: set(splits.ids(split)) for split in ("train", "val", "test")}


def test_splits_have_the_sizes_asked_for_and_every_sample_once(tmp_path):
    dataset = make(tmp_path, [f"patient {index}" for index in range(40)])
    splits = make_splits(dataset, seed=3)
    sizes = {split: len(found) for split, found in ids(splits).items()}
    assert sizes == {"train": 28, "val": 6, "test": 6}
    assert set().union(*ids(splits).values()) == {sample.id for sample in dataset.samples}
    check_splits(splits, dataset)


@given(
    groups=st.lists(st.integers(0, 8), min_size=9, max_size=40).map(lambda some: [*some, 20, 21]),
    seed=st.integers(0, 5),
)
def test_no_group_is_torn_apart_and_no_order_matters(tmp_path_factory, groups, seed):
    dataset = make(tmp_path_factory.mktemp("set"), [str(group) for group in groups])
    splits = make_splits(dataset, seed=seed)
    homes = {}
    for split in split_module.SPLITS:
        for member in splits.members(split):
            homes.setdefault(member.group, set()).add(split)
    assert all(len(where) == 1 for where in homes.values())
    assert all(ids(splits).values())
    backwards = replace(dataset, samples=dataset.samples[::-1])
    assert make_splits(backwards, seed=seed) == splits


# the order by SHA-256 of "0:p0" to "0:p7" begins with the first of train, val and test
GOLDEN = {
    "train": {f"00{index}.png" for index in (0, 1, 2, 3, 5, 6)},
    "val": {"007.png"},
    "test": {"004.png"},
}


def test_another_seed_gives_other_splits_and_the_same_the_same(tmp_path):
    dataset = make(tmp_path, [str(index) for index in range(30)])
    assert make_splits(dataset, seed=1) == make_splits(dataset, seed=1)
    assert ids(make_splits(dataset, seed=1)) != ids(make_splits(dataset, seed=2))


def test_the_draw_is_the_same_in_every_version(tmp_path):
    """A split drawn last year has to come out again; this one was written down."""
    splits = make_splits(make(tmp_path, [f"p{index}" for index in range(8)]), seed=0)
    assert ids(splits) == GOLDEN


def test_equal_files_in_two_groups_stay_together(tmp_path):
    dataset = make(tmp_path, [str(index) for index in range(12)])
    for sample in dataset.samples[:6]:
        sample.files[0].write_text("the same picture")
    for seed in range(8):
        splits = make_splits(dataset, seed=seed)
        homes = [
            len(found & {f"{index:03}.png" for index in range(6)}) for found in ids(splits).values()
        ]
        assert sorted(homes) == [0, 0, 6]
        check_splits(splits, dataset)


def test_too_few_groups_are_refused_with_what_to_do(tmp_path):
    dataset = make(tmp_path, ["one", "two"] * 10)
    with pytest.raises(FileFormatError, match=r"has 2 groups .*train, val, test.*finer groups"):
        make_splits(dataset)
    splits = make_splits(dataset, fractions=(0.5, 0.5, 0))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (10, 10, 0)


@pytest.mark.parametrize("fractions", [(1, 0, 0), (0.5, 0.5, 0.5), (0, 0.5, 0.5), (1.2, 0.1, -0.3)])
def test_fractions_that_are_none_are_refused(tmp_path, fractions):
    with pytest.raises(ValueError, match="expected those of train, val and test"):
        make_splits(make(tmp_path, "abcdef"), fractions=fractions)


def test_the_splits_that_the_data_says_are_taken(tmp_path):
    dataset = make(tmp_path, "abcd", ["val", "train", "train", "test"])
    splits = make_splits(dataset, seed=7)
    assert (splits.seed, splits.fractions) == (None, None)
    assert splits.ids("train") == ("001.png", "002.png")
    assert splits.ids("val") == ("000.png",)


def test_half_said_splits_are_refused_by_name(tmp_path):
    dataset = make(tmp_path, "abcd", ["val", "train", None, None])
    with pytest.raises(FileFormatError, match=r"2 samples and not of 002\.png, 003\.png"):
        make_splits(dataset)


def test_said_splits_that_tear_a_group_are_refused_by_name(tmp_path):
    dataset = make(tmp_path, "aabb", ["train", "val", "val", "val"])
    with pytest.raises(
        FileFormatError, match=r"groups in two splits: 000\.png \(train\) = 001\.png \(val\)"
    ):
        make_splits(dataset)


def test_said_splits_without_val_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="val is empty"):
        make_splits(make(tmp_path, "abc", ["train", "train", "test"]))


def test_changed_new_and_missing_samples_are_told_by_name(tmp_path):
    dataset = make(tmp_path, "abcdefgh")
    splits = make_splits(dataset)
    dataset.samples[1].files[0].write_text("changed")
    new = tmp_path / "new.png"
    new.write_text("new")
    regrouped = replace(dataset.samples[3], group="z")
    changed = replace(
        dataset,
        samples=(
            *dataset.samples[1:3],
            regrouped,
            *dataset.samples[4:],
            Sample("new.png", "n", (new,), partial(blank)),
        ),
    )
    with pytest.raises(FileFormatError) as caught:
        check_splits(splits, changed)
    message = str(caught.value)
    assert "not in the data: 000.png" in message
    assert "not in the splits: new.png" in message
    assert "have changed: 001.png;" in message
    assert "another group: 003.png" in message


def test_a_test_file_that_changed_is_accepted_on_request_and_nothing_else(tmp_path):
    dataset = make(tmp_path, "abcdefgh")
    splits = make_splits(dataset)
    files = {sample.id: sample.files[0] for sample in dataset.samples}
    mended, trained = splits.test[0].id, splits.train[0].id
    assert with_new_test(splits, dataset) == (splits, ())
    files[mended].write_text("mended")
    now, changed = with_new_test(splits, dataset)
    assert changed == (mended,)
    check_splits(now, dataset)
    assert (now.train, now.val) == (splits.train, splits.val)
    files[mended].write_bytes(files[trained].read_bytes())
    with pytest.raises(FileFormatError, match="equal files in two splits"):
        check_splits(with_new_test(splits, dataset)[0], dataset)
    files[mended].write_text("mended")
    files[trained].write_text("changed")
    with pytest.raises(FileFormatError, match=f"have changed: {trained}"):
        check_splits(with_new_test(splits, dataset)[0], dataset)


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        (Member("a", "1", "x"), Member("a", "1", "x"), "ids in two splits: a"),
        (Member("a", "1", "x"), Member("b", "1", "y"), "groups in two splits: a"),
        (Member("a", "1", "x"), Member("b", "2", "x"), "equal files in two splits: a"),
    ],
)
def test_a_file_of_splits_that_leaks_is_refused(train, val, message):
    splits = Splits(0, (0.5, 0.5, 0.0), (train,), (val,), ())
    with pytest.raises(FileFormatError, match=message):
        check_splits(splits, DataSet("set", "made", ()))


def test_a_subset_has_the_samples_of_its_split_only(tmp_path):
    dataset = replace(make(tmp_path, "abcdefgh"), classes=("cat",))
    splits = make_splits(dataset)
    val = subset(dataset, splits, "val")
    assert tuple(sample.id for sample in val.samples) == splits.ids("val")
    assert val.classes == ("cat",)
    with pytest.raises(FileFormatError, match="lacks samples of the split train"):
        subset(val, splits, "train")


def test_a_sample_without_files_has_no_identity(tmp_path):
    dataset = make(tmp_path, "abc")
    bare = replace(dataset, samples=(*dataset.samples, Sample("bare", "d", (), partial(blank))))
    with pytest.raises(FileFormatError, match="bare names no files"):
        make_splits(bare)


def test_an_id_that_is_there_twice_is_refused(tmp_path):
    dataset = make(tmp_path, "abc")
    twice = replace(dataset, samples=(*dataset.samples, dataset.samples[0]))
    with pytest.raises(FileFormatError, match=r"there twice: 000\.png"):
        make_splits(twice)


def test_a_shared_file_is_hashed_once(tmp_path, monkeypatch):
    dataset = make(tmp_path, "abc")
    annotations = tmp_path / "instances.json"
    annotations.write_text("{}")
    shared = tuple(replace(each, files=(*each.files, annotations)) for each in dataset.samples)
    opened = []
    digest = split_module.hashlib.file_digest
    monkeypatch.setattr(
        split_module.hashlib,
        "file_digest",
        lambda file, name: (opened.append(file.name), digest(file, name))[1],
    )
    make_splits(replace(dataset, samples=shared))
    assert opened.count(str(annotations)) == 1


def test_splits_survive_the_file_and_give_the_same_bytes(tmp_path):
    splits = make_splits(make(tmp_path, [f"Zoë {index}" for index in range(9)]), seed=4)
    path = tmp_path / "run" / "splits.json"
    save_splits(path, splits)
    assert load_splits(path) == splits
    before = path.read_bytes()
    save_splits(path, load_splits(path))
    assert path.read_bytes() == before
    assert "Zoë 1" in before.decode()


def test_a_newer_or_damaged_file_of_splits_is_refused_by_name(tmp_path):
    path = tmp_path / "splits.json"
    save_splits(path, make_splits(make(tmp_path, "abcdef")))
    document = json.loads(path.read_bytes())
    for change, message in (
        ({"version": 2}, "version 2 of samphire-splits.*upgrade"),
        ({"format": "coco"}, "the format 'coco'"),
        ({"train": [{"id": 1, "group": "a", "sha256": "b"}]}, "expected texts for id"),
        ({"val": None}, "not a file of splits"),
        ({"fractions": [1]}, "not a file of splits"),
    ):
        path.write_text(json.dumps(document | change))
        with pytest.raises(FileFormatError, match=rf"splits\.json.*{message}"):
            load_splits(path)
    path.write_bytes(b"\xff{")
    with pytest.raises(FileFormatError, match=r"splits\.json is not a file of splits"):
        load_splits(path)
