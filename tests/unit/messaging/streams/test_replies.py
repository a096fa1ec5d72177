"""One shape out of every shape that a read can come in."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging.streams.replies import ReadReply, ReplyDecoder

TEXT = ReplyDecoder(decode=True)
RAW = ReplyDecoder(decode=False)

FLAT = [b"1-0", [b"f", b"v", b"g", b"w"]]
ENTRY = ("1-0", {"f": "v", "g": "w"})


@pytest.mark.parametrize("nothing", [None, [], {}, ()])
def test_a_read_that_brought_nothing_is_an_empty_list(nothing: Any) -> None:
    """However a client says "nothing", it is `[]`."""
    assert TEXT.read(nothing) == ReadReply([], {})


@pytest.mark.parametrize(
    "reply",
    [
        [[b"s", [FLAT]]],
        [[b"s", [(b"1-0", {b"f": b"v", b"g": b"w"})]]],
        {b"s": [[(b"1-0", {b"f": b"v", b"g": b"w"})]]},
        {b"s": [(b"1-0", {b"f": b"v", b"g": b"w"})]},
        {b"s": [FLAT]},
        [["s", [("1-0", {"f": "v", "g": "w"})]]],
        [[b"s", [[b"1-0", [b"f", b"v", b"g", b"w"], 5000, 2]]]],
    ],
    ids=["resp2", "redis-py legacy", "redis-py protocol 3", "unified", "resp3 wire", "already decoded", "claimed"],
)
def test_every_shape_of_a_read_becomes_the_list(reply: Any) -> None:
    """Wire and client shapes of one read give one value."""
    assert TEXT.read(reply).streams == [["s", [ENTRY]]]


@pytest.mark.parametrize("reply", [[[b"s", []]], {b"s": [[]]}, {b"s": []}])
def test_a_stream_named_without_entries_stays(reply: Any) -> None:
    """Reading what is pending, with nothing pending, names the stream with an empty list in every shape."""
    assert TEXT.read(reply).streams == [["s", []]]


@pytest.mark.parametrize(
    "gone", [[b"2-0", None], (b"2-0", {}), [b"2-0", []]], ids=["resp2 nil", "redis-py", "empty array"]
)
def test_an_entry_whose_content_is_gone_is_told_apart(gone: Any) -> None:
    """A deleted pending entry is no message, and its id is given separately."""
    reply = TEXT.read([[b"s", [FLAT, gone]]])

    assert reply.streams == [["s", [ENTRY]]]
    assert reply.deleted == {"s": ["2-0"]}


@pytest.mark.parametrize("gone", [None, (None, None)])
def test_a_claim_leaves_out_what_was_deleted(gone: Any) -> None:
    """XCLAIM before Redis 7 gives nil for a deleted entry, redis-py a pair of None."""
    assert TEXT.entries([gone, FLAT]) == [ENTRY]


def test_a_value_that_is_no_utf8_stays_bytes_and_costs_nobody_else() -> None:
    """One binary payload is handed over as bytes; every other value of the reply is str."""
    reply = [[b"s", [[b"1-0", [b"f", b"\xff\x00"]], [b"2-0", [b"f", b"v"]]]]]

    assert TEXT.read(reply).streams == [["s", [("1-0", {"f": b"\xff\x00"}), ("2-0", {"f": "v"})]]]


def test_without_decoding_everything_is_bytes() -> None:
    """`decode_responses=False` means bytes for ids, fields, values and stream names alike."""
    assert RAW.read([[b"s", [FLAT]]]).streams == [[b"s", [(b"1-0", {b"f": b"v", b"g": b"w"})]]]


def test_the_first_and_last_entry_of_a_stream_look_like_queried_ones() -> None:
    """`info['first-entry']` equals what `query_messages` gives; an empty stream has None."""
    flat = [b"length", 1, b"first-entry", FLAT, b"last-entry", None]

    assert TEXT.stream_info(flat) == {"length": 1, "first-entry": ENTRY, "last-entry": None}
    assert TEXT.stream_info({"length": 1, "first-entry": (b"1-0", {b"f": b"v", b"g": b"w"}), "last-entry": None}) == {
        "length": 1,
        "first-entry": ENTRY,
        "last-entry": None,
    }


fields = st.dictionaries(st.binary(max_size=6), st.binary(max_size=6), min_size=1, max_size=4)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(st.from_regex(rb"[0-9]{1,5}-[0-9]{1,3}", fullmatch=True), fields), max_size=8))
def test_no_byte_is_lost_whatever_the_payload(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    """Decoding keeps every entry in order, and encoding it again gives the bytes that were sent."""

    def encoded(value: str | bytes) -> bytes:
        return value.encode() if isinstance(value, str) else value

    wire = [[entry_id, [part for pair in content.items() for part in pair]] for entry_id, content in entries]

    found = TEXT.entries(wire)

    assert [
        (encoded(i), {encoded(field): encoded(value) for field, value in content.items()}) for i, content in found
    ] == entries
