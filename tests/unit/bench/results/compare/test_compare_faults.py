"""What faults did, in comparisons: the worst of each run, over the whole runs of both sides."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from compared_trials import FACTS, trials
from sample_faults import sample_faults
from sample_page import run

from ombdriver.bench.report import comparison
from ombdriver.bench.report import comparison_table as table
from ombdriver.bench.results.compare import formats
from ombdriver.bench.results.compare.comparison import Comparison, compare
from ombdriver.bench.results.compare.faults import FaultSpread, effects, fault_figures, faults_in_words
from ombdriver.bench.results.compare.trial import OF_FAULTS, Trial, trial_of
from ombdriver.errors import NotComparable

BASE, OTHER = "valkey-aof-everysec", "valkey-sentinel"
RESTARTED: Mapping[str, float | None] = {
    "outage": 8.2,
    "deliveryOutage": 8.3,
    "detect": 0.013,
    "recover": 9.0,
    "catchUp": 0.0,
    "faults.lost": 0,
}
TAKEN_OVER: Mapping[str, float | None] = {**RESTARTED, "outage": 2.31, "recover": None, "faults.lost": 1_204}
LOADS = [
    ({"faults": [{"at": "5s", "kill": "primary", "restartAfter": "8s"}]}, "{at: 5s, kill: primary, restartAfter: 8s}"),
    (
        {"faults": [{"at": "1s", "failover": "ordered"}, {"for": "2s", "link": {"between": ["a", "b"], "down": True}}]},
        "{at: 1s, failover: ordered}, {for: 2s, link: {between: [a, b], down: true}}",
    ),
    ({"faults": []}, "none"),
    ({}, "none"),
]


def with_faults(setup: str, told: Sequence[Mapping[str, float | None]], **changed: Any) -> list[Trial]:
    """A run of the setup for each of `told`."""
    runs = trials(setup, len(told), seed=len(setup), **changed)
    return [replace(each, faults=one) for each, one in zip(runs, told, strict=True)]


def compared() -> list[Comparison]:
    """A setup that recovers, against one that is back sooner, loses some and is not yet as before in one run."""
    taken_over = [TAKEN_OVER, {**TAKEN_OVER, "recover": 3.0}, {**TAKEN_OVER, "recover": 3.5, "faults.lost": 12}]
    other = with_faults(OTHER, taken_over)
    other[2] = replace(other[2], excluded="LOSS", reasons=("lost",))
    return compare([*with_faults(BASE, [RESTARTED] * 3), *other])


@pytest.mark.parametrize(("workload", "told"), LOADS)
def test_faults_are_told_as_a_file_has_them(workload: Mapping[str, Any], told: str) -> None:
    """A load without any says so, since a comparison with one that has some depends on it."""
    assert faults_in_words(workload) == told


def test_the_worst_of_a_run_counts() -> None:
    """Over its injections and groups; what did not come to its end in one of them has no end."""
    told = fault_figures(sample_faults())

    assert told == {
        "outage": 2.31,
        "deliveryOutage": 1.0,
        "detect": 0.003,
        "recover": 4.0,
        "catchUp": None,
        "faults.lost": 1_204,
    }
    assert fault_figures(None) == fault_figures({**sample_faults(), "injections": []}) == {}


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ((1.0, 3.0, 2.0), FaultSpread(3, 0, 2.0, 1.0, 3.0)),
        ((1.0, None, 2.0), FaultSpread(3, 1, 2.0, 1.0, None)),
        ((None, None, 2.0), FaultSpread(3, 2, None, 2.0, None)),
        ((1.0, None), FaultSpread(2, 1, None, 1.0, None)),
        ((0.0, 0.0), FaultSpread(2, 0, 0.0, 0.0, 0.0)),
    ],
)
def test_what_has_no_end_is_longer_than_all_that_has(values: Sequence[float | None], spread: FaultSpread) -> None:
    """In the median, and as the most."""
    runs = [{"recover": each} for each in values]

    (effect,) = effects(runs, [{"recover": 1.0}])

    assert effect.baseline == spread


def test_both_sides_must_have_a_figure() -> None:
    """With faults on one side alone there is nothing beside them."""
    assert effects([RESTARTED], [{}]) == ()
    assert [each.name for each in effects([RESTARTED], [{"outage": 1.0}])] == ["outage"]


def test_a_run_that_lost_what_was_promised_counts_among_the_faults() -> None:
    """It is not VALID for that, so no latency of it is compared; one that did not go to its end counts nowhere."""
    (found,) = compared()
    (told,) = found.setups
    lost = next(each for each in told.faults if each.name == "faults.lost")

    assert (told.runs, lost.other.count, lost.other.least, lost.other.most) == (2, 3, 12, 1_204)
    partial = with_faults(OTHER, [TAKEN_OVER] * 2)
    partial[1] = replace(partial[1], excluded="PARTIAL")
    (whole,) = compare([*with_faults(BASE, [RESTARTED] * 2), *partial])[0].setups
    assert {each.other.count for each in whole.faults} == {1}


def test_faults_of_both_sides_stand_in_the_table_and_in_markdown(golden: Callable[[str, str], None]) -> None:
    """Below the figures."""
    stream = io.StringIO()
    table.show(compared(), [], [], stream)

    golden("compare-faults.txt", stream.getvalue())
    golden("compare-faults.md", comparison.render(compared(), [], []))


def test_programs_read_the_figures_of_faults() -> None:
    """In CSV as lines of their own, in JSON under the setup; what has no end is empty there, and counted here."""
    lines = [line for line in csv.DictReader(io.StringIO(formats.to_csv(compared()))) if line["metric"] == "recover"]
    (setup,) = json.loads(formats.to_json(compared(), [], []))["comparisons"][0]["setups"]
    recover = next(each for each in setup["faults"] if each["metric"] == "recover")

    (line,) = lines
    assert (line["unit"], line["baselineMedian"], line["median"], line["most"]) == ("s", "9.0", "3.5", "")
    assert (line["ratio"], line["tested"]) == ("", "false")
    assert recover["setup"] == {"runs": 3, "unended": 1, "median": 3.5, "least": 3.0, "most": None}


@pytest.mark.parametrize("other", [told for _, told in LOADS[1:3]])
def test_results_with_different_faults_are_refused_with_both_lists(other: str) -> None:
    """Whole, as they often differ in their last key; also those with faults and those without."""
    first = trials(BASE, 2, seed=1, facts={**FACTS, OF_FAULTS: LOADS[0][1], "workloadSha256": "aa"})
    second = trials(OTHER, 2, seed=2, facts={**FACTS, OF_FAULTS: other, "workloadSha256": "bb"})

    with pytest.raises(NotComparable) as refused:
        compare([*first, *second])

    (message,) = refused.value.messages
    assert f"workload.faults is {LOADS[0][1]} in 2 results" in message
    assert f"{other} in 2 results" in message
    (forced,) = compare([*first, *second], force=True)
    assert f"not alike, and compared all the same: workload.faults is {LOADS[0][1]}" in comparison.caveats_of(forced)[0]


def test_a_result_tells_its_faults_and_not_what_was_expected_of_them() -> None:
    """Conditions do not bear on the figures."""
    result = run(1)
    spec = {**result.workload_spec, **LOADS[0][0], "expect": ["outage < 5s"]}

    trial = trial_of(replace(result, workload_spec=spec, faults=sample_faults()), "a.json")

    assert trial.facts[OF_FAULTS] == LOADS[0][1]
    assert "workload.expect" not in trial.facts
    assert trial.faults["outage"] == 2.31
    assert trial_of(result, "b.json").facts[OF_FAULTS] == "none"
