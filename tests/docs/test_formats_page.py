"""The page of formats is the table of formats."""

import re
from pathlib import Path

from samphire.formats import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "formats.md").read_text()


def test_every_format_has_a_row_with_its_suffix_and_no_other_has():
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]*) \|", PAGE, re.MULTILINE))
    assert rows.keys() == FORMATS.keys()
    for name, known in FORMATS.items():
        assert f"NAME{known.suffix}" in rows[name]
        assert known.combined in rows[name]


def test_write_only_formats_are_said_to_be():
    for line in PAGE.splitlines():
        name = line.split("`")[1] if line.startswith("| `") else None
        if name in FORMATS:
            assert ("write only" in line) == (FORMATS[name].read is None)
