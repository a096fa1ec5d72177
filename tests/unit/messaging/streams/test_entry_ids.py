"""Entry ids are ordered by their numbers, milliseconds first; as text, 9 would be after 10."""

from hypothesis import example, given
from hypothesis import strategies as st

from ombdriver.messaging.streams.entry_ids import format_id, is_after, parse_id

NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 120)
PARTS = st.tuples(NUMBERS, NUMBERS)


@given(PARTS, PARTS)
@example((5, 2), (5, 10))
def test_ids_are_ordered_by_their_numbers(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Whatever the lengths of milliseconds and sequence are."""
    assert is_after(format_id(one), format_id(other)) == (one > other)
    assert not is_after(format_id(one), format_id(one))


@given(PARTS)
def test_an_id_and_its_numbers_are_the_same(parts: tuple[int, int]) -> None:
    """Nothing is lost on the way, up to the highest that a server knows."""
    assert parse_id(format_id(parts)) == parts
    assert parse_id(b"17") == (17, 0)
