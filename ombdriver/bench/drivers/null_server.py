"""A server that does nothing: it answers XADD at once, so what is measured against it is the harness and the library.

Speaks as much of RESP 2 as the driver `redis-streams` needs. XREADGROUP is answered at once too, with the last payloads
that were kept, again and again as new entries. A program of its own: prints its port, and ends with its standard input.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from ombdriver.messaging.transport.connection import Reader

ENTRY_ID = b"$15\r\n1700000000000-0\r\n"
NOTHING = b"*0\r\n"
INFO = b"redis_version:7.0.0\r\nredis_mode:null\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
XADD = b"\r\nXADD\r\n"
_PAYLOAD = b"\r\n$1\r\np\r\n$"
KEPT = 500
"""Entries of one reply to XREADGROUP, at most."""

Words = Sequence[bytes]


class NullServer:
    """Answers commands; of all that comes in one piece, it keeps the last payload."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self._entry_ids = count(1_700_000_000_000)
        self._answers: dict[bytes, Callable[[Words], bytes]] = {
            b"EXISTS": lambda _: b":0\r\n",
            b"HSET": lambda _: b":0\r\n",
            b"UNLINK": lambda _: b":0\r\n",
            b"XLEN": lambda _: b":0\r\n",
            b"CONFIG": lambda _: NOTHING,
            b"XINFO": lambda _: NOTHING,
            b"XRANGE": lambda _: NOTHING,
            b"XACK": lambda words: b":%d\r\n" % (len(words) - 3),
            b"INFO": lambda _: b"$%d\r\n%b\r\n" % (len(INFO), INFO),
            b"XREADGROUP": lambda words: self._entries(words[words.index(b"STREAMS") + 1]),
        }

    def answer(self, commands: Sequence[Words]) -> bytes:
        """The replies to `commands`, in order; anything unknown is answered with OK."""
        out, last = [], None
        for words in commands:
            if words[0] == b"XADD":
                last = words
                out.append(ENTRY_ID)
            else:
                known = self._answers.get(words[0])
                out.append(b"+OK\r\n" if known is None else known(words))
        if last is not None:
            self.keep(last[-1])
        return b"".join(out)

    def keep(self, payload: bytes) -> None:
        """Readers will be given `payload`, among others."""
        if payload:
            self._kept.append(payload)

    def _entries(self, key: bytes) -> bytes:
        if not self._kept:
            return b"*-1\r\n"
        entries = [
            b"*2\r\n$15\r\n%d-0\r\n*2\r\n$1\r\np\r\n$%d\r\n%b\r\n" % (entry_id, len(each), each)
            for each, entry_id in zip(self._kept, self._entry_ids, strict=False)
        ]
        return b"*1\r\n*2\r\n$%d\r\n%b\r\n*%d\r\n" % (len(key), key, len(entries)) + b"".join(entries)


class _NullConnection(asyncio.Protocol):
    """One client. A connection that has begun to send XADD sends nothing else, so from then on commands are counted by
    their name and not parsed: parsing took twice as long as the harness takes to send.
    """

    def __init__(self, server: NullServer) -> None:
        self._server = server
        self._reader = Reader()
        self._counting = False
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._counting:
            count = (self._tail + data).count(XADD)
            self._tail = data[-len(XADD) + 1 :]
            self._transport.write(ENTRY_ID * count)
            self._server.keep(last_payload(data))
            return
        self._reader.feed(data)
        gets = self._reader.gets
        commands = []
        while (words := gets()) is not False:
            commands.append(words)
        self._transport.write(self._server.answer(commands))
        self._counting = bool(commands) and commands[-1][0] == b"XADD" and not self._reader.has_data()


def last_payload(data: bytes) -> bytes:
    """The payload of the last XADD in `data`; empty when it is not there as a whole."""
    at = data.rfind(_PAYLOAD) + len(_PAYLOAD)
    end = data.find(b"\r\n", at)
    if at < len(_PAYLOAD) or end < 0:
        return b""
    size = int(data[at:end])
    payload = data[end + 2 : end + 2 + size]
    return payload if len(payload) == size else b""


async def serve() -> None:
    """Serves on a free loopback port, until standard input ends."""
    loop = asyncio.get_running_loop()
    null = NullServer()
    server = await loop.create_server(lambda: _NullConnection(null), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
