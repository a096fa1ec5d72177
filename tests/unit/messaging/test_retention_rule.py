"""How far a stream may be trimmed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging.retention import first_needed


def test_without_a_group_nothing_may_go() -> None:
    """Nobody has said what is done with."""
    assert first_needed([]) is None


def test_what_is_pending_is_needed() -> None:
    """The oldest pending message holds everything after it."""
    assert first_needed([(b"9-0", b"5-3"), (b"8-0", None)]) == b"5-3"


def test_what_a_group_has_not_read_is_needed() -> None:
    """The slowest group counts; what it was given last may go once acknowledged."""
    assert first_needed([(b"9-0", None), (b"8-2", None)]) == b"8-3"


numbers = st.integers(0, 20)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(numbers, st.none() | numbers), min_size=1))
def test_nothing_that_a_group_needs_is_below_the_bound(groups: list[tuple[int, int | None]]) -> None:
    """For every group: neither its pending messages nor what follows its last delivered one lie below."""
    encoded = [(b"%d-0" % d, None if p is None else b"%d-0" % p) for d, p in groups]

    bound = first_needed(encoded)

    assert bound is not None
    ms, sequence = map(int, bound.split(b"-"))
    for delivered, pending in groups:
        assert (ms, sequence) <= (delivered, 1)
        assert pending is None or (ms, sequence) <= (pending, 0)
