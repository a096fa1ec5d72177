"""Every statistic of a latency is told wherever its place in `metrics.latency` says: an output that forgets one fails.

The expectations are made from the lists there, so that a statistic that is added is looked for in all outputs at once.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from assessed_run import measured
from rich.console import Console
from sample_page import files, run
from sample_result import figures, result

from ombdriver.bench.metrics.figures import LATENCIES, Figure
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.latency import (
    COMPARED,
    HEADLINE,
    PERCENTILES,
    REPORTED,
    STATISTICS,
    summarise,
)
from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.report import live, terminal
from ombdriver.bench.report.page.load import load_lines
from ombdriver.bench.report.page.runs import group_runs
from ombdriver.bench.report.page.timeline import timeline
from ombdriver.bench.report.progress import GroupProgress, Progress
from ombdriver.bench.results.compare.metrics import FAMILIES as COMPARED_FAMILIES
from ombdriver.bench.results.compare.trial import trial_of
from ombdriver.bench.results.export import series_csv
from ombdriver.bench.results.omb_keys import ENDINGS, aggregated
from ombdriver.bench.results.result import Result, to_json
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.verdict.caveats import caveats_of
from ombdriver.bench.verdict.facts import Facts

SECOND = 10**9
UNDER_OMB_ALONE = {"p99.999"}
"""Some forks of OMB have it; nobody else tells it."""


def test_statistics_are_named_after_their_percentile() -> None:
    """The digits behind the second are decimals."""
    assert {name: STATISTICS[name].attribute for name in ("min", "p50", "p99.9", "p99.999")} == {
        "min": "min",
        "p50": "p50",
        "p99.9": "p999",
        "p99.999": "p99999",
    }
    assert (PERCENTILES["p75"], PERCENTILES["p99.99"]) == (75, 99.99)
    assert sorted(PERCENTILES.values()) == list(PERCENTILES.values())


def test_each_percentile_is_taken_from_the_samples() -> None:
    """Of 1 to 100,000 µs the p99 is 99,000."""
    summary = summarise(Histogram.of(np.arange(1, 100_001, dtype=np.int64) * 1000))

    assert {name: summary.ms(name) for name in PERCENTILES} == {
        name: pytest.approx(percentile, rel=1e-3) for name, percentile in PERCENTILES.items()
    }


def test_all_statistics_but_one_are_in_each_summary_of_a_result() -> None:
    """Of families, groups and delay parts; a statistic that an older result lacks is not known, rather than 0."""
    data = result(delay_parts={"scheduleLag": figures(1000)}).to_json()
    summaries = [*data["latency"].values(), *data["delayParts"].values()]
    summaries += [group[family] for group in data["subscriptions"] for family in GROUP_FAMILIES]

    assert set(REPORTED) == STATISTICS.keys() - UNDER_OMB_ALONE
    for summary in summaries:
        assert {"count", *REPORTED} <= summary.keys()
        assert None not in summary.values()
    older = {name: value for name, value in to_json(figures(1000)).items() if name != REPORTED[-1]}
    read = Result._from_json(data | {"latency": dict.fromkeys(FAMILIES, older)})
    assert (read.latency["publish"].ms(REPORTED[0]), read.latency["publish"].ms(REPORTED[-1])) == (0.0005, None)


def test_all_statistics_but_the_least_have_a_key_of_ombs() -> None:
    """By interval and over the whole window, and so a column of the CSV."""
    made = result()
    keys = [f"{family}Latency{ending}" for family in FAMILIES for ending in ENDINGS]
    header = next(csv.reader(io.StringIO(series_csv.render(made))))

    assert set(ENDINGS.values()) == STATISTICS.keys() - {"min"}
    assert {*keys, *map(aggregated, keys)} <= made.to_json().keys()
    assert [key for key in keys if not any(name.startswith(f"{key}_") for name in header)] == []


@pytest.mark.parametrize("statistic", REPORTED)
def test_thresholds_can_be_set_for_each(statistic: str) -> None:
    """And each looks at the figure of that name."""
    summary = figures(1_000_000)
    check = Threshold.parse(f"blocked.{statistic} < 1s").check(measured(delay_parts={"blocked": summary}))

    assert check.value == summary.ms(statistic)
    for family in LATENCIES:
        assert Figure.parse(f"{family}.{statistic}") == Figure(family, statistic)


def test_too_few_samples_are_told_for_each_percentile() -> None:
    """From the first that lacks them to the last."""
    percentiles = [name for name in REPORTED if name in PERCENTILES]
    for at, name in enumerate(percentiles):
        facts = Facts(window_ns=60 * SECOND, samples={"publish": STATISTICS[name].least_count - 1})
        (caveat,) = caveats_of(facts)
        assert f"too few for {name}{' to ' if at < len(percentiles) - 1 else ','}" in caveat.message


def test_comparisons_look_at_those_that_are_compared() -> None:
    """Of each family that they look at."""
    figures_of = trial_of(result(), "one.json").figures

    assert {f"{family}.{name}" for family in COMPARED_FAMILIES for name in COMPARED} <= figures_of.keys()
    assert {*HEADLINE, "max"} <= set(COMPARED)


def test_tables_displays_and_plots_show_the_few() -> None:
    """At the end of a run, while it runs, over time, and over the load."""
    stream = io.StringIO()
    terminal.show(result(), None, stream, 200)
    shown = stream.getvalue()
    group = GroupProgress(1.0, 0, None, figures(1000))
    progress = Progress("measure", 1.0, 2.0, target_rate=1.0, publish=figures(1000), groups={"group-1": group})
    console = Console(file=io.StringIO(), width=200, record=True)
    console.print(live.display(progress))
    probes = [{"rate": 1000, "held": True, **dict.fromkeys(("publishResponse", "endToEndResponse"), _few())}]
    repeats = group_runs(files(run(1, search={"probes": probes})))
    panels = {panel.title: panel for panel in timeline(result(), 100).panels}

    heads = [" ".join(line.split()) for line in (*shown.splitlines(), *console.export_text().splitlines())]
    (told,) = re.findall(r"publish (\S+( [µn]?s)?/.*)", live.plain_line(progress))
    assert " ".join([*HEADLINE, "max"] * 2) in heads
    assert " ".join(["from intended send", *HEADLINE, "rate", "backlog", "lag"]) in heads
    assert told[0].count("/") == len(HEADLINE) - 1
    assert [line.name.rpartition(" ")[2] for line in load_lines(repeats[0].runs)] == [*HEADLINE, *HEADLINE]
    for title in ("End-to-end response", "Publish response"):
        assert {line.name for line in panels[title].lines} == {*HEADLINE, "max"}


def _few() -> dict[str, float]:
    return dict.fromkeys(HEADLINE, 1.0)


def test_the_document_has_the_same_table() -> None:
    """In docs/result.md; the other pages refer to it."""
    text = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    table = {row[0]: row[1:] for row in rows if len(row) == 5 and row[0] in STATISTICS}
    endings = {name: ending for ending, name in ENDINGS.items()}

    assert table == {
        name: [
            "yes" if name in REPORTED else "",
            endings.get(name, ""),
            "yes" if name in HEADLINE else "",
            "yes" if name in COMPARED else "",
        ]
        for name in STATISTICS
    }
