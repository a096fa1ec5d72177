"""Where a group starts, and where one that is gone is to go on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver import MessagingValueError
from ombdriver.messaging.streams.entry_ids import format_id, is_after
from ombdriver.messaging.topics.consumer.offsets import resolve
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
def test_an_offset_is_an_id(position: object, found: bytes) -> None:
    """What comes after that id is what comes."""
    assert resolve(position) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("position", ["", "first", "1-2-3", 17, None, datetime(2026, 1, 1), "-1"])
def test_what_is_no_offset_is_refused(position: object) -> None:
    """A bare number may be a time or an id, a time without a zone any of several."""
    with pytest.raises(MessagingValueError, match="give"):
        resolve(position)  # type: ignore[arg-type]


@given(st.integers(1, 10**12))
def test_a_time_takes_in_what_was_stored_in_its_millisecond(ms: int) -> None:
    """And nothing of the millisecond before."""
    place = resolve(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
    assert is_after(format_id((ms, 0)), place)
    assert not is_after(format_id((ms - 1, 5)), place)


def test_helper_keys_share_the_tag_of_their_partition() -> None:
    """So they lie in the same slot."""
    assert helper_key("{t:3}", "dlq") == b"{t:3}:dlq"
    assert helper_key(b"{t:3}", "delayed", "g", "x") == b"{t:3}:delayed:g:x"
