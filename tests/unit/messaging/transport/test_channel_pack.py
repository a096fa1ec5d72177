"""What a command may be made of."""

from typing import Any

import pytest
from fake_server import Cable, turns
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack


@pytest.mark.parametrize("value", [bytearray(b"x"), True, None, [1], 1j])
def test_pack_refuses_by_name_what_redis_can_not_store(value: Any) -> None:
    """The message names the command and the type, and what to give."""
    with pytest.raises(MessagingValueError, match=rf"^XADD: {type(value).__name__} can't be stored; give bytes, str"):
        pack(("XADD", "s", "*", "f", value))


def test_pack_refuses_text_that_is_no_unicode() -> None:
    """Half of a surrogate pair has no bytes."""
    with pytest.raises(MessagingValueError, match=r"^XADD: .*surrogates not allowed"):
        pack(("XADD", "s", "*", "f", "\udc80"))


@given(st.lists(st.binary(max_size=20) | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False), min_size=1))
def test_pack_writes_what_a_server_reads(words: list[bytes | str | int | float]) -> None:
    """As bytes, UTF-8, and decimal numbers that give the same number again."""
    cable = Cable()
    cable.writes.append(pack(tuple(words)))

    (got,) = cable.commands

    for word, data in zip(words, got, strict=True):
        if isinstance(word, float):
            assert float(data) == word
        else:
            assert data == (word if isinstance(word, bytes) else str(word).encode())


async def test_a_wrong_argument_is_refused_at_once_and_costs_nobody() -> None:
    """Nothing of it is written, and no place in the line is taken."""
    cable = Cable()
    channel = Channel(cable.connect, max_in_flight=3)
    await channel.ready()
    with pytest.raises(MessagingValueError):
        channel.execute("A", None)  # type: ignore[arg-type]
    await turns()

    assert [cable.writes, channel.room()] == [[], 3]
    await channel.aclose()
