"""Charts: round ticks that cover the values, curves that lie where the values are."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samphire.tuning.report.charts import (
    POINTS,
    Axis,
    Line,
    Mark,
    cloud,
    line_chart,
    nice_ticks,
    smooth,
)

finite = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 4))


@given(finite, finite)
def test_ticks_cover_the_values_evenly_and_are_few(left, right):
    low, high = sorted((left, right))
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, high - low)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 3 <= len(ticks) <= 9
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-5)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.integers(1, 60))
def test_smoothing_is_the_mean_of_a_window(values, window):
    found = smooth(np.array(values), window)
    for place in range(len(values)):
        near = values[max(0, place - window // 2) : place + window // 2 + 1]
        assert found[place] == pytest.approx(np.mean(near), abs=1e-9)


def places(drawn, kind):
    (path,) = re.findall(rf'<path class="{kind}" d="M([^"]*)"', drawn)
    return np.array([pair.split() for pair in re.split("h0M|h0|L", path) if pair], float)


def test_a_curve_runs_through_its_values():
    x, y = np.arange(1.0, 6), np.array([0.5, 0.25, 1.0, 0.0, 0.75])
    drawn = line_chart([Line("loss", x, y, series=2)], title="t", x_name="step", y_name="Loss")
    found = places(drawn, "line series-2")
    np.testing.assert_allclose(np.diff(found[:, 0]), found[1, 0] - found[0, 0], atol=0.11)
    height = found[:, 1]
    np.testing.assert_allclose((height - height[3]) / (height[2] - height[3]), y, atol=0.01)
    assert height[2] < height[3]  # more is higher up
    assert "legend" not in drawn


def test_a_long_curve_is_drawn_as_means_of_neighbours():
    values = np.tile([0.0, 1.0], 5 * POINTS)
    line = Line("raw", np.arange(len(values), dtype=float), values, faint=True)
    drawn = line_chart([line, line], title="t", x_name="x", y_name="y")
    found = re.findall(r'class="line series-0 faint" d="M([^"]*)"', drawn)[0].split("L")
    assert len(found) == POINTS
    assert len({pair.split()[1] for pair in found}) == 1
    assert drawn.count("<span>") == 2


def test_one_value_is_a_point_and_names_are_escaped():
    one = Line("<a>", np.array([3.0]), np.array([0.5]))
    drawn = line_chart(
        [one, one], title='"<b>', x_name="<c>", y_name="<d>", mark=Mark(3.0, 0.5, "<e>")
    )
    assert (
        len(
            places(
                drawn.replace("</figure>", "", 1)
                .split("</svg>")[0]
                .replace("dots series-0", "first", 1),
                "first",
            )
        )
        == 1
    )
    for text in ("<a>", "<b>", "<c>", "<d>", "<e>"):
        assert text not in drawn
    assert 'aria-label="&quot;&lt;b&gt;"' in drawn


def test_the_mark_is_where_its_value_is():
    x, y = np.array([1.0, 2, 3]), np.array([0.1, 0.9, 0.5])
    drawn = line_chart(
        [Line("score", x, y)], title="t", x_name="x", y_name="y", mark=Mark(2.0, 0.9, "best")
    )
    across, up = places(drawn, "line series-0")[1]
    assert f'cx="{across}" cy="{up}"' in drawn


def test_a_cloud_tells_better_equal_and_worse_apart():
    before, after = np.array([0.5, 0.5, 0.5, 0.2]), np.array([0.9, 0.51, 0.1, 0.3])
    drawn = cloud(before, after, 0.01, title="t")
    better, equal, worse = (places(drawn, f"points {k}") for k in ("better", "equal", "worse"))
    assert [len(kind) for kind in (better, equal, worse)] == [2, 1, 1]
    assert better[0, 0] == equal[0, 0] == worse[0, 0] > better[1, 0]
    assert better[0, 1] < equal[0, 1] < worse[0, 1]


def test_an_axis_maps_its_ends_to_its_ends():
    axis = Axis((0.0, 0.5, 1.0), 300.0, 20.0)
    assert [axis.at(value) for value in (0, 0.5, 1)] == [300, 160, 20]
