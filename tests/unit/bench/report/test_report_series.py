"""All runs of a command as a table: the same at 80 columns, wider, and in a pipe."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sample_result import result

from ombdriver.bench.report import series
from ombdriver.bench.report.series import RunRow
from ombdriver.bench.results.result import Standing
from ombdriver.bench.run.run_order import ordered

Golden = Callable[[str, str], None]

REFUSED = "redis://127.0.0.1:1: Error 111 connecting to 127.0.0.1:1; is the server up, and the URL right?"

FIGURES = {**series.figures_of(result()), "endToEndResponse.p99": None}
"""Of a run that has a result; one figure of it without a sample."""


def rows() -> list[RunRow]:
    """Runs of every kind, with long names among them."""
    workloads, setups = ("1kb-3groups", "1 topic / 1 partition / 1Kb"), ("embedded", "valkey-replicated-wait")
    ends = [
        ("VALID", "k3v9qzaa", None),
        ("FAILED", None, REFUSED),
        ("UNSTEADY, FAILED", "k3v9qzab", "worker 1 (consume) died: killed by SIGKILL; see the log above"),
        ("VALID, threshold missed", "k3v9qzac", None),
        ("OVERLOADED", "k3v9qzad", None),
        ("FAILED", None, REFUSED),
        ("PARTIAL, interrupted", "k3v9qzae", "interrupted by SIGINT after 3 s; the result is partial"),
        (series.NOT_BEGUN, None, None),
    ]
    runs = ordered("ab12cd34", [2, 2], 2)
    return [
        RunRow(workloads[workload], setups[setup], standing, *end, FIGURES if end[1] else None)
        for (workload, setup, standing), end in zip(runs, ends, strict=True)
    ]


def shown(told: list[RunRow], width: int | None = None) -> str:
    """The table as it comes out of a pipe."""
    stream = io.StringIO()
    series.show(told, Path("results"), stream, width)
    return stream.getvalue()


def test_a_series_is_told_run_by_run(golden: Golden) -> None:
    """One line each where names are short; what failed alike is told once, below."""
    golden("series.txt", shown(rows()))


def test_the_table_fits_80_columns_and_is_plain() -> None:
    """Also on a narrower terminal, where no figure is lost; on a wider one each run has one line."""
    for width in (None, 40, 80):
        text = shown(rows(), width)
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text
        assert text.count("*-k3v9qza") == text.count(".json") == 5
    assert len(shown(rows(), 140).splitlines()) == 1 + 2 + 8 + (1 + 1 + 5) + 3


def test_a_run_is_announced_by_its_number_and_its_names() -> None:
    """The repeat is left out where there is but one."""
    once, again = Standing("s", 3, 8), Standing("s", 3, 8, 2, 1, 4)

    assert series.announcement("w", "a", again, 300.0) == "run 3 of 8 (about 5 min 0 s left): w x a, repeat 2"
    assert series.announcement("w", "a", once, 3.0) == "run 3 of 8 (about 3 s left): w x a"
    assert series.title("w", "a", again) == "w x a, repeat 2"
    assert series.title("w", "a", replace(again, attempt=3)) == "w x a, repeat 2, attempt 3"


def test_the_order_to_come_is_told_up_to_where_it_repeats() -> None:
    """For each workload."""

    def order(workloads: int, setups: int, repeats: int) -> str:
        runs = ordered("s", [setups] * workloads, repeats)
        return series.describe_order([("vww"[workload], "abc"[setup], standing) for workload, setup, standing in runs])

    assert order(1, 1, 1).splitlines() == ["runs           1, one after the other", "order          v: a"]
    assert order(2, 2, 1).splitlines()[1:] == ["order          v: a, b", "order          w: a, b"]
    assert order(3, 2, 1).splitlines()[2:] == ["order          w: a, b"] * 2
    assert order(1, 2, 5).splitlines()[1] == "order          v: a, b; b, a; and so on, 5 blocks in all"
    assert order(1, 3, 2).splitlines()[1] == "order          v: a, b, c; c, a, b"
