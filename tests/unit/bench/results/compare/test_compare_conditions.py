"""Conditions that a comparison fails on: how they are read, and when they are met."""

from dataclasses import replace

import pytest
from compared_trials import trials

from ombdriver.bench.results.compare.comparison import compare
from ombdriver.bench.results.compare.conditions import Condition, outcomes
from ombdriver.errors import InputError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("endToEndResponse.p99 > 5", "is not METRIC worse than N%; write it as 'endToEndResponse.p99 worse than 10%'"),
        ("worse than 10%", "is not METRIC worse than N%; write it as 'endToEndResponse.p99 worse than 10%'"),
        ("publish.p99 worse than 10", "'publish.p99 worse than 10': 10 has no unit; write 10%"),
        ("publish.p99 worse than -1%", "'-1' is not a number of 0 or more in plain digits; write it as"),
        ("publish.p99 worse than ten%", "'ten' is not a number of 0 or more in plain digits; write it as"),
        ("publish.p97 worse than 1%", "publish has no figure 'p97'; did you mean publish.p99?"),
        ("publishRate worse than 100%", "no rate falls by more than 100 %; write a smaller number"),
    ],
)
def test_what_is_no_condition_is_told_with_the_way_out(text: str, told: str) -> None:
    """Read strictly."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is held
        Condition.parse(text)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("repeats", "shift", "text", "met"),
    [
        (10, 1.3, "endToEndResponse.p99 worse than 10%", True),
        (10, 1.3, "endToEndResponse.p99 worse than 50%", False),
        (10, 0.7, "endToEndResponse.p99 worse than 10%", False),
        (10, 1.0, " endToEndResponse.p99   worse than 0.1 % ", False),  # chance
        (1, 1.5, "endToEndResponse.p99 worse than 10%", True),  # the ratio alone
        (10, 1.5, "publish.max worse than 10%", True),
        (10, 1.3, "publishRate worse than 0.5%", False),
    ],
)
def test_a_condition_is_met_when_it_is_that_bad(repeats: int, shift: float, text: str, met: bool) -> None:
    """Beyond chance, where that can be told."""
    found = compare([*trials("a", repeats, seed=1), *trials("b", repeats, seed=2, shift=shift)])
    (outcome,) = outcomes([Condition.parse(text)], found)

    assert outcome.met == met


def test_worse_is_less_of_a_rate() -> None:
    """And a condition that can't be judged is met."""
    slow = [replace(run, figures={"publishRate": 1000.0}) for run in trials("b", 8, seed=2)]
    found = compare([*trials("a", 8, seed=1), *slow])
    texts = ("publishRate worse than 40%", "publishRate worse than 60%", "endToEnd.p50 worse than 10%")

    assert [each.met for each in outcomes([Condition.parse(each) for each in texts], found)] == [True, False, True]


def test_a_condition_of_a_group_needs_that_group() -> None:
    """Else what it was meant for would never be looked at."""
    runs = [
        replace(
            run, groups=("group-1",), figures={**run.figures, "endToEnd[group-1].p50": 1.0 + 0.5 * (run.setup == "b")}
        )
        for run in [*trials("a", 8, seed=1), *trials("b", 8, seed=2)]
    ]
    found = compare(runs, per_group=True)

    (outcome,) = outcomes([Condition.parse("endToEnd[group-1].p50 worse than 10%")], found)
    assert outcome.met
    with pytest.raises(InputError, match=r"--fail-if: there is no group 'group-2'; did you mean group-1\?"):
        outcomes([Condition.parse("endToEnd[group-2].p50 worse than 10%")], found)
