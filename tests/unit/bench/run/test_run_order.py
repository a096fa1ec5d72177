"""The order of the runs of a command: setups take turns in blocks, fairly."""

from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.results.result import Standing, from_json
from ombdriver.bench.run.run_order import block_orders, ordered

COUNTS = st.integers(1, 7)


def letters(setups: int, repeats: int) -> str:
    """The setups of one workload in their order, as letters; a space between blocks."""
    return " ".join("".join("ABCDEFG"[each] for each in block) for block in islice(block_orders(setups), repeats))


@pytest.mark.parametrize(
    ("setups", "repeats", "order"),
    [
        (1, 3, "A A A"),
        (2, 1, "AB"),
        (2, 4, "AB BA AB BA"),
        (3, 4, "ABC CAB BAC CBA"),
        (4, 4, "ABCD DACB BDAC CADB"),
    ],
)
def test_setups_take_turns(setups: int, repeats: int, order: str) -> None:
    """Two as ABBA; each block begins with what ended the one before it."""
    assert letters(setups, repeats) == order


@given(COUNTS, COUNTS, COUNTS)
def test_every_setup_meets_every_workload_as_often_as_asked(workloads: int, setups: int, repeats: int) -> None:
    """No more, no less."""
    met = Counter((workload, setup) for workload, setup, _ in ordered("s", [setups] * workloads, repeats))

    assert met == {(workload, setup): repeats for workload in range(workloads) for setup in range(setups)}


@given(COUNTS, COUNTS, COUNTS)
def test_a_block_holds_every_setup_once(workloads: int, setups: int, repeats: int) -> None:
    """Side by side, each at a place of its own."""
    runs = list(ordered("s", [setups] * workloads, repeats))

    for start in range(0, len(runs), setups):
        block = runs[start : start + setups]
        assert len({(workload, standing.block) for workload, _, standing in block}) == 1
        assert sorted(setup for _, setup, _ in block) == list(range(setups))
        assert [standing.position for _, _, standing in block] == list(range(1, setups + 1))


@given(st.integers(2, 7), st.integers(8, 60))
def test_no_setup_follows_another_one_much_more_often_than_others(setups: int, repeats: int) -> None:
    """What a run leaves behind meets all setups about alike: pairs differ by a few at most, and so do places."""
    blocks = list(islice(block_orders(setups), repeats))
    sequence = [setup for block in blocks for setup in block]
    followed = Counter(pairwise(sequence))
    places = Counter((place, setup) for block in blocks for place, setup in enumerate(block))

    every = [(one, other) for one in range(setups) for other in range(setups)]
    assert max(followed[pair] for pair in every) - min(followed[pair] for pair in every) <= 4
    assert max(places[each] for each in every) - min(places[each] for each in every) <= 5


@pytest.mark.parametrize(("setups", "share"), [(3, 0.5), (4, 0.4)])
def test_a_setup_has_no_usual_predecessor(setups: int, share: float) -> None:
    """In the ten blocks that are asked for, the most frequent one stays below that share."""
    sequence = [setup for block in islice(block_orders(setups), 10) for setup in block]
    followed = Counter(pairwise(sequence))

    for setup in range(setups):
        before = [followed[one, setup] for one in range(setups)]
        assert max(before) < share * sum(before)


@given(COUNTS, COUNTS, COUNTS)
def test_runs_are_numbered_as_they_are_begun(workloads: int, setups: int, repeats: int) -> None:
    """Workload after workload, block after block; all of one series."""
    runs = list(ordered("s", [setups] * workloads, repeats))

    total = workloads * setups * repeats
    assert [standing.run for _, _, standing in runs] == list(range(1, total + 1))
    assert {(standing.series, standing.runs, standing.repeats) for _, _, standing in runs} == {("s", total, repeats)}
    assert [(workload, standing.block) for workload, _, standing in runs] == sorted(
        (workload, standing.block) for workload, _, standing in runs
    )


def test_a_standing_is_read_back() -> None:
    """What is not known of it is passed over, as everywhere in a result."""
    data = {
        "series": "s",
        "run": 3,
        "runs": 8,
        "block": 2,
        "position": 1,
        "repeats": 4,
        "order": "rotated",
        "attempt": 2,
    }

    assert from_json(Standing, data | {"more": 0}) == Standing("s", 3, 8, 2, 1, 4, "rotated", 2)
