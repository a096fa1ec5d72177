"""Commands from arguments: what is sent, and what is refused before anything is."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.messaging import MessagingValueError
from ombdriver.messaging.streams import commands


def test_options_of_a_send_stand_in_the_order_of_the_server() -> None:
    """NOMKSTREAM and the policy come before the bounds, the bounds before the id."""
    options = ["NOMKSTREAM", *commands.policy("ACKED"), *commands.trimming(1000, None, True, 50)]

    assert commands.xadd("s", {"f": 1}, "5-1", options) == [
        *("XADD", "s", "NOMKSTREAM", "ACKED", "MAXLEN", "~", 1000, "LIMIT", 50, "5-1", "f", 1)
    ]


def test_trimming_by_id_takes_the_place_of_a_length() -> None:
    """`minid` gives MINID, exact when not approximate."""
    assert commands.trimming(None, "7-0", False, None) == ["MINID", "=", "7-0"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((1, "2-0", True, None), "maxlen and minid"),
        ((1, None, False, 5), "limit"),
        ((None, None, True, 5), "limit"),
        ((-1, None, True, None), "maxlen"),
        ((True, None, True, None), "maxlen"),
    ],
)
def test_trimming_that_can_not_be_is_refused(arguments: tuple[Any, ...], named: str) -> None:
    """The message names the argument."""
    with pytest.raises(MessagingValueError, match=named):
        commands.trimming(*arguments)


@pytest.mark.parametrize("message", [{}, None, [("f", "v")], "text"])
def test_a_message_is_a_dict_with_a_field(message: Any) -> None:
    """XADD can't store anything else."""
    with pytest.raises(MessagingValueError, match="at least one field"):
        commands.xadd("s", message, "*")


def test_streams_are_read_in_the_order_given() -> None:
    """First all keys, then all ids, in the dict's order."""
    assert commands.xreadgroup("g", "c", {"b": ">", "a": 0}, 5, 100, noack=True) == [
        *("XREADGROUP", "GROUP", "g", "c", "COUNT", 5, "BLOCK", 100, "NOACK", "STREAMS", b"b", b"a", ">", 0)
    ]


@pytest.mark.parametrize(("count", "block"), [(0, 1), (-1, 1), (1, -1), (1, 1.5), ("1", 1), (True, 1)])
def test_a_count_or_block_that_can_not_be_is_refused(count: Any, block: Any) -> None:
    """Negative, zero or no int: at call time, not by the server."""
    with pytest.raises(MessagingValueError):
        commands.xread({"s": 0}, count, block)


def test_options_of_a_claim_are_all_sent() -> None:
    """Each option of XCLAIM has its word."""
    words = commands.xclaim("s", "g", "c", 5, ["1-0"], idle=1, time=2, retrycount=3, force=True, justid=True)

    assert words == [*("s", "g", "c", 5, "1-0", "IDLE", 1, "TIME", 2, "RETRYCOUNT", 3, "FORCE", "JUSTID")]


@pytest.mark.parametrize("value", [None, True, 1.5, ["1-0"]])
def test_an_id_is_text_bytes_or_a_whole_number(value: Any) -> None:
    """Anything else is refused, with its value."""
    with pytest.raises(MessagingValueError, match="message id"):
        commands.one_id(value)


def test_no_ids_at_all_are_refused() -> None:
    """Acknowledging or deleting nothing is a mistake of the caller."""
    with pytest.raises(MessagingValueError, match="at least one"):
        commands.ids([])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("+", "-", ("+", "-")),
        ("-", "+", ("+", "-")),
        ("5-1", "5-10", ("5-10", "5-1")),
        (b"10", "9-5", (b"10", "9-5")),
        (3, 20, (20, 3)),
        ("(3-0", "20", ("20", "(3-0")),
        ("+", "+", ("+", "+")),
    ],
)
def test_a_reverse_query_takes_its_bounds_either_way_round(first: Any, second: Any, expected: Any) -> None:
    """The higher bound goes first, compared as ids, not as text."""
    assert commands.in_reverse(first, second) == expected


ids = st.one_of(st.just("-"), st.just("+"), st.builds("{}-{}".format, st.integers(0, 99), st.integers(0, 99)))


@settings(deadline=None)  # a busy machine is no failure
@given(ids, ids)
def test_the_order_of_the_bounds_does_not_matter(one: str, other: str) -> None:
    """Swapping the arguments never changes the query."""
    assert commands.in_reverse(one, other) == commands.in_reverse(other, one)
