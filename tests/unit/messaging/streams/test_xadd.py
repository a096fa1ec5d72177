"""The packing of messages from prepared parts, against hiredis's packing of the same command."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.streams import xadd
from ombdriver.messaging.streams.xadd import pack_message
from ombdriver.messaging.transport.connection import pack

PARTS = st.binary(max_size=40) | st.text(max_size=40).filter(lambda text: text.isprintable())


def expected(key: bytes, message: dict, maxlen: int | None, approximate: bool) -> bytes:
    """The same command, packed by hiredis."""
    bound = () if maxlen is None else ("MAXLEN", "~" if approximate else "=", maxlen)
    return pack(("XADD", key, *bound, "*", *chain.from_iterable(message.items())))


@given(
    key=st.binary(min_size=1, max_size=30),
    message=st.dictionaries(PARTS, PARTS, min_size=1, max_size=5),
    maxlen=st.none() | st.integers(0, 10**12),
    approximate=st.booleans(),
)
def test_a_packed_message_is_what_hiredis_packs(
    key: bytes, message: dict, maxlen: int | None, approximate: bool
) -> None:
    """Prepared parts give the very bytes of the command, also when a key or a value looks like RESP itself."""
    assert pack_message(key, message, maxlen, approximate) == expected(key, message, maxlen, approximate)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 999, 1000, 100_000])
def test_sizes_of_any_number_of_digits_are_told(size: int) -> None:
    """The prepared size is that of the value's bytes, not of its characters."""
    message = {"p": "é" * size}
    assert pack_message(b"k", message, None, True) == expected(b"k", message, None, True)


@pytest.mark.parametrize(
    "message", [{"n": 1}, {"n": 1.5}, {1: "one"}, {True: "yes"}, {"b": bytearray(b"x")}, {"n": None}, {"s": "\ud800"}]
)
def test_what_is_not_text_or_bytes_is_left_to_the_general_way(message: dict) -> None:
    """Numbers are packed, and what can't be sent is refused by name, in one place for all commands."""
    assert pack_message(b"k", message, None, True) is None


def test_fields_equal_to_a_known_one_are_not_mistaken_for_it() -> None:
    """1 and True are one key of a dict, and neither is the field '1'."""
    assert pack_message(b"k", {"1": "a"}, None, True) == expected(b"k", {"1": "a"}, None, True)
    assert pack_message(b"k", {True: "a"}, None, True) is None


def test_prepared_parts_do_not_grow_with_the_number_of_different_fields() -> None:
    """Whoever uses ids as field names does not fill the memory."""
    for at in range(2 * xadd.PREPARED + 10):
        pack_message(b"k", {f"field-{at}": b""}, at, True)
    assert len(xadd._names) <= xadd.PREPARED
    assert len(xadd._heads) <= xadd.PREPARED
