"""The comparison of a page: bars of the tested metrics, and in words what could not be compared."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sample_page import UNSTEADY, files, hostile, run

from ombdriver.bench.report.page import comparison
from ombdriver.bench.report.page.comparison import RatioBar, comparison_section, ratio_table
from ombdriver.bench.report.page.content import content
from ombdriver.bench.results.compare.metrics import DECLARED
from ombdriver.bench.results.result import Standing
from ombdriver.bench.results.store import ResultFile
from ombdriver.bench.verdict.model import Verdict
from ombdriver.cli.report import report
from ombdriver.errors import InputError


def blocks(count: int, *setups: str) -> list[ResultFile]:
    """So many blocks of one series, each with a run of every setup."""
    runs = []
    for block in range(count):
        for position, setup in enumerate(setups):
            number = block * len(setups) + position + 1
            runs.append(
                run(number, setup, standing=Standing("s", number, count * len(setups), block + 1, position + 1, count))
            )
    return files(*runs)


def test_what_is_said_of_several_setups_alike_is_said_once() -> None:
    """A refusal of a claim names all setups that it is of."""
    few = comparison_section(blocks(3, "a", "b", "c", "d"))

    assert len(few.notes) == 1
    assert few.notes[0].startswith("1kb-3groups: b, c, d against a: 3 blocks, compared within each; ")


@given(st.lists(st.tuples(st.sampled_from("bcd"), st.sampled_from(["p50", "p99"])), unique=True))
def test_the_table_of_ratios_has_the_words_of_every_bar(named: list[tuple[str, str]]) -> None:
    """In its setup's row and its metric's column; an empty cell where there is no bar."""
    bars = [RatioBar(metric, setup, 1.0, None, None, f"{setup} {metric}") for setup, metric in named]
    metrics, rows = ratio_table(bars)
    told = {(row.setup, metric): words for row in rows for metric, words in zip(metrics, row.cells, strict=True)}

    assert {where: words for where, words in told.items() if words} == {
        (bar.setup, bar.metric): bar.words for bar in bars
    }


def test_each_setup_has_a_bar_for_each_tested_metric() -> None:
    """In blocks of one series, with an interval and the words of `ombdriver compare`."""
    found = comparison_section(blocks(8, "a", "b", "c"))

    assert [(bar.setup, bar.metric) for bar in found.bars] == [
        (each, str(figure)) for each in "bc" for figure in DECLARED
    ]
    assert all(bar.low is not None and bar.words for bar in found.bars)
    assert "b, c against a: 8 blocks, compared within each" in found.notes[0]


def test_too_few_repeats_have_bars_and_no_claim() -> None:
    """The ratio is drawn all the same, and the repeats to ask for are told."""
    found = comparison_section(blocks(2, "a", "b"))

    assert {bar.words for bar in found.bars} == {"1.000 times, not claimed"}
    assert "--repeats" in found.notes[0]


def test_the_baseline_may_be_named() -> None:
    """Then the others are held against it."""
    found = comparison_section(blocks(2, "a", "b"), "b")

    assert {bar.setup for bar in found.bars} == {"a"}
    with pytest.raises(InputError, match="there are: a, b"):
        comparison_section(blocks(2, "a", "b"), "nobody")


def test_one_setup_alone_is_compared_with_nothing() -> None:
    """And nothing is said of it: there is nothing to miss."""
    assert comparison_section(blocks(2, "a")) == comparison.NO_COMPARISON


def test_results_that_are_not_valid_are_shown_without_a_claim() -> None:
    """Where a setup has no VALID one; those of a run that was cut are left out by name."""
    found = comparison_section(files(run(1, "a"), run(2, "b", verdict=UNSTEADY)))
    cut = comparison_section(files(run(1, "a"), run(2, "b", verdict=Verdict("PARTIAL"))))

    assert all(bar.words.endswith("not claimed") and not bar.valid for bar in found.bars)
    assert "not claimed: none of the 1 of b is VALID (1 UNSTEADY" in found.notes[0]
    assert cut.bars == ()
    assert cut.notes[0] == "No comparison: no workload has whole runs of two setups."
    assert "run00002.json" in cut.notes[1]


def test_results_that_are_not_comparable_are_not_compared() -> None:
    """The page says what differs in place of bars."""
    other = run(2, "b", workload_sha256="f" * 64, environment={"cpuModel": "another"})
    found = comparison_section(files(run(1, "a"), other))

    assert found.bars == ()
    assert found.notes[0] == "No comparison, since what should be alike is not:"
    assert len(found.notes) > 1


def test_two_workloads_are_told_apart() -> None:
    """Their bars are named by workload and setup."""
    pairs = [(workload, setup) for workload in "wx" for setup in "ab"]
    runs = [replace(run(number, setup), workload=load) for number, (load, setup) in enumerate(pairs, start=1)]
    found = comparison_section(files(*runs))

    assert {bar.setup for bar in found.bars} == {"w on b", "x on b"}


def test_no_password_is_in_the_notes() -> None:
    """Whatever a result has as its names."""
    twins = [*hostile(), *files(run(2, "redis://user:hunter2@example.invalid:6379/0"))]

    assert "hunter2" not in repr(content(twins, comparison_section(twins)))


def test_the_page_of_a_file_shows_the_comparison(tmp_path: Path) -> None:
    """By the verb; one that is for Markdown sends to `compare`."""
    for each in blocks(2, "a", "b"):
        (tmp_path / each.source).write_text(each.result.dumps(), encoding="utf-8")
    page = tmp_path / "page.html"

    done = CliRunner().invoke(report, [str(tmp_path), "-o", str(page), "--baseline", "b"], standalone_mode=False)

    assert done.exception is None
    assert "a against b: 2 blocks, compared within each" in page.read_text(encoding="utf-8")
    refused = CliRunner().invoke(report, [str(tmp_path), "--format", "markdown", "--baseline", "b"])
    assert isinstance(refused.exception, InputError)
