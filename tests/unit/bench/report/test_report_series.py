"""All runs of a command as a table: the same at 80 columns, wider, and in a pipe."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sample_result import result

from ombdriver.bench.report import series
from ombdriver.bench.report.series import RunRow
from ombdriver.bench.results.result import Standing
from ombdriver.bench.run.run_order import ordered
from ombdriver.bench.verdict.model import VALID, Advice, Reason, Verdict

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


INVALID = Verdict(
    "INVALID",
    (Reason("runDelay", "INVALID", "..."),),
    measured="this run took 0.65 of 2 cores, others 1.25",
    advice=(Advice("endOthers", "end what else runs on this machine: it took 1.25 of 2 cores, this run 0.65"),),
)
STOLEN = Verdict(
    "INVALID",
    (Reason("steal", "INVALID", "..."),),
    measured="steal 3.1%",
    advice=(Advice("ownProcessors", "use a machine whose processors are its own"),),
)


def repeats(*verdicts: Verdict, setups: Sequence[str] = ("embedded",)) -> str:
    """What is told of runs with these verdicts, the setups in turn; the rates are 1,000, 1,001, ... messages/s."""
    runs = [
        RunRow(
            "w",
            setups[at % len(setups)],
            Standing("s", at + 1, len(verdicts), at // len(setups) + 1),
            verdict.status,
            f"run{at:05d}",
            None,
            FIGURES | {"publishRate": 1000.0 + at},
            verdict,
        )
        for at, verdict in enumerate(verdicts)
    ]
    return shown(runs, 120)


def test_repeats_of_one_setup_have_their_median_and_spread() -> None:
    """Of several setups the comparison has them, which comes next; one run alone has none."""
    told = repeats(*[Verdict(VALID)] * 3)

    assert "\nmedian    1,001/s " in told
    assert "\nspread      0.2 % " in told
    assert "claimed" not in told
    assert "○" not in told
    assert "median" not in repeats(Verdict(VALID))
    assert "median" not in repeats(*[Verdict(VALID)] * 4, setups=("a", "b"))


def test_a_series_that_is_invalid_throughout_has_figures_that_are_not_claimed_and_advice() -> None:
    """An answer all the same, with the reason why nothing follows from it."""
    told = repeats(INVALID, INVALID, STOLEN)

    assert "\nmedian    1,001/s " in told
    assert "w: median and spread are not claimed, since none of the 3 runs is VALID (3 INVALID)" in told
    assert told.count("○") == 4  # three runs, and what the mark means
    assert "INVALID, held up by this machine: 3 of 3 runs (runDelay in 2, steal in 1)" in told
    assert "end what else runs on this machine: it took 1.25 of 2 cores" in told
    assert "(2 of 3; figures of run 2)" in told


def test_an_invalid_repeat_is_left_out_of_median_and_spread() -> None:
    """And what left it out is told."""
    told = repeats(*[Verdict(VALID)] * 4, INVALID, *[Verdict(VALID)] * 2, Verdict("PARTIAL"))

    assert "\nmedian    1,002/s " in told  # of 1,000 to 1,003, 1,005 and 1,006
    assert "w: median and spread of 6 VALID runs; left out: 1 INVALID" in told
    assert "INVALID, held up by this machine: 1 of 8 runs" in told


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
