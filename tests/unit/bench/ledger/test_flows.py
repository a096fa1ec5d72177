"""The sequences of many flows as one set."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.ledger import spans
from ombdriver.bench.ledger.spans import Spans

LANES = 5
RUNS = st.lists(st.tuples(st.integers(0, LANES - 1), st.integers(0, 20), st.integers(0, 6)), max_size=12)


def by_lane(runs: list[tuple[int, int, int]]) -> dict[int, set[int]]:
    """The same, message by message."""
    found: dict[int, set[int]] = {}
    for flow, first, count in runs:
        if count:
            found.setdefault(flow, set()).update(range(first, first + count))
    return found


def of(runs: list[tuple[int, int, int]]) -> Spans:
    """The set of runs."""
    return spans.of_runs(np.array(runs, np.int64).reshape(-1, 3))


@given(RUNS)
def test_lanes_never_mix(runs: list[tuple[int, int, int]]) -> None:
    """Taken apart by flow, a set holds what each flow had; put together again it is the same set."""
    parts = spans.split(of(runs))

    found = {flow: {n for a, b in part.pairs.tolist() for n in range(a, b)} for flow, part in parts.items()}
    assert found == by_lane(runs)
    assert spans.joined(parts) == of(runs)


@given(RUNS)
def test_marks_and_ends_are_those_of_each_lane(runs: list[tuple[int, int, int]]) -> None:
    """The lowest missing sequence, and one past the greatest there is."""
    held = by_lane(runs)
    marks = [next(n for n in range(40) if n not in held.get(flow, set())) for flow in range(LANES)]

    assert spans.marks_of(of(runs), LANES).tolist() == marks
    assert spans.ends_of(of(runs), LANES).tolist() == [max(held.get(flow, {-1})) + 1 for flow in range(LANES)]


@given(st.lists(st.integers(0, 9), min_size=LANES, max_size=LANES), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_between_is_what_is_below_without_what_is_below(firsts: list[int], ends: list[int]) -> None:
    """Also where the first is not below the end."""
    low, high = np.array(firsts, np.int64), np.array(ends, np.int64)

    assert spans.between(low, high) == spans.below(high) - spans.below(low)
