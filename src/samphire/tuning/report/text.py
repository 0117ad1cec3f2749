"""Numbers, tables and lists as HTML text: what the sections of a report are made of.

Not for what is told (``sections.py``, ``cases.py``).
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from samphire.evaluation.intervals import Interval

PROTOCOLS = {"points": "One click", "box": "Box", "semantic": "Classes, without prompts"}


def number(value: float, digits: int = 3) -> str:
    """A number with a true minus; ``n/a`` for one that is none."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "n/a"


def signed(value: float, digits: int = 3) -> str:
    """A difference; zero has no sign."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and float(f"{value:.{digits}f}") else text


def interval(found: Interval, digits: int = 3, *, sign: bool = False) -> str:
    """A mean with its interval beside it; ``sign`` for differences."""
    show = signed if sign else number
    if math.isnan(found.low):
        return f"{show(found.mean, digits)} <small>interval n/a</small>"
    low, high = show(found.low, digits), show(found.high, digits)
    return f"{show(found.mean, digits)} <small>{low} to {high}</small>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, texts: int = 1) -> str:
    """Cells are HTML already; the first one of a row is its header, ``texts`` are not numbers."""
    titles = "".join(
        f'<th scope="col"{_text(place < texts)}>{escape(title)}</th>'
        for place, title in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row">{first}</th>'
        + "".join(f"<td{_text(at < texts)}>{cell}</td>" for at, cell in enumerate(rest, start=1))
        + "</tr>"
        for first, *rest in rows
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    label = escape(caption or "Cases")
    return (
        f'<div class="wide" role="region" aria-label="{label}" tabindex="0">'
        f"<table>{told}<thead><tr>{titles}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _text(*conditions: bool) -> str:
    return ' class="text"' if all(conditions) else ""


def facts(values: Mapping[str, str]) -> str:
    """Names with their values."""
    pairs = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values.items())
    return f"<dl>{''.join(pairs)}</dl>"


def sentences(texts: Sequence[str], kind: str) -> str:
    """A list; nothing if it is empty."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{items}</ul>' if items else ""
