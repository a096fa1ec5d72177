"""Sets of sequence numbers as spans."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.ledger.spans import Spans

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=8)


def plain(pairs: list[tuple[int, int]]) -> set[int]:
    """The same set as Python has it."""
    return {number for first, end in pairs for number in range(first, end)}


def numbers(spans: Spans) -> set[int]:
    """The members of `spans`."""
    return plain([(first, end) for first, end in spans.pairs.tolist()])


@given(PAIRS, PAIRS)
def test_spans_behave_as_sets_do(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    """Union, intersection, difference and size agree with Python's sets, whatever overlaps or touches."""
    one, other = Spans.of(left), Spans.of(right)
    assert numbers(one) == plain(left)
    assert numbers(one | other) == plain(left) | plain(right)
    assert numbers(one & other) == plain(left) & plain(right)
    assert numbers(one - other) == plain(left) - plain(right)
    assert len(one) == len(plain(left))


@given(PAIRS, PAIRS)
def test_what_comes_out_is_ascending_and_never_touches(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    """Each set has one form, so that equal sets are equal and cost no more than they must."""
    for spans in (Spans.of(left) | Spans.of(right), Spans.of(left) - Spans.of(right)):
        ends = spans.pairs.ravel()
        assert (np.diff(ends) > 0).all()
    assert (Spans.of(left) | Spans.of(right)) == Spans.of(left + right)


@given(PAIRS, st.lists(st.integers(-5, 60), max_size=20))
def test_membership_is_told_for_many_numbers_at_once(pairs: list[tuple[int, int]], asked: list[int]) -> None:
    """`holds` agrees with `in`."""
    held = Spans.of(pairs).contains(np.array(asked, np.int64)).tolist()
    assert held == [number in plain(pairs) for number in asked]


def test_the_end_is_one_past_the_greatest() -> None:
    """An empty set ends at 0."""
    assert Spans.of([(4, 9), (1, 2)]).end == 9
    assert Spans().end == 0


def test_a_set_is_no_key() -> None:
    """What is compared by its content and holds an array can't be hashed."""
    with pytest.raises(TypeError):
        hash(Spans())
