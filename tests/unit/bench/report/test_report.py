"""What people read at the end: the table of a run, held against golden texts."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_drain import measured_drain
from sample_faults import sample_faults
from sample_hosts import OF_HOSTS, USAGES
from sample_result import SPEC, TELEMETRY, measurements, result
from sample_search import SEARCH, UNKNOWN
from terminals import Tty

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import MessagesPerWrite, Totals
from ombdriver.bench.report import terminal, units
from ombdriver.bench.report.backlog import describe_drain, rows
from ombdriver.bench.results.build import drain_to_json
from ombdriver.bench.results.result import Result
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.model import Advice, Caveat, NotJudged, Reason, Verdict

SECOND = 10**9
Golden = Callable[[str, str], None]

CAVEAT = Caveat("sharedHost", "producers, consumers and the server share 2 cores, and each is measured with the others")
PATH = Path("results/20260301T120010Z-1kb-3groups-embedded-k3v9qz.json")


def shown(told: Result, width: int | None = None) -> str:
    """The report as it comes out of a pipe."""
    stream = io.StringIO()
    terminal.show(told, PATH, stream, width)
    return stream.getvalue()


# -- the table at the end ----------------------------------------------------------------------------------------------


def test_the_report_at_80_columns(golden: Golden) -> None:
    """Response times first, then service times, rates, caveats and the file."""
    golden("report-80.txt", shown(result(caveats=[CAVEAT]), 80))


def test_the_report_at_120_columns(golden: Golden) -> None:
    """The same figures; only prose gets longer lines."""
    golden("report-120.txt", shown(result(caveats=[CAVEAT]), 120))


def test_hosts_are_told_each_with_what_it_took_and_lacked(golden: Golden) -> None:
    """Of more than a dozen those whose workers waited most."""
    golden("report-hosts.txt", shown(result(**OF_HOSTS), 80))

    many = [usage.to_json() | {"name": f"host-{at}"} for at in range(20) for usage in USAGES[:1]]
    text = shown(result(telemetry=OF_HOSTS["telemetry"] | {"hosts": many}), 80)
    assert "(the 12 whose workers waited most; the other 8 are in the result)" in text


def test_a_search_is_told_rate_by_rate(golden: Golden) -> None:
    """How many of its probes each rate held, how it was in the last one, and what kept the next one from holding."""
    golden("report-search.txt", shown(result(search=SEARCH, target_rate=4000), 80))


def test_a_search_that_knows_no_rate_claims_none() -> None:
    """Each rate has its figures, and says whether this machine or the system is why it did not hold."""
    told = shown(result(search=UNKNOWN, target_rate=1000), 80)

    heading, _, first, second = told[told.index("Highest sustained rate") :].splitlines()[:4]
    assert heading == "Highest sustained rate: not known, by this machine"
    assert first.split()[:3] == ["1,000/s", "not", "claimed"]
    assert first.split()[3:5] == ["9.00", "ms"]
    assert second.split()[:4] == ["2,000/s", "0", "of", "1"]


def test_a_backlog_is_told_group_by_group(golden: Golden) -> None:
    """How long each took to drain it, and how late messages were meanwhile."""
    golden("report-backlog.txt", shown(result(measurements(2), backlog_drain=measured_drain()), 80))


def test_of_many_groups_those_that_drained_slowest_are_told() -> None:
    """One that had not caught up is slower than any that had."""
    told = drain_to_json(measured_drain(caught_up=False))

    assert [name for name, _ in rows(told, 1)] == ["all groups", "group-2"]
    assert rows(told, 1)[0][1][1] == "> 5.0 s"
    assert "not drained after 5.0 s: 12,000 were left" in describe_drain(told)


def test_one_of_many_runs_is_told_in_brief(golden: Golden) -> None:
    """Verdict, reasons, response times over all groups, and the file."""
    stream = io.StringIO()
    verdict = Verdict("OVERLOADED", (Reason("achieved", "OVERLOADED", "published: 9,000 of 10,000 messages/s"),))
    marked = result(verdict=verdict, own_parts={"publishResponse.p50": 0.6}, at_harness_floor=("publishResponse.p99",))
    terminal.show(marked, PATH, stream, 80, brief=True)

    golden("report-brief.txt", stream.getvalue())


def test_the_report_of_many_groups_tells_the_slowest(golden: Golden) -> None:
    """A dozen of them, and how many more there are."""
    golden("report-100-groups.txt", shown(result(measurements(100)), 80))


def test_the_report_of_a_run_that_was_cut_off_before_anything_arrived(golden: Golden) -> None:
    """Says so at the top, with dashes where there was no sample."""
    empty = measurements()
    families = {name: type(each)(LatencySummary.none(), "", [], {}) for name, each in empty.families.items()}
    rates: dict[str, list[float]] = {
        name: [] for name in ("publish_rate", "publish_error_rate", "consume_rate", "backlog")
    }
    cut = measurements(0, families=families, totals=Totals(0, 0, 0, 0), **rates)

    golden("report-partial.txt", shown(result(cut, partial_reason="interrupted by Ctrl-C"), 80))


def test_the_report_of_a_run_with_telemetry(golden: Golden) -> None:
    """What server and processes did stands between the rates and the caveats."""
    workers = [{"loopStalls": 2, "longestStallMs": 7.25}, {"loopStalls": 1, "longestStallMs": 16.7}]
    told = result(telemetry=TELEMETRY, environment={"workers": workers}, caveats=[CAVEAT])

    golden("report-telemetry.txt", shown(told, 80))


def test_the_report_tells_of_processes_where_there_is_no_server() -> None:
    """As with the memory driver: a worker's share, and whether one stalled."""
    summary = dict.fromkeys(TELEMETRY["summary"]) | {
        "serverCpu": {"mean": None, "peak": None},
        "busiestWorkerCpu": {"mean": 0.37, "peak": 1.4},
    }
    told = result(telemetry=TELEMETRY | {"summary": summary}, environment={"workers": [{"loopStalls": 0}]})

    _, _, block = shown(told, 80).partition("Server and processes of the measured window")
    assert block.splitlines()[1:4] == [
        "                      mean      peak",
        "busiest worker        37 %     140 %",
        "no worker stalled",
    ]


VERDICT = Verdict(
    "INVALID",
    (
        Reason("scheduleLag", "INVALID", "the p99 of the schedule lag was 9.3 ms, above 2 ms; lower the rate"),
        Reason("achieved", "OVERLOADED", "published: 1,000 of 2,000 messages/s, under 99%; lower the rate"),
    ),
    (NotJudged("rateTrend", "a trend is judged from 30 intervals on"), NotJudged("backlogTrend", "the same")),
    "this run took 0.84 of 2 cores, others 1.06; worker 1 (consume) ran for 34% of the window and waited for a core for"
    " 47%",
    (
        Advice("endOthers", "end what else runs on this machine: it took 1.06 of 2 cores, this run 0.84"),
        Advice("lowerRate", "lower the rate to 1,400/s (--rate 1400): worker 0 (produce) took 97% of a core"),
    ),
)
CHECKS = (
    Check("endToEndResponse.p99 < 5ms", 1.06, 5.0, "ms", True),
    Check("publishRate >= 2000", 1999.5, 2000.0, "messages/s", False),
    Check("delivery[group-1].lost <= 0", None, 0.0, "", False),
)


def test_the_report_begins_with_the_verdict(golden: Golden) -> None:
    """Then its reasons, those of another status with that status; thresholds; marks of what is the harness's."""
    floor = ("publish.p50", "endToEnd[group-1].p99.9", "publish.p75")
    own = {"publish.p50": 0.9, "publishResponse.p50": 0.4, "endToEndResponse[group-1].p99": 0.35, "publish.p75": 0.5}
    bunched = MessagesPerWrite(58_823, 1.02, 2)
    told = result(verdict=VERDICT, thresholds=CHECKS, at_harness_floor=floor, own_parts=own, messages_per_write=bunched)

    golden("report-verdict.txt", shown(told, 80))


def test_a_valid_run_is_told_in_one_word() -> None:
    """Before everything else."""
    assert shown(result(verdict=Verdict("VALID"))).startswith("VALID\n\n1kb-3groups on embedded")


@pytest.mark.parametrize(("status", "colour"), [("VALID", "32"), ("INVALID", "31"), ("LOSS", "31"), ("UNSTEADY", "33")])
def test_the_verdict_is_coloured_on_a_terminal(status: str, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Green, red or yellow."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Tty()
    terminal.show(result(verdict=Verdict(status)), PATH, stream, 80)

    assert stream.getvalue().startswith(f"\x1b[1;{colour}m{status}\x1b[0m\n")


def test_a_pipe_gets_80_columns_and_no_escape_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the file is what was on the screen."""
    monkeypatch.delenv("COLUMNS", raising=False)
    text = shown(result(caveats=[CAVEAT]))

    assert text == shown(result(caveats=[CAVEAT]), 80)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_narrow_terminal_loses_no_figure() -> None:
    """Lines run over, the last column is there."""
    assert shown(result(), 40) == shown(result(), 80)


def test_an_ascii_stream_gets_a_report_too() -> None:
    """Without a micro sign."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    terminal.show(result(), PATH, stream, 80)

    assert b"95.0 us" in raw.getvalue()


def test_names_are_shown_as_they_are() -> None:
    """What looks like markup is none."""
    assert "[bold]x[/bold] on embedded" in shown(result(workload_spec=SPEC | {"name": "[bold]x[/bold]"}))


# -- units -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0.0, "0 ns"),
        (0.00095, "950 ns"),
        (0.0009996, "1.00 µs"),
        (0.061, "61.0 µs"),
        (0.0996, "99.6 µs"),
        (0.09996, "100 µs"),
        (0.475, "475 µs"),
        (0.9996, "1.00 ms"),
        (1.624, "1.62 ms"),
        (9.996, "10.0 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (12_345.0, "12.3 s"),
        (86_400_000.0, "86,400 s"),
    ],
)
def test_latencies_have_three_digits_and_a_unit(ms: float | None, text: str) -> None:
    """Rounding never makes a fourth digit."""
    assert units.latency(ms) == text


@given(st.floats(0.001, 999_000))
def test_a_latency_is_told_to_half_a_per_cent(ms: float) -> None:
    """Whatever its size."""
    number, unit = units.latency(ms).split()
    told = float(number) * {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1e3}[unit]

    assert abs(told - ms) <= 0.00501 * ms


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0.4 s"),
        (30, "30 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (300, "5 min 0 s"),
        (3900, "65 min 0 s"),
        (8000, "2 h 13 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Seconds, minutes, hours."""
    assert units.duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(0, "0/s"), (0.52, "0.5/s"), (9.96, "10/s"), (1999.7, "2,000/s")])
def test_rates(rate: float, text: str) -> None:
    """Decimals only where they tell something."""
    assert units.rate(rate) == text


def test_the_mean_rate_weighs_a_short_last_interval_by_its_length() -> None:
    """30.5 s in intervals of 10 s: the last one is half a second."""
    told = result(
        measurements(publish_rate=[100.0, 100.0, 100.0, 161.0]),
        interval_ns=10**10,
        length_ns=30_500_000_000,
    )

    assert told.mean_rate("publishRate") == pytest.approx(101.0)


def test_the_report_of_faults(golden: Golden) -> None:
    """A row for each injection, then what became of the messages of its time."""
    golden("report-faults.txt", shown(replace(result(), faults=sample_faults())))
