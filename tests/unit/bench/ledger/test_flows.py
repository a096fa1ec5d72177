"""The sequences of many flows as one set."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.ledger import spans
from ombdriver.bench.ledger.spans import Spans

FLOWS = 5
RANGES = st.lists(st.tuples(st.integers(0, FLOWS - 1), st.integers(0, 20), st.integers(0, 6)), max_size=12)


def by_flow(ranges: list[tuple[int, int, int]]) -> dict[int, set[int]]:
    """The same, message by message."""
    found: dict[int, set[int]] = {}
    for flow, first, count in ranges:
        if count:
            found.setdefault(flow, set()).update(range(first, first + count))
    return found


def of(ranges: list[tuple[int, int, int]]) -> Spans:
    """The set of ranges."""
    return spans.of_ranges(np.array(ranges, np.int64).reshape(-1, 3))


@given(RANGES)
def test_flows_never_mix(ranges: list[tuple[int, int, int]]) -> None:
    """Taken apart by flow, a set holds what each flow had; put together again it is the same set."""
    parts = spans.split_flows(of(ranges))

    found = {flow: {n for a, b in part.pairs.tolist() for n in range(a, b)} for flow, part in parts.items()}
    assert found == by_flow(ranges)
    assert spans.join_flows(parts) == of(ranges)


@given(RANGES)
def test_first_missing_and_ends_are_those_of_each_flow(ranges: list[tuple[int, int, int]]) -> None:
    """The lowest missing sequence, and one past the greatest there is."""
    held = by_flow(ranges)
    missing = [next(n for n in range(40) if n not in held.get(flow, set())) for flow in range(FLOWS)]

    assert spans.first_missing(of(ranges), FLOWS).tolist() == missing
    assert spans.ends_of(of(ranges), FLOWS).tolist() == [max(held.get(flow, {-1})) + 1 for flow in range(FLOWS)]


@given(st.lists(st.integers(0, 9), min_size=FLOWS, max_size=FLOWS), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_between_is_what_is_below_without_what_is_below(firsts: list[int], ends: list[int]) -> None:
    """Also where the first is not below the end."""
    low, high = np.array(firsts, np.int64), np.array(ends, np.int64)

    assert spans.between(low, high) == spans.below(high) - spans.below(low)
