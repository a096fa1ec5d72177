"""What judges the verdict (`make trust`): the waits that must come of what was done, and the account of the cases."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.run.signals import Interrupt
from tests.trust import truth
from tests.trust.__main__ import cases, play, stored, summary, told
from tests.trust.account import HEAD, Outcome, by_verdict, markdown, rows
from tests.trust.scene import Case, NotSetUpError, StoppedError
from tests.trust.situations import SITUATIONS, Situation

WINDOW = (1_000, 11_000)
GAPS = st.lists(st.tuples(st.integers(1, 2_000), st.integers(1, 2_000)), max_size=12)


def stretches(gaps: list[tuple[int, int]]) -> list[truth.Stretch]:
    """Stretches from pairs of a gap and a length."""
    at, found = 0, []
    for gap, length in gaps:
        found.append((at + gap, at + gap + length))
        at += gap + length
    return found


@given(GAPS, st.sampled_from((0.5, 0.9, 0.95, 0.99, 0.999)))
def test_the_wait_is_the_quantile_of_who_is_due_at_any_time(gaps: list[tuple[int, int]], quantile: float) -> None:
    """As when every nanosecond of the window is asked how long it waits."""
    held = stretches(gaps)
    due = np.arange(*WINDOW)
    waits = np.zeros(len(due), np.int64)
    for first, last in held:
        inside = (due >= first) & (due < last)
        waits[inside] = last - due[inside]
    assert truth.wait(held, *WINDOW, quantile) == pytest.approx(np.quantile(waits, quantile), abs=2)


@given(GAPS)
def test_the_share_is_of_the_window_alone(gaps: list[tuple[int, int]]) -> None:
    """What is before or after it does not count."""
    held = stretches(gaps)
    inside = sum(any(first <= at < last for first, last in held) for at in range(*WINDOW, 10))
    assert truth.share(held, *WINDOW) == pytest.approx(inside / 1000, abs=0.02)


def test_who_is_due_as_the_window_ends_waits_beyond_it() -> None:
    """A stretch that goes on after the window is waited for to its end."""
    assert truth.wait([(10_000, 13_000)], *WINDOW, 0.99) == pytest.approx(2_900, abs=1)
    assert truth.wait([(10_000, 13_000)], *WINDOW, 0.5) == 0.0


OUTCOME = Outcome("a: b #1", "a", ("INVALID",), "INVALID")


@pytest.mark.parametrize(
    ("status", "others", "counts"),
    [
        ("INVALID", 0.0, True),
        ("INVALID", 0.5, False),
        ("OVERLOADED", 0.5, False),
        ("VALID", 0.5, True),
        (None, 0.0, False),
    ],
)
def test_a_busy_machine_excuses_all_but_a_false_valid(status: str | None, others: float, counts: bool) -> None:
    """Bad figures that are called good are so on any machine; what could not be set up says nothing."""
    assert replace(OUTCOME, status=status, others=others).counts() is counts


def test_the_table_has_a_line_for_each_kind_and_what_must_come() -> None:
    """Each wrong status in its column; a right one with a wrong reason in the last; and all of them together."""
    healthy = Outcome("c: d #1", "c", ("VALID",), "VALID")
    outcomes = [
        OUTCOME,
        replace(OUTCOME, status="VALID"),
        replace(OUTCOME, status="OVERLOADED"),
        replace(OUTCOME, faults=("none of stalls among coreBusy",)),
        healthy,
        replace(healthy, status="INVALID"),
        replace(healthy, status="UNSTEADY"),
        replace(OUTCOME, must=("INVALID", "VALID"), status="VALID"),
    ]

    assert markdown(outcomes).splitlines() == [
        HEAD,
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        "| a | `INVALID` | 4 | 2 | 1 | 0 | 1 | 0 | 1 |",
        "| a | `INVALID` or `VALID` | 1 | 1 | 0 | 0 | 0 | 0 | 0 |",
        "| c | `VALID` | 3 | 1 | 0 | 1 | 0 | 1 | 0 |",
        "| all |  | 8 | 4 | 1 | 1 | 1 | 1 | 1 |",
    ]
    assert sum(row.cases for row in rows(outcomes)[:-1]) == rows(outcomes)[-1].cases


def test_the_short_table_has_a_line_for_each_verdict_that_must_come() -> None:
    """Whatever was done; cases in which several may come share a line."""
    outcomes = [
        OUTCOME,
        replace(OUTCOME, kind="c", status="OVERLOADED"),
        replace(OUTCOME, must=("INVALID", "VALID"), status="VALID"),
        replace(OUTCOME, must=("VALID", "OVERLOADED"), status="UNSTEADY"),
    ]

    assert by_verdict(outcomes).splitlines()[2:] == [
        "| `INVALID` | 2 | 1 | 0 | 0 | 1 | 0 | 0 |",
        "| one of several | 2 | 1 | 0 | 0 | 0 | 1 | 0 |",
        "| all | 4 | 2 | 0 | 0 | 1 | 1 | 0 |",
    ]


def test_stored_outcomes_are_read_again_as_they_were(tmp_path: Path) -> None:
    """So that tables are made anew without playing anything; whether they counted is judged again."""
    outcomes = [replace(OUTCOME, rules={"stalls": "2 s"}, caveats=("trend",), faults=("a", "b")), OUTCOME]
    path = tmp_path / "trust.json"
    path.write_text(json.dumps([asdict(each) | {"counted": True} for each in outcomes]))
    assert stored(path) == outcomes


def test_outcomes_of_several_calls_make_one_table_that_names_their_seeds() -> None:
    """So that cases can be added to those that were played before."""
    outcomes = [OUTCOME, replace(OUTCOME, seed=2)]
    assert summary(outcomes[:1], outcomes[:1]).startswith("1 cases, seed 1, ")
    assert summary(outcomes, outcomes).startswith("2 cases, seeds 1 and 2, ")


def test_a_case_is_found_by_its_name_and_cases_go_in_rounds() -> None:
    """Every situation has its turn before any has another one, so that an end by Ctrl-C leaves an even table."""
    once = sum(each.times for each in SITUATIONS)
    names = [name for _, name in cases(2 * once)]
    assert len(set(names)) == len(names) == 2 * once
    for situation in SITUATIONS:
        in_first = [name for name in names[:once] if name.startswith(f"{situation.kind}: {situation.name} #")]
        assert len(in_first) == situation.times
    assert [name for _, name in cases(500, names[-1])] == [names[-1]]
    assert not list(cases(500, "no such words"))


@pytest.mark.parametrize(
    ("error", "problem"),
    [(NotSetUpError("no core to take"), "no core to take"), (KeyError("group-1"), "KeyError: 'group-1'")],
)
async def test_a_case_that_could_not_be_played_is_told_and_ends_no_other(error: Exception, problem: str) -> None:
    """Whatever it was; it says nothing of the verdict."""

    async def fails(case: Case) -> None:
        raise error

    outcome = await play(Situation("a", "b", ("VALID",), fails), "a: b #1", 1, Interrupt())

    assert (outcome.status, outcome.problem, outcome.counts()) == (None, problem, False)
    assert told(outcome, 0.05) == f"not set up   a: b #1: {problem}"


async def test_whoever_asks_to_stop_ends_them_all() -> None:
    """A case that fails for that is no failure."""
    stop = Interrupt()

    async def stopped(case: Case) -> None:
        case.stop.ask("SIGINT")
        raise ConnectionError

    with pytest.raises(StoppedError):
        await play(Situation("a", "b", ("VALID",), stopped), "a: b #1", 1, stop)
