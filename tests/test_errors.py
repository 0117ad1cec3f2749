import re

import numpy as np
import pytest

from samphire import errors
from samphire.errors import SamphireError, ShapeError, check_shape

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, SamphireError)
}


def test_the_tree_in_the_docstring_names_exactly_the_classes_of_the_module():
    drawn = re.findall(r"^[\s│├└─]*([A-Z]\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == set(CLASSES)


def test_the_tree_in_the_docstring_draws_the_bases():
    lines = [line for line in (errors.__doc__ or "").splitlines() if "Error" in line]
    parents: list[tuple[int, str]] = []
    for line in lines:
        found = re.search(r"([A-Z]\w+Error)(?:\((\w+)\))?", line)
        if not found or not re.match(r"^[\s│├└─]*[A-Z]\w+Error\b", line):
            continue
        depth, name, builtin = found.start(1), found[1], found[2]
        while parents and parents[-1][0] >= depth:
            parents.pop()
        if parents:
            assert CLASSES[name].__bases__[0].__name__ == parents[-1][1]
        if builtin:
            assert builtin in [base.__name__ for base in CLASSES[name].__bases__]
        parents.append((depth, name))


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"SamphireError"}))
def test_each_error_is_also_the_builtin_that_a_caller_would_expect(name):
    builtins = [base for base in CLASSES[name].__mro__ if base.__module__ == "builtins"]
    assert builtins[0] is not Exception
    with pytest.raises(builtins[0], match="what was found"):
        raise CLASSES[name]("what was found")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 2), ("N", 2)),
        ((0, 2), ("N", 2)),
        ((), ()),
        ((3, 3), ("S", "S")),
        ((1, 4, 4), (1, 4, "G")),
    ],
)
def test_check_shape_is_silent_where_the_shape_fits(shape, expected):
    check_shape(np.zeros(shape), expected, "array")


@pytest.mark.parametrize(
    ("shape", "expected", "message"),
    [
        ((5, 3), ("N", 2), "points has shape (5, 3): expected (N, 2)"),
        ((5,), ("N", 2), "points has shape (5,): expected (N, 2)"),
        ((5, 2, 1), ("N", 2), "points has shape (5, 2, 1): expected (N, 2)"),
        ((3, 4), ("S", "S"), "points has shape (3, 4): expected (S, S)"),
        ((2,), (4,), "points has shape (2,): expected (4,)"),
        ((), ("N",), "points has shape (): expected (N,)"),
    ],
)
def test_check_shape_says_what_was_found_and_what_was_expected(shape, expected, message):
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        check_shape(np.zeros(shape), expected, "points")


def test_check_shape_takes_arrays_of_any_library():
    torch = pytest.importorskip("torch")
    check_shape(torch.zeros(5, 2), ("N", 2), "points")
    with pytest.raises(ShapeError, match=r"has shape \(5, 2\)"):
        check_shape(torch.zeros(5, 2), ("N", 3), "points")
