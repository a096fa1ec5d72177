"""What a page shows of results, as plain data: names, curves, timelines, the table, and the figures made of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from recorded_result import recorded, samples
from sample_drain import measured_drain
from sample_faults import sample_faults
from sample_page import INVALID, LONG, PASSWORD, UNSTEADY, every_kind, files, hostile, run, telemetry, two_setups
from sample_search import SEARCH

from ombdriver.bench.faults.standard import TAG
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.report import fault_words
from ombdriver.bench.report.page.comparison import ComparisonSection, RatioBar
from ombdriver.bench.report.page.content import LATENCIES, backlog_tables, content
from ombdriver.bench.report.page.curves import MOST_GROUPS, Curve, curves
from ombdriver.bench.report.page.plots import bar_plot, style
from ombdriver.bench.report.page.runs import Repeats, Run, group_runs
from ombdriver.bench.report.page.timeline import Timeline, annotations, firsts, maxima, means, phases, stride, timeline
from ombdriver.bench.results.build import drain_to_json
from ombdriver.bench.results.result import Result
from ombdriver.bench.verdict.model import Caveat
from ombdriver.errors import InputError


def names(setups: Sequence[Repeats]) -> list[str]:
    """Of all runs."""
    return [each.name for setup in setups for each in setup.runs]


# -- what belongs together ---------------------------------------------------------------------------------------------


def test_repeats_stand_together_and_have_numbers() -> None:
    """In the order of time; a setup with one result needs no number."""
    assert names(group_runs(two_setups())) == ["embedded (1)", "embedded (2)", "redis-local"]


def test_several_workloads_are_part_of_the_name() -> None:
    """Results of different loads are never laid over each other as repeats."""
    other = replace(run(2), workload="flat-out", workload_sha256="cd" * 32)

    assert names(group_runs(files(run(1), other))) == ["1kb-3groups on embedded", "flat-out on embedded"]


def test_two_setups_of_one_name_are_told_apart_by_their_hash() -> None:
    """As when the file was changed between the runs."""
    first, second = (replace(run(number), setup_sha256=digits * 32) for number, digits in ((1, "ab"), (2, "cd")))

    assert names(group_runs(files(first, second))) == ["embedded (ababab)", "embedded (cdcdcd)"]


def test_a_caveat_of_all_results_is_said_once() -> None:
    """And is then no caveat of each; what one of them lacks, or one result has alone, stays with its result."""
    shared, own = Caveat("colocated", "2 cores"), Caveat("stalls", "7.4 ms at once")
    one, both = (run(number, caveats=caveats) for number, caveats in ((1, (shared,)), (2, (shared, own))))
    several = content(files(one, both))
    alone = content(files(both))

    assert several.shared_caveats == (("colocated", "2 cores"),)
    assert [verdict.caveats for verdict in several.verdicts] == [(), (("stalls", "7.4 ms at once"),)]
    assert alone.shared_caveats == ()
    assert [len(verdict.caveats) for verdict in alone.verdicts] == [2]


# -- curves ------------------------------------------------------------------------------------------------------------


def curve(found: Sequence[Curve], family: str, setup: int, group: str | None = None) -> Curve:
    """The one of these."""
    (one,) = (each for each in found if (each.family, each.setup, each.group) == (family, setup, group))
    return one


def test_a_curve_is_that_of_the_merged_histograms() -> None:
    """Two repeats give twice the samples, and the value at each point is the merged histogram's percentile."""
    found = curve(curves(group_runs(files(run(1), run(2)))), "endToEnd", 0)
    merged = Histogram.total([samples("endToEnd", at) for at in range(5)] * 2)

    assert found.count == merged.count == 1000
    levels = [100 * (1 - 1 / tail) - 0.04 for tail in found.tails]  # 0.4 samples less, since tails are rounded
    expected = [value / 1e6 for value in merged.percentiles(levels)]
    assert found.values_ms == pytest.approx(expected, rel=2e-3)
    assert list(found.tails) == sorted(found.tails)
    assert (found.tails[0], found.values_ms[-1]) == (1.0, pytest.approx(merged.max_ns / 1e6, rel=1e-3))


def test_a_repeat_that_is_not_valid_is_left_out_of_a_curve() -> None:
    """As it is of comparisons; where none is VALID all are merged, and it is said."""
    some, none = group_runs(two_setups()), group_runs(files(run(1, verdict=INVALID), run(2, verdict=UNSTEADY)))

    assert (curve(curves(some), "endToEnd", 0).count, curve(curves(none), "endToEnd", 0).count) == (500, 1000)
    assert [each.valid for found in (some, none) for each in curves(found)[:1]] == [True, False]
    assert [each.name for each in (*some, *none)] == ["embedded", "redis-local", "embedded (1 INVALID, 1 UNSTEADY)"]


def test_groups_have_curves_where_they_have_the_latency() -> None:
    """Publishing knows no group."""
    found = curves(group_runs(two_setups()))

    assert {each.family for each in found if each.group == "group-2"} == {"endToEnd", "endToEndResponse"}
    assert {each.family for each in found if each.group is None} == set(LATENCIES)


def test_of_many_groups_the_slowest_are_drawn() -> None:
    """No more than can be told apart."""
    many = recorded(2, groups=tuple(f"group-{number}" for number in range(20)))
    slow = replace(many.subscriptions[17].latency["endToEndResponse"], p99=99_000_000)
    latency = {**many.subscriptions[17].latency, "endToEndResponse": slow}
    groups = [*many.subscriptions[:17], replace(many.subscriptions[17], latency=latency)]
    found = curves(group_runs(files(replace(many, subscriptions=tuple(groups)))))

    drawn = {each.group for each in found if each.group is not None}
    assert len(drawn) == MOST_GROUPS
    assert "group-17" in drawn


def test_a_damaged_histogram_names_its_file() -> None:
    """In place of a page that lacks a curve unseen."""
    damaged = replace(run(1), histograms={"families": {"publish": "no"}, "subscriptions": {}})

    with pytest.raises(InputError, match=r"run00001\.json: the histogram of publish can't be read .*run again"):
        curves(group_runs(files(damaged)))


def test_a_run_without_a_sample_has_no_curve() -> None:
    """And is shown all the same."""
    shown = content(files(recorded(1, silent=(0,))))

    assert shown.curves == {}
    assert shown.rows[0].cells[5:] == ("-",) * 8


# -- time --------------------------------------------------------------------------------------------------------------


def test_condensing_loses_no_peak() -> None:
    """Rates are means, everything else the highest; where nothing is known there is nothing."""
    values = [1.0, 9.0, None, 2.0, None, None, 4.0]

    assert stride(7, 4) == 2
    assert maxima(values, 2) == [9, 2, None, 4]
    assert means(values, 2) == [5, 2, None, 4]
    assert firsts([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2) == [0, 2, 4, 6]
    assert stride(0, 4) == stride(4, 4) == 1


def test_condensed_values_are_short() -> None:
    """Four digits, which is more than a screen shows; large counts stay whole."""
    assert maxima([0.123456, 1999.96, 25_123_456.4], 1) == [0.1235, 2000, 25123456]


def lines(told: Timeline) -> dict[str, list[str]]:
    """The names of the lines by panel."""
    return {panel.title: [line.name for line in panel.lines] for panel in told.panels}


def test_the_server_stands_under_the_figures_of_the_client() -> None:
    """One panel for each unit; series that nobody knows are left out."""
    latencies = ["max", "p99.9", "p99", "p50"]
    workers = ["worker 0 (produce)", "worker 1 (consume)", "parent"]

    assert lines(timeline(run(1), 100)) == {
        "Rates": ["published", "received, all groups"],
        "End-to-end response": latencies,
        "Publish response": latencies,
        "Backlog and lag": ["backlog", "lag of group-1", "lag of group-2"],
        "Processor time": ["server", *workers],
        "Memory of the server": ["used", "resident"],
        "Commands of all clients": ["commands"],
        "Event loops held up": workers,
    }


def test_a_result_without_telemetry_has_its_own_series_only() -> None:
    """As those of earlier versions."""
    told = timeline(run(1, telemetry=None), 100)

    assert list(lines(told)) == ["Rates", "End-to-end response", "Publish response", "Backlog and lag"]
    assert [phase.name for phase in told.phases] == ["measurement"]


def test_lags_of_many_groups_are_told_together() -> None:
    """As their sum."""
    told = timeline(run(1, telemetry=telemetry(8, [f"g{number}" for number in range(9)])), 100)

    (panel,) = (panel for panel in told.panels if panel.title == "Backlog and lag")
    assert [line.name for line in panel.lines] == ["backlog", "lag, all groups"]
    assert list(panel.lines[1].values) == [0, *([63] * 7)]


def test_long_series_are_condensed_and_it_is_said() -> None:
    """Every line stays within what was asked for."""
    told = timeline(run(1), 3)

    assert max(len(line.times_s) for panel in told.panels for line in panel.lines) <= 3
    assert told.note == "One point stands for 2 s: rates are means, the rest is the highest."
    (rates, *_) = told.panels
    assert list(rates.lines[0].values) == [150, 350, 500]


def test_a_rate_of_a_moment_is_left_out() -> None:
    """The look at the end of the window comes right after another one, and its rate says nothing."""
    (panel,) = (panel for panel in timeline(run(1), 100).panels if panel.title == "Commands of all clients")

    assert list(panel.lines[0].values) == [None, *([4000] * 6), None]


def test_phases_are_those_that_were_looked_at() -> None:
    """Warm-up before 0, drain after the window when it took a while."""
    long = telemetry(8)
    long["server"]["t"][-1] = 9.0

    assert [(each.name, each.begin_s, each.end_s) for each in phases(run(1))] == [
        ("warm-up", -2.0, 0.0),
        ("measurement", 0.0, 5.0),
    ]
    assert [each.name for each in phases(run(1, telemetry=long))] == ["warm-up", "measurement", "drain"]


def test_a_backlog_is_built_before_the_window_and_drained_in_it() -> None:
    """The building is a phase of its own, the end of the drain a mark, and each group a row."""
    told = replace(run(1), backlog_drain=drain_to_json(measured_drain()) | {"buildSeconds": 1.5})

    assert [(each.name, each.begin_s, each.end_s) for each in phases(told)] == [
        ("warm-up", -2.0, -1.5),
        ("building of the backlog", -1.5, 0.0),
        ("measurement", 0.0, 5.0),
    ]
    assert [mark.time_s for mark in annotations(told) if mark.kind == "caughtUp"] == [5.0]
    (drain,) = backlog_tables([Run("embedded", "a.json", told)])
    assert [name for name, _ in drain.rows] == ["all groups", "group-1", "group-2"]
    assert "drained in 5.0 s" in drain.notes[0]
    assert backlog_tables([Run("embedded", "a.json", run(1))]) == ()


def test_events_and_caveats_are_marked_where_they_were() -> None:
    """A stall in the second with most of it; what has no time is not marked."""
    timeless = Caveat("colocated", "the server shares 2 cores with the 2 workers")
    late = Caveat("undelivered", "group-1 had not received 3 messages")
    stalled = run(1).caveats
    told = annotations(run(1, caveats=[*stalled, timeless, late]))

    assert [(each.time_s, each.kind, each.caveat) for each in told] == [
        (0.0, "carriedIn", True),
        (2.0, "fork", False),
        (5.0, "undelivered", True),
        (5.05, "stalls", True),
    ]


# -- figures -----------------------------------------------------------------------------------------------------------

BARS = [
    RatioBar("endToEndResponse.p99", "redis-local", 1.2, 1.1, 1.3, "20 % slower"),
    RatioBar("endToEndResponse.p50", "redis-local", 1.01, None, None, "no claim: 2 repeats"),
]


def figures() -> list[dict[str, Any]]:
    """All of a page."""
    shown = content(two_setups(), ComparisonSection(BARS))
    return [
        *(figure for of in shown.curves.values() for figure in of.values()),
        *(section.plot for section in shown.sections),
        *([shown.bar_plot] if shown.bar_plot else []),
    ]


def test_every_plot_is_one_that_plotly_takes() -> None:
    """Its own validation knows every property and value."""
    from plotly import graph_objects

    for figure in figures():
        graph_objects.Figure(data=figure["data"], layout=figure["layout"])
        json.dumps(figure, allow_nan=False)


def test_setups_differ_in_colour_and_dash_and_groups_in_their_marker() -> None:
    """So that nobody has to see colours."""
    of = content(two_setups()).curves["endToEnd"]
    drawn = [(each["line"]["color"], each["line"]["dash"], each["marker"]["symbol"]) for each in of["group"]["data"]]

    assert [each["meta"]["name"] for each in of["setup"]["data"]] == ["embedded", "redis-local"]
    assert [each["meta"]["name"] for each in of["group"]["data"]] == [
        "embedded, group-1",
        "embedded, group-2",
        "redis-local, group-1",
        "redis-local, group-2",
    ]
    assert len(set(drawn)) == 4
    assert drawn[0][:2] == drawn[1][:2]
    assert len({(each.colour, each.dash) for each in map(style, range(42))}) == 42


def hollow(series: dict[str, Any]) -> set[bool]:
    """Whether its markers are."""
    return {
        symbol.endswith("-open")
        for symbol in (
            [series["marker"]["symbol"]] if isinstance(series["marker"]["symbol"], str) else series["marker"]["symbol"]
        )
    }


def test_every_plot_marks_what_is_not_valid() -> None:
    """By hollow markers, and its name; a run that is VALID has none but at rates that were not sustained."""
    bars = [RatioBar("endToEndResponse.p99", "b", 1.2, 1.1, 1.3, "1.2 times, not claimed", False)]
    swept = {"workload.topics": 1}
    for verdict, other in ((INVALID, True), (None, False)):
        changed: dict[str, Any] = {"search": SEARCH, "sweep": swept} | ({"verdict": verdict} if verdict else {})
        shown = content(files(run(1, **changed)), ComparisonSection(bars if verdict else ()))
        plots = [shown.sections[0].plot, *(one for of in shown.curves.values() for one in of.values())]
        plots += [shown.sweep_plot, shown.bar_plot] if shown.bar_plot else [shown.sweep_plot]  # type: ignore[list-item]
        assert {mark for plot in plots for series in plot["data"] for mark in hollow(series)} == {other}
        assert all("markers" in series["mode"] for plot in plots for series in plot["data"]) == other
        assert shown.load_plot is not None
        held = [each for each in shown.load_plot["data"] if not each["meta"]["name"].endswith("not sustained")]
        assert {mark for series in held for mark in hollow(series)} == {other}
        name = "embedded (INVALID)" if other else "embedded"
        assert held[0]["meta"]["name"] == f"{name}, publish p50"
        assert shown.curves["publish"]["setup"]["data"][0]["meta"]["name"] == name
        assert shown.has_invalid is other


def test_a_long_name_is_whole_in_the_legend_and_short_where_it_is_drawn() -> None:
    """What hovers over a plot can't be broken into lines."""
    shown = content(every_kind())
    series = shown.curves["publish"]["setup"]["data"][0]

    assert series["meta"]["name"] == f"{LONG}0"
    assert len(series["hovertemplate"]) < 90
    assert "…" in series["hovertemplate"]


def test_percentiles_stand_on_a_scale_of_nines() -> None:
    """As HdrHistogram plots them."""
    axis = content(two_setups()).curves["publish"]["setup"]["layout"]["xaxis"]

    assert axis["type"] == "log"
    assert list(zip(axis["tickvals"], axis["ticktext"], strict=True))[:5] == [
        (1, "0 %"),
        (10, "90 %"),
        (100, "99 %"),
        (1000, "99.9 %"),
        (10000, "99.99 %"),
    ]


def test_annotations_that_would_cover_each_other_share_their_numbers() -> None:
    """The list under the plot has each of them."""
    section = content(files(run(1, caveats=[*run(1).caveats, *run(1).caveats]))).sections[0]
    texts = [each["text"] for each in section.plot["layout"]["annotations"]]

    assert len(section.annotations) == 5
    assert {"<b>1-2</b>", "<b>3</b>", "<b>4-5</b>"} <= set(texts)


def test_bars_have_an_interval_where_one_is_known() -> None:
    """A ratio alone has none."""
    (series,) = bar_plot(BARS)["data"]

    assert series["x"] == [1.2, 1.01]
    assert series["error_x"]["array"] == pytest.approx([0.1, 0.0])
    assert series["error_x"]["arrayminus"] == pytest.approx([0.1, 0.0])


def test_more_results_have_fewer_points_each() -> None:
    """A page of twenty results of an hour stays one that opens at once."""
    long = recorded(40)
    series = {name: list(values) * 50 for name, values in long.series.items()}
    rates = {name: list(values) * 50 for name, values in long.rates.items()}
    hour: Result = replace(long, series=series, rates=rates, sample_interval_seconds=0.02)

    def points(results: int) -> int:
        shown = content(files(*(replace(hour, run_id=f"r{number}") for number in range(results))))
        return max(len(line["x"]) for section in shown.sections for line in section.plot["data"])

    assert (points(1), points(20)) == (500, 223)


# -- texts -------------------------------------------------------------------------------------------------------------


def test_texts_that_are_alike_stand_once() -> None:
    """Under the names of all their runs; what a run ran on is its own."""
    titles = [each.title for each in content(two_setups()).documents]

    assert titles == [
        "Setup embedded (embedded (1), embedded (2))",
        "Setup redis-local (redis-local)",
        "Workload 1kb-3groups (embedded (1), embedded (2), redis-local)",
        "Fingerprint of embedded (1)",
        "Fingerprint of embedded (2)",
        "Fingerprint of redis-local",
    ]


def test_no_password_in_a_url_gets_onto_a_page() -> None:
    """Wherever in a result it stands."""
    shown = repr(content(hostile()))

    assert PASSWORD not in shown
    assert "redis://user:***@example.invalid" in shown


def test_faults_are_bands_over_time_with_a_number_and_a_table() -> None:
    """Darker until each was healed, lighter as long as it was felt; one that did nothing has no lighter one."""
    told = replace(run(1), faults=sample_faults())

    shown = content(files(told))

    (table,) = shown.faults
    assert [(at, hit) for at, hit, _ in table.rows] == [
        ("10.001", "kill primary-1"),
        ("30", "pause replica-1-1"),
        ("45", "failover"),
    ]
    assert [len(cells) for *_, cells in table.rows] == [len(fault_words.COLUMNS)] * 3
    assert table.notes[0].startswith("1, kill: primary, restartAfter: 2s: group-1 lost 1,204 of 61,022 acknowledged")
    assert table.notes[-1].startswith("acknowledged means here: in the memory of a server")
    (section,) = shown.sections
    bands = [
        (shape["x0"], shape["x1"])
        for shape in section.plot["layout"]["shapes"]
        if shape["type"] == "rect" and shape["fillcolor"].startswith("rgba(213")
    ]
    assert bands == [(10.001, 12.0), (12.0, 15.0), (30.0, 31.0)]
    assert [each.text for each in section.annotations if each.kind == "fault"] == list(table.notes[:3])
    assert "faults, darker until each was healed" in section.phases


def test_standard_faults_are_a_table_of_setups() -> None:
    """Of the runs of `ombdriver chaos` alone; a run with faults of a workload's own is in no row."""
    of_its_own = replace(run(1), faults=sample_faults())
    met = [replace(run(at, setup), faults=sample_faults(), tags={TAG: "kill"}) for at, setup in ((2, "b"), (3, "a"))]

    shown = content(files(of_its_own, *met)).chaos

    assert shown is not None
    assert shown.rows == (
        ("a", "kill", "1", "1,204", "17", "2.3", "4.0", "none"),
        ("b", "kill", "1", "1,204", "17", "2.3", "4.0", "none"),
    )
    assert content(files(of_its_own)).chaos is None


def test_a_page_without_faults_says_nothing_of_them() -> None:
    """No table, and no band."""
    shown = content(files(run(1)))

    assert shown.faults == ()
    assert "faults" not in shown.sections[0].phases
