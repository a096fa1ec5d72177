"""Asks a private server a few things over its unix socket: commands as RESP 2, one connection for each call.

Made for readiness and for checks, not for speed. Must not know what is asked, nor a client library.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

Reply: TypeAlias = "str | int | list[Reply] | None"
"""Text of any kind is `str`; what is no UTF-8 in it is replaced."""

_AWAKE = (b"+", b"-NOAUTH", b"-NOPERM", b"-MASTERDOWN")


class Login(NamedTuple):
    """Whom to ask as. Its `repr` holds no password.

    Attributes:
        user: a user's name; `default` is logged in as servers before 6.0 know it.
        password: in clear.
    """

    user: str
    password: str

    def __repr__(self) -> str:
        return f"<Login {self.user}>"


class RefusedError(Exception):
    """The server answered with an error; the text is its own."""


async def ask(socket: Path, *commands: Sequence[str], login: Login | None = None) -> list[Reply]:
    """The replies to `commands`, in their order.

    Raises:
        RefusedError: if one of them is answered with an error; the others may have been carried out.
        OSError: if nobody listens at the socket, or the connection is lost.
        EOFError: if the server goes away before it has answered.
    """
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        sent = [_login_command(login), *commands] if login else list(commands)
        writer.write(b"".join(_packed(command) for command in sent))
        replies = [await _read(reader) for _ in sent]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    for reply in replies:
        if isinstance(reply, RefusedError):
            raise reply
    return replies[1:] if login else replies  # type: ignore[return-value]  # no error is left in them


async def answers(socket: Path) -> bool:
    """True when a server at this socket answers PING; that it wants a password, or refuses us, is an answer too."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(_AWAKE)
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _login_command(login: Login) -> Sequence[str]:
    return ("AUTH", login.password) if login.user == "default" else ("AUTH", login.user, login.password)


def _packed(command: Sequence[str]) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


async def _read(reader: asyncio.StreamReader) -> "Reply | RefusedError":
    line = await reader.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("the server went away before it had answered")
    kind, rest = line[:1], line[1:-2].decode(errors="replace")
    match kind:
        case b"+":
            return rest
        case b"-":
            return RefusedError(rest)
        case b":":
            return int(rest)
        case b"$":
            if rest == "-1":
                return None
            return (await reader.readexactly(int(rest) + 2))[:-2].decode(errors="replace")
        case b"*":
            # An error inside a list is no answer to any command of ours, and is told as its text.
            found = [await _read(reader) for _ in range(int(rest))]
            return [str(each) if isinstance(each, RefusedError) else each for each in found]
    raise EOFError(f"the server answered {line[:40]!r}, which is no RESP 2")
