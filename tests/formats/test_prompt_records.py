import pytest

from samphire.errors import FileFormatError
from samphire.formats.prompt_records import NamedPrompts, picture_name
from samphire.geometry import Size
from samphire.prompts import ObjectPrompt, Prompts


def fitted(box):
    named = NamedPrompts(Prompts.of(boxes=[box]), ("dog",), (3,)).fitted(Size(100, 200))
    assert (named.names, named.labels) == (("dog",), (3,))
    return named.prompts.objects[0].box.tolist()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([-0.5, -1, 200.01, 101], [0, 0, 200, 100]),
        ([10, 20, 30, 40], [10, 20, 30, 40]),
        ([10, 20, 201.5, 40], [10, 20, 201.5, 40]),
        ([-0.5, 20, 210, 40], [-0.5, 20, 210, 40]),
        ([200, 20, 200.5, 40], [200, 20, 200.5, 40]),
    ],
)
def test_a_box_over_the_edge_by_a_rounding_is_cut_and_any_other_left_to_be_refused(box, expected):
    assert fitted(box) == expected


def test_points_are_never_moved():
    prompts = Prompts((ObjectPrompt([[200.2, 5]], [1]),))
    assert NamedPrompts(prompts, ("",), (0,)).fitted(Size(100, 200)).prompts.equal(prompts)


@pytest.mark.parametrize("name", ["/", "./", ".", "..", "a/..", "//", "./.", "\\", " ./ "])
def test_a_folder_is_not_the_name_of_a_picture(name):
    with pytest.raises(FileFormatError, match=r"line 2: .* is a folder: expected the name of"):
        picture_name(name, "line 2")


def test_a_name_may_climb():
    assert picture_name("../a.png", "line 2") == "../a.png"
