"""Comparisons as people and programs read them: table, Markdown, CSV, JSON; golden, at 80 columns, and in a pipe."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from compared_trials import FACTS, trials

from ombdriver.bench.report import comparison
from ombdriver.bench.report import comparison_table as table
from ombdriver.bench.results.compare import formats
from ombdriver.bench.results.compare.comparison import Comparison, compare
from ombdriver.bench.results.compare.conditions import Condition, Outcome, outcomes
from ombdriver.bench.results.compare.trial import Trial

Golden = Callable[[str, str], None]
BASE, SLOW, SAME = "valkey-no-persistence", "valkey-aof-always", "valkey-aof-everysec"
CONDITIONS = ("endToEndResponse.p99 worse than 10%", "publish.max worse than 300%")


def left_out() -> list[Trial]:
    """Runs that were not compared."""
    return [replace(run, excluded="OVERLOADED") for run in trials("flat-out", 2, seed=9)]


def full() -> list[Comparison]:
    """Two setups against a third, one of them slower and one not."""
    runs = [trials(BASE, 10, seed=1), trials(SLOW, 10, seed=2, shift=1.4), trials(SAME, 9, seed=4)]
    return compare([run for of_setup in runs for run in of_setup])


def few() -> list[Comparison]:
    """Three runs each, in no blocks, that differ in what matters, with a group and without response times."""
    other = {**FACTS, "kernel": "Linux 6.2"}
    runs = [
        *trials("a|b", 3, seed=4, series=None, messages_per_write=1.02),
        *trials("Redis", 3, seed=5, series=None, facts=other, has_verdict=False, messages_per_write=3.4),
    ]
    lacking = [
        replace(
            run,
            groups=("group-1",),
            figures={
                **{name: value for name, value in run.figures.items() if "Response" not in name},
                "endToEnd[group-1].p99": 0.9,
                "consumeRate[group-1]": 700.25,
            },
        )
        for run in runs
    ]
    return compare(lacking, force=True, per_group=True)


def named_at_length() -> list[Comparison]:
    """Workload, setups and a group with names of 60 letters."""
    long, group = "workload-" * 7, "the-group-that-reads-everything-and-writes-it-into-the-attic"
    runs = [run for setup in "ab" for run in trials(setup * 60, 10, seed=6, workload=long)]
    figures = {f"endToEndResponse[{group}].p99": 123_456.0, "publish.p99": 0.123456, "consumeRate": 1e7}
    return compare(
        [
            replace(
                run,
                groups=(group,),
                figures={**run.figures, **{key: (at + 1) * 7 * value for key, value in figures.items()}},
            )
            for at, run in enumerate(runs)
        ],
        per_group=True,
    )


def judged(found: Sequence[Comparison]) -> list[Outcome]:
    """What becomes of the conditions."""
    return outcomes([Condition.parse(each) for each in CONDITIONS], found)


def shown(found: Sequence[Comparison], left: Sequence[Trial], width: int | None = None) -> str:
    """The table as it comes out of a pipe."""
    stream = io.StringIO()
    table.show(found, left, judged(found), stream, width)
    return stream.getvalue()


def test_a_comparison_as_a_table(golden: Golden) -> None:
    """Claims first, then all figures; what was left out, and what became of the conditions."""
    golden("compare.txt", shown(full(), left_out()))


def test_a_comparison_of_few_runs_as_a_table(golden: Golden) -> None:
    """Ratios and spread only, no words; what is missing is blank, what differs is told."""
    golden("compare-few.txt", shown(few(), []))


def test_a_comparison_as_markdown(golden: Golden) -> None:
    """For a pull request; names can't break the table."""
    golden("compare.md", comparison.render(full(), left_out(), judged(full())))
    golden("compare-few.md", comparison.render(few(), [], judged(few())))


def test_a_comparison_as_csv(golden: Golden) -> None:
    """One line for each metric of each setup."""
    text = formats.to_csv(full())
    golden("compare.csv", text)

    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2 * 22
    assert {row["tested"] for row in rows} == {"true", "false"}


def test_a_comparison_as_json(golden: Golden) -> None:
    """Everything that there is."""
    text = formats.to_json(full(), left_out(), judged(full()))
    golden("compare.json", text)

    data = json.loads(text)
    assert (data["kind"], data["formatVersion"]) == ("comparison", 1)
    assert json.loads(formats.to_json(few(), [], []))["comparisons"][0]["differences"][0]["key"] == "kernel"


@pytest.mark.parametrize("width", [None, 40, 80])
def test_the_table_fits_80_columns_and_is_plain(width: int | None) -> None:
    """Also on a narrower terminal."""
    for found in (full(), few(), named_at_length()):
        text = shown(found, left_out(), width)
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("value", "told"), [(None, "-"), (1.2034, "1.203"), (9.9999, "10.0"), (123.45, "123.5"), (1234.5, "1,234")]
)
def test_a_ratio_has_three_decimals_and_fewer_when_it_is_great(value: float | None, told: str) -> None:
    """So that columns stay narrow."""
    assert comparison.ratio(value) == told


@pytest.mark.parametrize(
    ("sizes", "told"),
    [((1.0, 3.0), True), ((3.0, 1.0), True), ((1.0, 1.2), False), ((None, 3.0), False), ((None, None), False)],
)
def test_loads_that_were_not_bunched_alike_are_named(sizes: tuple[float | None, float | None], told: bool) -> None:
    """What leaves together is cheaper for a server; results that do not say are passed over."""
    runs = [
        run
        for setup, mean in zip("ab", sizes, strict=True)
        for run in trials(setup, 6, seed=3, messages_per_write=mean)
    ]
    (found,) = compare(runs)

    caveats = [each for each in comparison.caveats_of(found) if each.startswith("not bunched alike")]
    assert bool(caveats) is told
    if told:
        assert f"messages per write a {sizes[0]:.2f}, b {sizes[1]:.2f}; " in caveats[0]
