"""Commands over a unix socket, to a server that answers what the test wants."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ombdriver.bench.servers.resp_client import Login, RefusedError, answers, ask


@contextlib.asynccontextmanager
async def serving(reply: bytes, heard: list[bytes] | None = None) -> AsyncIterator[Path]:
    """A socket at which everything is answered by `reply`, once, and then the line is cut."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = await reader.read(65536)
        if heard is not None:
            heard.append(given)
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    with tempfile.TemporaryDirectory(prefix="o") as folder:
        path = Path(folder) / "s"
        server = await asyncio.start_unix_server(serve, str(path))
        try:
            yield path
        finally:
            server.close()
            await server.wait_closed()


async def test_every_kind_of_reply_is_read() -> None:
    """Lists in lists, nothing, and text that is no UTF-8."""
    reply = b"+OK\r\n:-3\r\n$-1\r\n$3\r\na\r\n\r\n*2\r\n*1\r\n:1\r\n$1\r\n\xff\r\n*0\r\n"
    async with serving(reply) as path:
        assert await ask(path, *[("X",)] * 6) == ["OK", -3, None, "a\r\n", [[1], "�"], []]


async def test_a_login_goes_first_and_is_no_reply() -> None:
    """The default user's password alone, as servers before 6.0 want it."""
    heard: list[bytes] = []
    async with serving(b"+OK\r\n+PONG\r\n", heard) as path:
        assert await ask(path, ("PING",), login=Login("default", "x")) == ["PONG"]
        assert await ask(path, ("PING",), login=Login("ann", "x")) == ["PONG"]

    assert heard[0] == b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n*1\r\n$4\r\nPING\r\n"
    assert heard[1].startswith(b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n")


async def test_a_refusal_is_an_error_in_the_words_of_the_server() -> None:
    """The first of them."""
    async with serving(b"+OK\r\n-ERR no such thing\r\n") as path:
        with pytest.raises(RefusedError, match=r"^ERR no such thing$"):
            await ask(path, ("A",), ("B",))


@pytest.mark.parametrize("reply", [b"", b"+O", b"$5\r\nab", b"*2\r\n:1\r\n", b"?what\r\n"])
async def test_a_server_that_goes_away_is_told(reply: bytes) -> None:
    """In the middle of a reply, too."""
    async with serving(reply) as path:
        with pytest.raises(EOFError):
            await ask(path, ("A",))
        assert await answers(path) is (reply == b"+O")


@pytest.mark.parametrize(
    ("reply", "awake"),
    [(b"+PONG\r\n", True), (b"-NOAUTH x\r\n", True), (b"-MASTERDOWN x\r\n", True), (b"-LOADING x\r\n", False)],
)
async def test_a_refusal_may_be_a_sign_of_life(reply: bytes, awake: bool) -> None:
    """But not while the server loads its data."""
    async with serving(reply) as path:
        assert await answers(path) is awake


async def test_nobody_at_the_socket_is_no_answer(tmp_path: Path) -> None:
    """It is not there yet."""
    assert await answers(tmp_path / "s") is False
