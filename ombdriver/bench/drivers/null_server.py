"""A server that does nothing: it answers XADD at once, so what is measured against it is the harness and the library.

Speaks as much of RESP 2 as the driver `redis-streams` needs. XREADGROUP is answered at once too, with the last payloads
that were kept, again and again as new entries. A program of its own: prints its port, and ends with its standard input.
"""

import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from ombdriver.messaging.transport.connection import Reader

ENTRY_ID = b"$15\r\n1700000000000-0\r\n"
NOTHING = b"*0\r\n"
INFO = b"redis_version:7.0.0\r\nredis_mode:null\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
XADD = b"\r\nXADD\r\n"
_PAYLOAD = b"\r\n$1\r\np\r\n$"
READ = 1 << 16
"""Bytes that are read at once; memory for more is had from the system anew each time."""
SPIN_S = 0.1
"""For how long after it was asked something a server that spins looks for more without a pause."""
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


class _Connection:
    """One client. A connection that has begun to send XADD sends nothing else, so from then on commands are counted by
    their name and not parsed: parsing took twice as long as the harness takes to send.
    """

    def __init__(self, server: NullServer, client: socket.socket) -> None:
        self._server, self._client = server, client
        self._reader = Reader()
        self._counting = False
        self._tail = self._unsent = b""

    def close(self) -> None:
        """Gives it up."""
        self._client.close()

    def on_event(self) -> int:
        """Reads, and answers; the events to wait for next, or 0 when the client has gone."""
        data = b""
        try:
            if not self._unsent:  # who does not read gets no more answers
                data = self._client.recv(READ)
                if not data:
                    return 0
                self._unsent = self._answer(data)
            if self._unsent:
                self._unsent = self._unsent[self._client.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return 0
        if data and self._counting:
            self._server.keep(last_payload(data))
        return selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ

    def _answer(self, data: bytes) -> bytes:
        if self._counting:
            count = (self._tail + data).count(XADD)
            self._tail = data[-len(XADD) + 1 :]
            return ENTRY_ID * count
        self._reader.feed(data)
        gets = self._reader.gets
        commands = []
        while (words := gets()) is not False:
            commands.append(words)
        self._counting = bool(commands) and commands[-1][0] == b"XADD" and not self._reader.has_data()
        return self._server.answer(commands)


def last_payload(data: bytes) -> bytes:
    """The payload of the last XADD in `data`; empty when it is not there as a whole."""
    at = data.rfind(_PAYLOAD) + len(_PAYLOAD)
    end = data.find(b"\r\n", at)
    if at < len(_PAYLOAD) or end < 0:
        return b""
    size = int(data[at:end])
    payload = data[end + 2 : end + 2 + size]
    return payload if len(payload) == size else b""


def serve(*, spins: bool) -> None:
    """Serves on a free loopback port, until standard input ends.

    On a selector alone: a turn of an event loop takes longer than a real server does to answer, and this is to be the
    floor of what one can be seen to take.

    Args:
        spins: while it is asked things it never sleeps, so that it takes a core, and answers at once: most of what a
            server takes for an answer it takes to wake up.
    """
    asked_s = 0.0
    null, waiting = NullServer(), selectors.DefaultSelector()
    with socket.create_server(("127.0.0.1", 0)) as listening, waiting:
        waiting.register(sys.stdin, selectors.EVENT_READ)
        waiting.register(listening, selectors.EVENT_READ)
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            found = waiting.select(0 if spins and time.monotonic() < asked_s + SPIN_S else None)
            if found:
                asked_s = time.monotonic()
            for key, _ in found:
                if key.fileobj is sys.stdin:
                    if not os.read(key.fd, READ):
                        return
                elif key.fileobj is listening:
                    client, _ = listening.accept()
                    client.setblocking(False)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    waiting.register(client, selectors.EVENT_READ, _Connection(null, client))
                elif (events := key.data.on_event()) != key.events:
                    if events:
                        waiting.modify(key.fileobj, events, key.data)
                    else:
                        waiting.unregister(key.fileobj)
                        key.data.close()


if __name__ == "__main__":
    serve(spins="--spin" in sys.argv[1:])
