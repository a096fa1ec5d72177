"""Where a group starts, and where one that is gone is to go on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver import MessagingValueError
from ombdriver.messaging.streams.entry_ids import format_id, is_after, parse_id
from ombdriver.messaging.topics.consumer.offsets import before, id_of, resumption
from ombdriver.messaging.topics.record import helper_key

IDS = st.builds(lambda ms, n: format_id((ms, n)), st.integers(0, 2**50), st.integers(0, 3))


@pytest.mark.parametrize(
    ("position", "found"),
    [
        ("earliest", b"0"),
        ("latest", b"$"),
        ("1700000000000-3", b"1700000000000-3"),
        (b"17", b"17"),
        (datetime(1970, 1, 1, tzinfo=UTC), b"0"),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), b"999-18446744073709551615"),
    ],
)
def test_a_position_is_an_id(position: object, found: bytes) -> None:
    """What comes after that id is what comes."""
    assert id_of(position) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("position", ["", "first", "1-2-3", 17, None, datetime(2026, 1, 1), "-1"])
def test_what_is_no_position_is_refused(position: object) -> None:
    """A bare number may be a time or an id, a time without a zone any of several."""
    with pytest.raises(MessagingValueError, match="give"):
        id_of(position)  # type: ignore[arg-type]


@given(st.integers(1, 10**12))
def test_a_time_takes_in_what_was_stored_in_its_millisecond(ms: int) -> None:
    """And nothing of the millisecond before."""
    place = id_of(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
    assert is_after(format_id((ms, 0)), place)
    assert not is_after(format_id((ms - 1, 5)), place)


@given(IDS)
def test_just_before_an_id_there_is_no_room(entry: bytes) -> None:
    """The id before is below, and nothing lies between."""
    if parse_id(entry) != (0, 0):
        assert is_after(entry, before(entry))


@given(IDS, st.sets(IDS, max_size=5), IDS)
def test_a_group_that_is_made_again_passes_nothing_over(last: bytes, held: set[bytes], end: bytes) -> None:
    """All that is held comes again, and all that is above what was given out; from the beginning in a new stream."""
    place = resumption(last, held, end)

    if is_after(last, end):
        assert place == b"0"
    else:
        assert all(is_after(each, place) for each in held - {b"0-0"})
        assert not is_after(place, last)
        assert place == last or held


def test_without_a_stream_a_group_begins_at_the_beginning() -> None:
    """Whatever was held before."""
    assert resumption(b"5-0", {b"3-0"}, None) == b"0"
    assert resumption(b"5-0", {b"3-0"}, b"9-0") == b"2-18446744073709551615"


def test_helper_keys_share_the_tag_of_their_partition() -> None:
    """So they lie in the same slot."""
    assert helper_key("{t:3}", "dlq") == b"{t:3}:dlq"
    assert helper_key(b"{t:3}", "delayed", "g", "x") == b"{t:3}:delayed:g:x"
