"""Every output that tells a percentile says so when more of it is the harness's than the system's."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sample_page import files, run
from sample_search import SEARCH

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import summarise
from ombdriver.bench.report import comparison, comparison_table, live, marks, prometheus, series, terminal
from ombdriver.bench.report.page import markdown
from ombdriver.bench.report.page.comparison import comparison_section
from ombdriver.bench.report.page.content import content
from ombdriver.bench.report.progress import GroupProgress, Progress
from ombdriver.bench.results.compare import formats
from ombdriver.bench.results.compare.comparison import Comparison, compare
from ombdriver.bench.results.compare.trial import trial_of
from ombdriver.bench.results.export import formats as exports
from ombdriver.bench.results.harness_share import (
    CLOCK,
    FLOOR,
    OWN,
    HarnessShare,
    harness_share_of_median,
    harness_shares,
)
from ombdriver.bench.results.result import Result, Standing
from ombdriver.bench.spec.thresholds import Check

OWN_PARTS = {"publishResponse.p50": 0.5}
CHECK = Check("publishResponse.p50 < 5ms", 1.5, 5.0, "ms", True)
Outputs = Callable[[Result], str]


def results(told: Result) -> list[Result]:
    """The same run on two setups, four times each."""
    return [
        replace(told, run_id=f"{name}{block}", setup={"name": name}, standing=Standing("ab12cd34", 1, 8, block, 1, 4))
        for name in ("a", "b")
        for block in range(1, 5)
    ]


def compared(told: Result) -> list[Comparison]:
    """Two setups with the same figures."""
    return compare([trial_of(each, f"{each.run_id}.json") for each in results(told)], force=True)


def shown(show: Callable[[io.StringIO], None]) -> str:
    """What is printed."""
    stream = io.StringIO()
    show(stream)
    return stream.getvalue()


def of_series(told: Result) -> str:
    """The closing table."""
    figures, kinds = series.figures_of(told), harness_shares(told, series.FIGURES)
    standing = Standing("ab12cd34", 1, 1, 1, 1, 1)
    row = series.RunRow("w", "s", standing, "VALID", "id", None, figures, harness_share=kinds)
    return shown(lambda stream: series.show([row], Path("results"), stream))


def of_thresholds(told: Result) -> str:
    """The report up to the title, which comes after the thresholds."""
    text = shown(lambda stream: terminal.show(replace(told, thresholds=(CHECK,)), None, stream, 80, brief=True))
    return text.partition(" on embedded, run")[0]


def searched(told: Result) -> Result:
    """As if the probes had been marked as the run is."""
    probes = [each | {"ownParts": dict(told.own_parts)} for each in SEARCH["probes"]]
    return replace(told, search=SEARCH | {"probes": probes}, own_parts={})


def progress(told: Result) -> Progress:
    """A run under way."""
    latency = summarise(Histogram.of(np.full(2000, 1_500_000, np.int64)))
    groups = {"group-1": GroupProgress(1000.0, end_to_end=latency)}
    return Progress("measure", 3.0, 10.0, target_rate=1000.0, publish=latency, own_parts=told.own_parts, groups=groups)


def swept(told: Result) -> str:
    """The table and the matrices of a sweep on a page."""
    runs = [
        replace(told, run_id=f"r{at}", sweep={"workload.topics": at % 2, "workload.seed": at // 2}) for at in range(4)
    ]
    section = content(files(*runs)).sweep
    assert section is not None
    assert len(section.matrices[0].cells) == 2
    return f"{[row.cells for row in section.rows]} {section.matrices} {section.lines} {section.legends}"


OUTPUTS: dict[str, Outputs] = {
    "the report": lambda told: shown(lambda stream: terminal.show(told, None, stream, 80)),
    "the report in brief": lambda told: shown(lambda stream: terminal.show(told, None, stream, 80, brief=True)),
    "thresholds": of_thresholds,
    "probes": lambda told: shown(lambda stream: terminal.show(searched(told), None, stream, 80)),
    "the table of a series": of_series,
    "a comparison": lambda told: shown(lambda stream: comparison_table.show(compared(told), [], [], stream, 80)),
    "a comparison as Markdown": lambda told: comparison.render(compared(told), [], []),
    "the table of a page": lambda told: f"{content(files(told)).rows} {content(files(told)).legends}",
    "the page as Markdown": lambda told: markdown.render(files(told)),
    "a sweep": swept,
    "the plot of a sweep": lambda told: str(
        content(files(*(replace(told, run_id=str(at), sweep={"workload.topics": at}) for at in (1, 2)))).sweep_plot
    ),
    "the plot of a search": lambda told: str(content(files(searched(told))).load_plot),
    "the legend of that": lambda told: str(content(files(searched(told))).load_legends),
    "the display": lambda told: shown(
        lambda stream: Console(file=stream, width=80, force_terminal=False).print(live.display(progress(told)))
    ),
    "a plain line": lambda told: live.plain_line(progress(told)),
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_percentile_that_is_the_harness_s_in_good_part_is_marked(output: str) -> None:
    """With its sign, and nothing has that sign when there is no such percentile."""
    told = run(1, telemetry=None)
    write = OUTPUTS[output]

    assert "†" in write(replace(told, own_parts=OWN_PARTS))
    assert "†" not in write(replace(told, own_parts={}))


OF_PARTS = ("probes", "the plot of a search", "the legend of that", "the display", "a plain line")
OF_WHOLE_RUNS = [each for each in OUTPUTS if each not in OF_PARTS]


@pytest.mark.parametrize("output", OF_WHOLE_RUNS)
def test_a_percentile_at_the_floor_is_marked(output: str) -> None:
    """By the other sign, wherever a whole run is told; of a probe, or while it goes on, no floor is looked for."""
    told = replace(run(1, telemetry=None), at_harness_floor=("publishResponse.p50",), own_parts=OWN_PARTS)

    text = OUTPUTS[output](told)

    assert "*" in text
    assert "†" not in text


@pytest.mark.parametrize("output", [each for each in OF_WHOLE_RUNS if each != "thresholds"])
def test_an_end_to_end_percentile_that_the_clocks_of_hosts_hide_is_marked(output: str) -> None:
    """By a sign of its own, before any other reason; publish latencies are of one clock, and have none."""
    told = replace(run(1, telemetry=None), clock_error_ms=1e6)

    assert "‡" in OUTPUTS[output](told)
    assert "‡" not in OUTPUTS[output](replace(told, clock_error_ms=0.0))


def test_a_threshold_that_the_clocks_of_hosts_hide_is_marked() -> None:
    """One on end-to-end latency, and none on publish latency."""
    told = replace(run(1, telemetry=None), clock_error_ms=1e6)
    end_to_end = replace(CHECK, expression="endToEndResponse.p50 < 5ms")

    assert [marks.threshold_figure(told, each) for each in (end_to_end, CHECK)] == ["1.50‡ms", "1.50 ms"]


def test_exports_tell_what_the_clocks_of_hosts_hide() -> None:
    """Their formats have no marks."""
    told = replace(run(1, telemetry=None), clock_error_ms=1e6)

    for name in exports.NAMES:
        (found,) = [each for each in exports.caveats(told, name) if "clocks" in each]
        assert "endToEnd.p50" in found
        assert "publish" not in found


def test_programs_and_other_formats_are_told_too() -> None:
    """CSV and JSON by a word, a page's comparison in words, Prometheus by a gauge, exports beside the text."""
    told = replace(run(1, telemetry=None), own_parts=OWN_PARTS)
    plain = replace(told, own_parts={})

    lines = formats.to_csv(compared(told)).splitlines()
    assert [line.split(",")[4] for line in lines if line.endswith("own,own")] == ["publishResponse.p50"]
    assert '"ofHarness": "own"' in formats.to_json(compared(told), [], [])
    assert '"ofHarness": "own"' not in formats.to_json(compared(plain), [], [])
    notes = comparison_section(files(*results(told))).notes
    assert any("publishResponse.p50 of a, publishResponse.p50 of b: more than a third" in note for note in notes)
    served = prometheus.metrics(prometheus.Labels("w", "s", 1), progress(told))
    (gauge,) = [each for each in served if each.name == "ombdriver_own_part"]
    assert [(each.labels, each.value) for each in gauge.samples] == [({"figure": "publishResponse.p50"}, 0.5)]
    for name in exports.NAMES:
        assert any("publishResponse.p50: more than a third" in each for each in exports.caveats(told, name))
        assert not any("third" in each for each in exports.caveats(plain, name))
    many = replace(told, own_parts={f"publish.p{at}": 0.5 for at in range(10)})
    assert any("publish.p5 and 4 more: more than" in each for each in exports.caveats(many, "csv"))


@pytest.mark.parametrize(
    ("kinds", "mark"),
    [
        ([], None),
        ([None, None], None),
        ([OWN, None], OWN),
        ([OWN, None, None], None),
        ([FLOOR, OWN, None, None], FLOOR),
        ([OWN, OWN, FLOOR], OWN),
        ([CLOCK, OWN, None, None], CLOCK),
    ],
)
def test_a_median_is_marked_where_the_figure_is_in_half_of_the_runs(
    kinds: list[HarnessShare | None], mark: HarnessShare | None
) -> None:
    """By what it is in most of them."""
    assert harness_share_of_median(kinds) is mark
