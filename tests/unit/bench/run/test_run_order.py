"""The order of the runs of a command: setups take turns in blocks, fairly."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.results.result import Standing, from_json
from ombdriver.bench.run.run_order import block_order, ordered

COUNTS = st.integers(1, 7)


def letters(setups: int, repeats: int) -> str:
    """The setups of one workload in their order, as letters; a space between blocks."""
    return " ".join("".join("ABCDEFG"[each] for each in block_order(setups, block + 1)) for block in range(repeats))


@pytest.mark.parametrize(
    ("setups", "repeats", "order"),
    [
        (1, 3, "A A A"),
        (2, 1, "AB"),
        (2, 4, "AB BA AB BA"),
        (3, 4, "ABC BCA CAB ABC"),
    ],
)
def test_setups_take_turns(setups: int, repeats: int, order: str) -> None:
    """Two as ABBA, more in rotated order."""
    assert letters(setups, repeats) == order


@given(COUNTS, COUNTS, COUNTS)
def test_every_setup_meets_every_workload_as_often_as_asked(workloads: int, setups: int, repeats: int) -> None:
    """No more, no less."""
    met = Counter((workload, setup) for workload, setup, _ in ordered("s", [setups] * workloads, repeats))

    assert met == {(workload, setup): repeats for workload in range(workloads) for setup in range(setups)}


@given(COUNTS, COUNTS, COUNTS)
def test_a_block_holds_every_setup_once(workloads: int, setups: int, repeats: int) -> None:
    """Side by side, each at a place of its own; and over as many blocks as there are setups, at every place once."""
    runs = list(ordered("s", [setups] * workloads, repeats))

    for start in range(0, len(runs), setups):
        block = runs[start : start + setups]
        assert len({(workload, standing.block) for workload, _, standing in block}) == 1
        assert sorted(setup for _, setup, _ in block) == list(range(setups))
        assert [standing.position for _, _, standing in block] == list(range(1, setups + 1))
    places = Counter((setup, standing.position) for _, setup, standing in runs if standing.block <= setups)
    assert set(places.values()) == {workloads} or repeats < setups


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
    data = {"series": "s", "run": 3, "runs": 8, "block": 2, "position": 1, "repeats": 4, "more": 0}

    assert from_json(Standing, data) == Standing("s", 3, 8, 2, 1, 4)
