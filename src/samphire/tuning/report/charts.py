"""Curves and clouds of points as SVG text, for pages that need nothing from elsewhere.

Colours are classes (``series-0`` ...), which the page's style sheet gives for light and dark. Not a
plotting library: two kinds of charts, the two that a report of a run has.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samphire.arrays import FloatArray

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44
SIDE = 340  # of a cloud
# More points than this are drawn as the means of neighbours: no screen shows more.
POINTS = 600


@dataclass(frozen=True, eq=False)
class Line:
    """A curve.

    Attributes:
        name: in the legend.
        x: (N,).
        y: (N,) finite.
        series: number of its colour.
        faint: the data behind a smoothed curve.
        dots: the values are marked.
    """

    name: str
    x: FloatArray
    y: FloatArray
    series: int = 0
    faint: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A place on a curve that is pointed at."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Axis:
    """From values to units of the drawing, with the values that are written beside it."""

    ticks: tuple[float, ...]
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def nice_ticks(low: float, high: float, count: int = 6) -> tuple[float, ...]:
    """Round numbers, evenly spaced, the first at most ``low``, the last at least ``high``.

    >>> nice_ticks(0.12, 0.88), nice_ticks(1, 48), nice_ticks(2, 2)
    ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.0, 10.0, 20.0, 30.0, 40.0, 50.0), (1.0, 1.5, 2.0, 2.5, 3.0))
    """
    if high <= low:
        low, high = low - max(abs(low), 1) / 2, high + max(abs(high), 1) / 2
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(
        (part * power for part in (1, 2, 5, 10) if part * power >= rough * (1 - 1e-9)), 10 * power
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, 10) for number in range(first, last + 1))


def smooth(values: FloatArray, window: int) -> FloatArray:
    """The mean over a window around each value, cut off at the ends.

    >>> smooth(np.array([0.0, 3.0, 6.0, 0.0]), 3).tolist()
    [1.5, 3.0, 3.0, 3.0]
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    start = np.maximum(place - window // 2, 0)
    end = np.minimum(place + window // 2 + 1, len(values))
    return np.asarray((sums[end] - sums[start]) / (end - start))


def line_chart(
    lines: Sequence[Line], *, title: str, x_name: str, y_name: str, mark: Mark | None = None
) -> str:
    """Curves over one axis, with their legend below if there are several.

    Args:
        lines: one at least, with one value at least.
        title: for those who cannot see it.
        x_name: below the axis.
        y_name: above the axis.
        mark: what to point at.
    """
    every_x, every_y = (np.concatenate([getattr(line, axis) for line in lines]) for axis in "xy")
    x = Axis(nice_ticks(every_x.min(), every_x.max()), LEFT, WIDTH - RIGHT)
    y = Axis(nice_ticks(every_y.min(), every_y.max()), HEIGHT - BOTTOM, TOP + 14)
    drawn = [_axes(x, y, x_name, y_name)]
    drawn += [_curve(line, x, y) for line in lines]
    if mark is not None:
        drawn.append(_mark(mark, x, y))
    legend = ""
    if len(lines) > 1:
        names = [_key(line) for line in lines]
        legend = f'<figcaption class="legend">{"".join(names)}</figcaption>'
    return f"<figure>{_svg(WIDTH, HEIGHT, title, drawn)}{legend}</figure>"


def cloud(before: FloatArray, after: FloatArray, same: float, *, title: str) -> str:
    """A point a case, before against after; above the diagonal it got better.

    Args:
        before: (N,) 0 to 1, N at least 1.
        after: (N,) 0 to 1.
        same: a smaller difference is none.
        title: for those who cannot see it.
    """
    ticks = nice_ticks(min(before.min(), after.min(), 0.9), 1.0)
    x, y = Axis(ticks, LEFT, SIDE - RIGHT), Axis(ticks, SIDE - BOTTOM, TOP + 14)
    low, high = ticks[0], ticks[-1]
    ends = (x.at(low), y.at(low), x.at(high), y.at(high))
    drawn = [_axes(x, y, "Dice before", "Dice after")]
    drawn.append('<path class="diagonal" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>'.format(*ends))
    gained = np.round(after - before, 9)
    kinds = (
        ("equal", np.abs(gained) <= same),
        ("better", gained > same),
        ("worse", gained < -same),
    )
    for name, chosen in kinds:
        places = zip(before[chosen], after[chosen], strict=True)
        # lines of no length with round ends: a point costs a dozen characters
        path = "".join(f"M{x.at(left):.1f} {y.at(right):.1f}h0" for left, right in places)
        drawn.append(f'<path class="points {name}" d="{path}"/>' if path else "")
    return _svg(SIDE, SIDE, title, drawn)


def _svg(width: int, height: int, title: str, drawn: Sequence[str]) -> str:
    label = html.escape(title)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f"{''.join(drawn)}</svg>"
    )


def _axes(x: Axis, y: Axis, x_name: str, y_name: str) -> str:
    parts = []
    for tick in y.ticks:
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{x.start} {at:.1f}H{x.end}"/>')
        parts.append(f'<text x="{x.start - 8}" y="{at + 4:.1f}" class="end">{tick:g}</text>')
    for tick in x.ticks:
        at = x.at(tick)
        parts.append(f'<path class="tick" d="M{at:.1f} {y.start}v5"/>')
        parts.append(f'<text x="{at:.1f}" y="{y.start + 19}" class="middle">{tick:g}</text>')
    parts.append(f'<path class="axis" d="M{x.start} {y.start}H{x.end}"/>')
    middle = (x.start + x.end) / 2
    name, above = html.escape(x_name), html.escape(y_name)
    parts.append(f'<text x="{middle}" y="{y.start + 37}" class="middle name">{name}</text>')
    parts.append(f'<text x="4" y="14" class="name">{above}</text>')
    return "".join(parts)


def _curve(line: Line, x: Axis, y: Axis) -> str:
    across, up = _thinned(line.x), _thinned(line.y)
    places = [f"{x.at(left):.1f} {y.at(right):.1f}" for left, right in zip(across, up, strict=True)]
    kind = f"line series-{line.series}{' faint' if line.faint else ''}"
    drawn = f'<path class="{kind}" d="M{"L".join(places)}"/>'
    if line.dots or len(places) == 1:
        dots = "".join(f"M{place}h0" for place in places)
        drawn += f'<path class="dots series-{line.series}" d="{dots}"/>'
    return drawn


def _thinned(values: FloatArray) -> FloatArray:
    """At most ``POINTS`` values: means of neighbours."""
    if len(values) <= POINTS:
        return values
    starts = np.linspace(0, len(values), POINTS, endpoint=False).astype(int)
    counts = np.diff(np.append(starts, len(values)))
    return np.asarray(np.add.reduceat(values, starts) / counts)


def _mark(mark: Mark, x: Axis, y: Axis) -> str:
    across, up = x.at(mark.x), y.at(mark.y)
    side = "end" if across > (x.start + x.end) / 2 else "start"
    beside = across + (-8 if side == "end" else 8)
    # at the foot, where the curves of a score are seldom
    return (
        f'<path class="mark" d="M{across:.1f} {y.start}V{up:.1f}"/>'
        f'<circle class="mark" cx="{across:.1f}" cy="{up:.1f}" r="6"/>'
        f'<text x="{beside:.1f}" y="{y.start - 9}" class="{side} marked">'
        f"{html.escape(mark.text)}</text>"
    )


def _key(line: Line) -> str:
    kind = f"line series-{line.series}{' faint' if line.faint else ''}"
    sample = f'<svg viewBox="0 0 24 8" aria-hidden="true"><path class="{kind}" d="M1 4H23"/></svg>'
    return f"<span>{sample}{html.escape(line.name)}</span>"
