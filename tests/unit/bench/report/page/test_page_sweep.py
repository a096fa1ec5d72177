"""A sweep on a page: its rows and its lines."""

from typing import Any

import pytest
from sample_page import INVALID, files, run

from ombdriver.bench.report.page.content import content
from ombdriver.bench.report.page.runs import group_runs
from ombdriver.bench.report.page.sweep import FIGURES, SweepSection, sweep_of
from ombdriver.bench.results.result import Result
from ombdriver.bench.results.versions import swept_names
from ombdriver.bench.verdict.model import Verdict

READ_COUNT = {"setup.streams.readCount": 10}


def runs_of(*sweeps: dict[str, Any], setup: str = "embedded") -> SweepSection:
    """What a page tells of runs with these values."""
    return told_of(*(run(number, setup, sweep=values) for number, values in enumerate(sweeps)))


def told_of(*results: Result) -> SweepSection:
    """What a page tells of the results."""
    found = sweep_of([each for some in group_runs(files(*results)) for each in some.runs])
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


def test_names_are_told_without_the_values_that_are_swept() -> None:
    """The values have columns of their own."""
    swept_setup = run(1, "embedded-of-10", sweep=READ_COUNT, sweep_of={"workload": "w", "setup": "embedded"})
    (row,) = told_of(swept_setup).rows

    assert row.name == "w on embedded"


def test_results_from_before_there_were_templates_have_their_names_made_out() -> None:
    """By the values that these end with."""
    before = {"workload": "w", "driver": "redis-streams", "setup": {"name": "embedded-readCount-10"}}

    assert swept_names(before | {"sweep": READ_COUNT}) == {"workload": "w", "setup": "embedded"}
    assert swept_names(before | {"sweep": {}}) == {}


def test_a_matrix_is_over_the_two_settings_with_the_most_values() -> None:
    """For each figure, and each value of a third setting; what did not run is a gap."""
    sizes = (("100", 1), ("1KiB", 1), ("100", 2), ("1KiB", 2), ("1KiB", 4))
    found = runs_of(
        *(
            {"workload.messageSize": size, "workload.topics": topics, "workload.seed": seed}
            for size, topics in sizes
            for seed in ([0, 1] if topics == 1 else [0])
        )
    )

    first = found.matrices[0]
    assert (first.down, first.across) == ("workload.messageSize", "workload.topics")
    assert (first.rows, first.columns) == (("100", "1KiB"), ("1", "2", "4"))
    assert [[cell != "-" for cell in row] for row in first.cells] == [[True, True, False], [True, True, True]]
    figures = list(FIGURES)
    assert [each.title for each in found.matrices] == [f"seed {seed}: {one}" for seed in (0, 1) for one in figures]


def test_a_combination_tells_its_verdicts_and_the_medians_of_those_that_are_valid() -> None:
    """Without a VALID one the figures are of all, and marked in table, matrix and line."""
    values = [(topics, size) for topics in (1, 2) for size in (10, 20)]
    runs = [
        run(number, sweep={"workload.topics": topics, "workload.messageSize": size}, verdict=verdict)
        for number, ((topics, size), verdict) in enumerate(
            [*((each, Verdict("VALID")) for each in values[:3]), (values[2], INVALID), *[(values[3], INVALID)] * 2]
        )
    ]
    found = told_of(*runs)

    assert [(row.runs, row.verdict, row.valid) for row in found.rows] == [
        (1, "VALID", True),
        (1, "VALID", True),
        (2, "1 VALID, 1 INVALID", True),
        (2, "INVALID", False),
    ]
    assert found.matrices[0].valid == ((True, True), (True, False))
    assert [line.valid for line in found.lines if line.kind == 0] == [(True, True), (True, False)]


def test_one_setting_makes_no_matrix() -> None:
    """Its table is all."""
    assert runs_of({"workload.topics": 1}, {"workload.topics": 2}).matrices == ()


def test_results_without_a_sweep_have_none() -> None:
    """The usual case."""
    shown = content(files(run(1)))

    assert (shown.sweep, shown.sweep_plot) == (None, None)
