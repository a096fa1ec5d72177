"""What is lost by chance is not taken for a reply that the server can't give."""

from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.transport.blocking import AT_ONCE_S, LOST_IN_A_ROW, ReadSize, RepeatedLoss

AFTER_S = st.sampled_from([0.0, AT_ONCE_S / 2, AT_ONCE_S, 4.0])
EVENTS = st.lists(st.none() | st.tuples(st.sampled_from(["1-0", "2-0", None]), AFTER_S), max_size=12)


@given(EVENTS)
def test_only_the_same_small_request_lost_at_once_and_each_time_is_told(
    events: list[tuple[str | None, float] | None],
) -> None:
    """After each event (None: a reply) it is told if and only if the last three are such losses."""
    losses = RepeatedLoss()
    for number, event in enumerate(events):
        if event is None:
            losses.came()
            continue
        told = losses.lost(*event)
        last = events[max(0, number + 1 - LOST_IN_A_ROW) : number + 1]
        request = event[0]
        expected = len(last) == LOST_IN_A_ROW and set(last) <= {(request, 0.0), (request, AT_ONCE_S / 2)}
        assert told == (expected and request is not None)


@given(st.lists(st.none() | st.tuples(st.integers(1, 3), AFTER_S), max_size=12))
def test_reads_of_more_than_one_entry_say_nothing_about_one(events: list[tuple[int, float] | None]) -> None:
    """A read of more that is lost, or one that was lost after a while, begins the row anew."""
    size = ReadSize()
    for number, event in enumerate(events):
        if event is None:
            size.came()
            continue
        last = events[max(0, number + 1 - LOST_IN_A_ROW) : number + 1]
        expected = len(last) == LOST_IN_A_ROW and all(each and each[0] == 1 and each[1] < AT_ONCE_S for each in last)
        assert size.lost(*event) == expected
