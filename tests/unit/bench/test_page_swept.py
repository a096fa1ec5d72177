"""A sweep on a page: its rows and its lines."""

from typing import Any

import pytest
from sample_page import gathered, run

from ombdriver.bench.page.arrangement import arrange
from ombdriver.bench.page.content import content
from ombdriver.bench.page.swept import FIGURES, Swept, swept


def runs_of(*sweeps: dict[str, Any], setup: str = "embedded") -> Swept:
    """What a page tells of runs with these values."""
    results = [run(number, setup, sweep=values) for number, values in enumerate(sweeps)]
    found = swept([each for some in arrange(gathered(*results)) for each in some.runs])
    assert found is not None
    return found


def test_each_combination_is_a_row_with_its_repeats_together() -> None:
    """With the medians of its figures."""
    found = runs_of({"workload.topics": 1}, {"workload.topics": 2}, {"workload.topics": 1})

    assert [(row.values, row.runs) for row in found.rows] == [(("1",), 2), (("2",), 1)]
    assert found.rows[0].rate == pytest.approx(found.rows[1].rate)
    assert all(figure is not None and figure > 0 for figure in found.rows[0].figures)


def test_lines_go_over_the_setting_with_the_most_values() -> None:
    """One for each figure and combination of the others."""
    found = runs_of(
        *({"workload.topics": topics, "workload.messageSize": size} for topics in (1, 2) for size in (10, 20, 40))
    )

    assert found.over == "workload.messageSize"
    assert [line.name for line in found.lines[: len(FIGURES)]] == [f"topics 1: {figure}" for figure in FIGURES]
    assert len(found.lines) == 2 * len(FIGURES)
    assert {line.values for line in found.lines} == {("10", "20", "40")}


def test_names_are_told_without_the_values_that_they_end_with() -> None:
    """The values have columns of their own."""
    (row,) = runs_of({"setup.streams.readCount": 10}, setup="embedded-readCount-10").rows

    assert row.name.endswith(" on embedded")


def test_results_without_a_sweep_have_none() -> None:
    """The usual case."""
    shown = content(gathered(run(1)))

    assert (shown.swept, shown.swept_figure) == (None, None)
