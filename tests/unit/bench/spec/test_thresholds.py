"""Thresholds: how they are written, what they are held against, and what is told of a wrong one."""

import math
from typing import Any

import pytest
from assessed_run import measured
from hypothesis import given
from hypothesis import strategies as st
from sample_drain import measured_drain
from sample_result import figures

from ombdriver.bench.metrics.figures import LATENCIES
from ombdriver.bench.metrics.latency import REPORTED
from ombdriver.bench.metrics.summary import Totals, WindowDelivery
from ombdriver.bench.spec.thresholds import OPERATORS, UNITS_NS, Check, Threshold

GROUPS = ("group-1", "group-2", "group-3")


def check(text: str, **changed: Any) -> Check:
    """What becomes of a threshold in a run of 3 groups."""
    return Threshold.parse(text, GROUPS).check(measured(**changed))


@pytest.mark.parametrize(
    ("text", "value", "limit", "unit", "passed"),
    [
        ("publish.p50 < 62us", 0.061, 0.062, "ms", True),
        ("publish.p50<61µs", 0.061, 0.061, "ms", False),
        ("publish.p50 <= 61000ns", 0.061, 0.061, "ms", True),
        ("endToEnd[group-2].p99.9 < 2s", 0.194 * 9, 2000, "ms", True),
        ("endToEndResponse.max >= 9ms", 8.48, 9, "ms", False),
        ("publishRate >= 1999.5", 2000.0, 1999.5, "messages/s", True),
        ("consumeRate > 6000", 6000.0, 6000, "messages/s", False),
        ("consumeRate[group-1] > 1999.9", 1999.97, 1999.9, "messages/s", True),
        ("publishErrorRate <= 0", 0.0, 0, "messages/s", True),
        ("totals.publishErrors <= 0", 0.0, 0, "", True),
        ("totals.received >= 180000", 180_000, 180_000, "", True),
    ],
)
def test_a_figure_is_held_against_its_limit(text: str, value: float, limit: float, unit: str, passed: bool) -> None:
    """In the unit of the result."""
    found = check(text)

    assert found.value == pytest.approx(value)
    assert (found.limit, found.unit, found.passed) == (pytest.approx(limit), unit, passed)


def test_deliveries_are_told_per_group_and_together() -> None:
    """What was not counted for all has no sum."""
    delivery = [
        WindowDelivery("group-1", 60_000, 59_998, lost=2),
        WindowDelivery("group-2", 60_000, 59_999, lost=1, corrupt=0),
    ]

    assert check("delivery.lost <= 0", delivery=delivery).value == 3
    assert check("delivery[group-2].lost <= 1", delivery=delivery).passed
    assert check("delivery[group-2].corrupt <= 0", delivery=delivery).passed
    assert check("delivery.corrupt <= 0", delivery=delivery).value is None


def test_delay_parts_are_figures_too() -> None:
    """Schedule lag and what was blocked."""
    parts = {"scheduleLag": figures(10_000), "blocked": figures(20_000)}

    assert check("scheduleLag.p99 < 1ms", delay_parts=parts).value == 0.05


@pytest.mark.parametrize("text", ["scheduleLag.p99 < 1s", "delivery.lost <= 0"])
def test_a_figure_without_a_sample_fails(text: str) -> None:
    """It can't show that the condition is met."""
    found = check(text)

    assert (found.value, found.passed) == (None, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not FIGURE OP VALUE"),
        ("publish.p99", "write it as 'endToEndResponse.p99 < 5ms'"),
        ("publish.p99 = 5ms", "OP is <, <=, > or >="),
        ("publish.p99 == 5ms", "OP is <, <=, > or >="),
        ("publish.p99 < 5", "5 has no unit; write 5ms"),
        ("publish.p99 < 5m", "'m' is not a unit of a latency; write 5ms"),
        ("publish.p99 < -5ms", "is not a value"),
        ("publish.p99 < fast", "is not a value"),
        ("publish.p98 < 5ms", "did you mean publish.p95?"),
        ("publish < 5ms", "there are: min, avg, p50"),
        ("publsh.p99 < 5ms", "did you mean publish?"),
        ("endToEnd[group-4].p99 < 5ms", "there is no group 'group-4'; did you mean group-"),
        ("publish[group-1].p99 < 5ms", r"not told per group; leave out \[group-1\]"),
        ("publishRate.p99 < 5", "publishRate is one number; leave out .p99"),
        ("publishRate >= 5ms", "publishRate is a number; leave out 'ms'"),
        ("totals.errors <= 0", "did you mean totals.publishErrors?"),
        ("delivery.orderExact <= 0", "delivery has no figure 'orderExact'"),
        ("weather > 5", "there is no figure 'weather'; there are: publish"),
    ],
)
def test_a_wrong_threshold_is_told_with_the_way_out(text: str, message: str) -> None:
    """What is wrong, and what is known."""
    with pytest.raises(ValueError, match=message):
        Threshold.parse(text, GROUPS)


def test_where_nobody_reads_there_is_no_group() -> None:
    """And the message does not list any."""
    with pytest.raises(ValueError, match="there is no group 'group-1'; this run has none"):
        Threshold.parse("endToEnd[group-1].p99 < 5ms", ())


@given(
    st.sampled_from(LATENCIES),
    st.sampled_from(REPORTED),
    st.sampled_from(list(OPERATORS)),
    st.integers(0, 10**9),
    st.sampled_from(list(UNITS_NS)),
)
def test_spaces_do_not_matter_and_units_are_exact(
    family: str, statistic: str, operator: str, number: int, unit: str
) -> None:
    """However a threshold is spaced, it is the same."""
    loose = Threshold.parse(f"  {family}.{statistic}  {operator}   {number}{unit} ")

    assert loose == Threshold.parse(f"{family}.{statistic}{operator}{number}{unit}")
    assert Threshold.parse(loose.expression) == loose
    assert loose.limit == number * UNITS_NS[unit]


@given(st.floats(0, 1e12, allow_nan=False), st.floats(0, 1e12, allow_nan=False))
def test_of_a_condition_and_its_opposite_one_holds(value: float, limit: float) -> None:
    """< and >=, > and <=."""
    assert math.isfinite(limit)
    for operator, opposite in (("<", ">="), (">", "<=")):
        figure = Threshold.parse("publishRate > 1").figure
        one = Threshold("", figure, operator, limit).is_met(value)
        assert one != Threshold("", figure, opposite, limit).is_met(value)


def test_every_total_can_be_a_threshold() -> None:
    """Under the name that the result has for it."""
    for name in ("published", "publishErrors", "unsent", "received", "unanswered", "indeterminate"):
        assert check(f"totals.{name} >= 0", totals=Totals(1, 2, 3, 4)).passed


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        ("backlogDrain.drainSeconds < 6", 5.0, True),
        ("backlogDrain[group-1].drainSeconds <= 1.5", 2.0, False),
        ("backlogDrain[group-1].drainRate >= 5000", 5000.0, True),
        ("backlogDrain.receiveRate > 7000", 8000.0, True),
    ],
)
def test_a_drain_is_told_per_group_and_for_all_together(text: str, value: float, passed: bool) -> None:
    """In seconds, and in messages a second."""
    found = check(text, backlog_drain=measured_drain())

    assert (found.value, found.passed) == (pytest.approx(value), passed)


def test_a_drain_that_was_not_over_took_no_time_that_could_be_short_enough() -> None:
    """It never passes; the rate of what was drained is told all the same."""
    undone = measured_drain(caught_up=False)

    assert check("backlogDrain.drainSeconds < 1000", backlog_drain=undone).value is None
    assert not check("backlogDrain.drainSeconds < 1000", backlog_drain=undone).passed
    assert check("backlogDrain.drainRate > 0", backlog_drain=undone).value == pytest.approx(1600)
    assert check("backlogDrain.drainRate > 0").value is None
