"""Where a group goes on in the same stream, by ids alone."""

from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.streams.entry_ids import format_id, is_after, parse_id
from ombdriver.messaging.streams.resumption import BEGINNING, before, mark_of, place_after

IDS = st.builds(lambda ms, n: format_id((ms, n)), st.integers(0, 2**50), st.integers(0, 3))


@given(IDS)
def test_just_before_an_id_there_is_no_room(entry: bytes) -> None:
    """The id before is below, and what follows it is that id."""
    ms, sequence = parse_id(entry)
    place = before((ms, sequence))
    if (ms, sequence) == (0, 0):
        assert place == BEGINNING
    else:
        assert is_after(entry, place)
        assert parse_id(place) == ((ms, sequence - 1) if sequence else (ms - 1, 2**64 - 1))


@given(IDS, st.sets(IDS, max_size=5))
def test_a_group_passes_over_nothing_that_is_held_or_of_the_last_millisecond(last: bytes, held: set[bytes]) -> None:
    """And it goes back no further than that."""
    place = place_after(last, held)
    due = {*held, format_id((parse_id(last)[0], 0))} - {b"0-0"}
    assert all(is_after(each, place) for each in due)
    assert place in {before(parse_id(each)) for each in due} | {BEGINNING}


def test_a_mark_tells_contents_apart() -> None:
    """Of one id; names and values have their places."""
    assert mark_of(b"5-0", [b"value", b"1"]) == mark_of(b"5-0", [b"value", b"1"])
    assert mark_of(b"5-0", [b"value", b"1"]).digest != mark_of(b"5-0", [b"value", b"2"]).digest
    assert mark_of(b"5-0", [b"valu", b"e1"]).digest != mark_of(b"5-0", [b"value", b"1"]).digest
