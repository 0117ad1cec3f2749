"""The page of guarantees names tests that are there, and every row has one."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reference" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| (?!-|what goes|\|)", line)]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the tests in a file."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return frozenset(
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    )


def test_every_named_test_exists():
    named = NAMED.findall(PAGE)
    assert len(named) > 80
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (TESTS / path).is_file() or name not in names_in(path)
    ]
    assert missing == []


def test_every_row_is_held_by_a_test():
    assert len(ROWS) > 45
    assert [row for row in ROWS if not NAMED.search(row.rsplit("|", 2)[1])] == []


def test_the_rules_are_counted_through():
    numbers = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 26)]


def test_nothing_else_between_backticks_looks_like_a_test():
    """A name that is split or misspelt would not be checked."""
    codes = re.findall(r"`([^`]*)`", PAGE)
    assert [code for code in codes if "test_" in code and not NAMED.fullmatch(f"`{code}`")] == []
