"""Sketches of plots: what plotly would draw, in pixels, within the frame."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_page import every_kind, two_setups

from ombdriver.bench.report.page import html
from ombdriver.bench.report.page.comparison import RatioBar
from ombdriver.bench.report.page.content import content
from ombdriver.bench.report.page.curves import Curve
from ombdriver.bench.report.page.plots import Plot, bar_plot, curve_plot
from ombdriver.bench.report.page.sketch import WIDTH, Sketch, sketch

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=40)


def curve(values_ms: list[float], *, setup: int = 0, valid: bool = True) -> Curve:
    """With a point for each value."""
    tails = tuple(float(2**at) for at in range(len(values_ms)))
    return Curve("endToEnd", setup, None, tails, tuple(values_ms), len(values_ms), valid)


def drawn(plot: Plot) -> Sketch:
    """A sketch that there is."""
    found = sketch(plot)
    assert found is not None
    return found


def places(found: Sketch) -> list[tuple[float, float]]:
    """All points of its lines and its dots."""
    pairs = [pair.split(",") for line in found.strokes for pair in line.points.split()]
    return [(float(x), float(y)) for x, y in pairs] + [(dot.x, dot.y) for dot in found.dots]


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_all_that_is_drawn_is_within_the_frame(curves: list[list[float]]) -> None:
    """Whatever the values: points, and the ticks beside them."""
    plot = curve_plot([curve(values, setup=at) for at, values in enumerate(curves)], ["a", "b", "c"], by_group=False)
    found = drawn(plot)

    assert all(found.left <= x <= found.right and found.top <= y <= found.bottom for x, y in places(found))
    assert all(found.left <= tick.at <= found.right for tick in found.across)
    assert all(found.top <= tick.at <= found.bottom for tick in found.down)


@given(VALUES.filter(lambda values: len(values) > 1))
def test_a_line_rises_where_its_values_rise(values: list[float]) -> None:
    """To the tenth of a pixel: a higher latency is never lower on the page."""
    values = sorted(values)
    plot = curve_plot([curve(values)], ["a"], by_group=False)
    heights = [y for _, y in places(drawn(plot))]

    assert heights == sorted(heights, reverse=True)


def test_a_series_that_is_hidden_at_first_is_not_drawn() -> None:
    """Nor is its dot."""
    plot = curve_plot([curve([1.0, 2.0]), curve([3.0, 4.0], setup=1)], ["a", "b"], by_group=False)
    plot["data"][1]["visible"] = False

    assert len(drawn(plot).strokes) == 1


def test_a_line_has_a_gap_where_a_value_is_missing() -> None:
    """None, and 0 where the scale is logarithmic."""
    plot = curve_plot([curve([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])], ["a"], by_group=False)
    plot["data"][0]["y"][2], plot["data"][0]["y"][5] = None, 0.0

    assert [len(line.points.split()) for line in drawn(plot).strokes] == [2, 2]


def test_marks_of_what_is_not_valid_are_hollow() -> None:
    """As in the plot."""
    plot = curve_plot([curve([1.0, 2.0], valid=False)], ["a"], by_group=False)

    assert [dot.hollow for dot in drawn(plot).dots] == [True, True]


def test_bars_have_their_intervals_and_their_names() -> None:
    """A metric for each row, the first on top; a ratio that has no interval is a mark alone."""
    bars = [
        RatioBar("publish.p50 & <more>", "redis", 1.2, 1.1, 1.3, "slower"),
        RatioBar("publish.p99", "redis", 1.1, None, None, "not claimed", False),
    ]
    found = drawn(bar_plot(bars))

    assert [tick.text for tick in found.down] == ["publish.p50 & <more>", "publish.p99"]
    assert found.down[0].at < found.down[1].at
    assert [dot.hollow for dot in found.dots] == [False, True]
    assert sum(line.thin for line in found.strokes) == 2
    assert all(0 <= x <= WIDTH for x, _ in places(found))


@pytest.mark.parametrize(
    "plot",
    [
        None,
        {"data": [], "layout": {"xaxis": {}, "yaxis": {}}},
        {"data": [], "layout": {"xaxis": {}, "yaxis": {}, "yaxis2": {}}},
    ],
)
def test_what_has_no_point_or_several_panels_has_no_sketch(plot: dict[str, Any] | None) -> None:
    """Its place stays empty until it is drawn."""
    assert sketch(plot) is None


def test_a_sketch_has_the_ticks_that_its_plot_is_told() -> None:
    """Of percentiles by their names, and of latencies in ms."""
    found = drawn(curve_plot([curve([0.1, 0.2, 0.5, 1.0])], ["a"], by_group=False))

    assert [tick.text for tick in found.across][:2] == ["0 %", "90 %"][: len(found.across)]
    assert {"0.1", "1"} <= {tick.text for tick in found.down}
    assert found.titles == ("percentile", "latency, ms")


def test_round_ticks_have_equal_steps() -> None:
    """Where plotly chooses them itself."""
    found = drawn(bar_plot([RatioBar("publish.p50", "redis", 1.2, 0.8, 1.6, "slower")]))
    values = [float(tick.text) for tick in found.across]
    steps = {round(later - earlier, 6) for earlier, later in itertools.pairwise(values)}

    assert len(steps) == 1
    assert math.isclose(min(values) % min(steps), 0, abs_tol=1e-6) or math.isclose(
        min(values) % min(steps), min(steps), abs_tol=1e-6
    )


def test_texts_of_a_result_can_do_nothing_in_a_sketch() -> None:
    """They are escaped once, as they are read."""
    bars = (RatioBar("<script>window.hacked = 1</script>", "redis", 1.2, 1.1, 1.3, "slower"),)
    plot = bar_plot(bars)
    page = html.render(content(two_setups()), "1.0").replace("</body>", "")
    assert drawn(plot).down[0].text == "<script>window.hacked = 1</script>"
    assert page.count('class="sketch"') == 1
    assert html.render(content(every_kind()), "1.0").count('class="sketch"') >= 2
