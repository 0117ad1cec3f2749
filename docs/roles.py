"""Sphinx's roles in docstrings, as in ``:func:`embed```, become plain code on the site."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([^`]+)`")


def without_roles(text: str) -> str:
    """The text with each role's name as code."""
    return _ROLE.sub(r"`\1`", text)


class PlainRoles(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401 - griffe's signature
        """One module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = without_roles(obj.docstring.value)
