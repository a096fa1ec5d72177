"""The links of a run: proxies for TCP in a process of their own, which delay, cut and lose what goes through them.

Run as a script by `python -I -S`: it knows the standard library only, and shares its loop with nobody who measures.
When standard input ends (the harness closed it, or died, also by `kill -9`) it ends, and every connection with it.

Standard input: orders, each a line of JSON. Standard output: a line of JSON for each.

    {"open": PORT}                 a link to 127.0.0.1:PORT is opened; {"port": N} is where it listens
    {"link": N, "shape": {...}}    what goes through it from now on is shaped so, by {} not at all; {"connections": HOW
                                   MANY} there were

Beside `open`, `host` is where PORT is in place of 127.0.0.1, `at` the port to listen on, and `callers` are addresses
whose connections are shaped by themselves: beside `link`, `caller` is one of these. The rest goes on as it is.

A shape has one of the modes below, or any of `latencyNs`, `jitterNs` (each way, uniform around the latency, the order
is kept) and `bandwidth` (bytes a second, each way).

    down        connections end, and nobody listens; of a caller, each new one ends at once
    reset       connections end by a reset, and so does each new one
    halfOpen    the server's end of each connection is closed, and the client is not told; new ones are as ever
    swallow     nothing gets through; connections that something was lost of end by a reset when the shape ends

An order that can't be carried out is answered by {"error": WHY}.
"""

import asyncio
import contextlib
import json
import os
import random
import resource
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

HOST = "127.0.0.1"
HIGH_WATER = 1 << 20
"""Bytes that one direction of a connection holds, before no more is taken."""
BACKLOG = 128
LINGER_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that is closed by a reset."""


class End(asyncio.Protocol):
    """One side of a connection: what comes is carried to the other one.

    Attributes:
        transport: None until it is connected.
        lost: whether something that came here was swallowed.
    """

    def __init__(self, link: "Traffic") -> None:
        self.link = link
        self.peer: End | None = None
        self.transport: asyncio.Transport | None = None
        self.is_deaf = False
        self.lost = False
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._reading = True
        self._peer_is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    # -- what comes ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Carries it, as the link is shaped now."""
        shape = self.link.shape
        if self.is_deaf or shape.get("mode") == "swallow":
            self.lost = True
        elif self._waiting or (shape and "mode" not in shape):
            self._put_off(data, shape)
        else:
            self._carry(data)

    def _put_off(self, data: bytes, shape: dict[str, Any]) -> None:
        now = self.link.loop.time()
        jitter = shape.get("jitterNs", 0) / 1e9
        at = now + max(0.0, shape.get("latencyNs", 0) / 1e9 + (random.uniform(-jitter, jitter) if jitter else 0.0))
        if bandwidth := shape.get("bandwidth"):
            self._free_at = max(self._free_at, now) + len(data) / bandwidth
            at = max(at, self._free_at)
        if self._waiting:
            at = max(at, self._waiting[-1][0])
        self._waiting.append((at, data))
        self._held += len(data)
        self._read_as_there_is_room()
        self._wake_later()

    def _wake_later(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self.link.loop.call_at(self._waiting[0][0], self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self.link.loop.time()
        while self._waiting and self._waiting[0][0] <= now + 0.0005:
            data = self._waiting.popleft()[1]
            self._held -= len(data)
            self._carry(data)
        self._read_as_there_is_room()
        if self._waiting:
            self._wake_later()
        elif self._is_over:
            self._end_peer()

    def _carry(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.write(data)

    # -- no more than there is room for ----------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The other side is not to read on."""
        if self.peer is not None:
            self.peer._peer_is_full = True
            self.peer._read_as_there_is_room()

    def resume_writing(self) -> None:
        """The other side may."""
        if self.peer is not None:
            self.peer._peer_is_full = False
            self.peer._read_as_there_is_room()

    def _read_as_there_is_room(self) -> None:
        wanted = not self._peer_is_full and self._held < HIGH_WATER
        if self.transport is None or self.transport.is_closing() or wanted is self._reading:
            return
        self._reading = wanted
        (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    # -- the end ---------------------------------------------------------------------------------------------------

    def connection_lost(self, _error: BaseException | None) -> None:
        """The other side ends, too, once it has what is on its way; one that is not to know does not."""
        self._is_over = True
        self.link.ends.discard(self)
        if not self._waiting:
            self._end_peer()

    def _end_peer(self) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.is_deaf:
            self.peer.transport.close()

    def end(self, *, by_reset: bool) -> None:
        """Ends this side at once."""
        self._waiting.clear()
        if self.transport is None:
            return
        if by_reset:
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            self.transport.abort()
        else:
            self.transport.close()


class Traffic:
    """What goes through a link from one caller, or from all that have none of their own.

    Args:
        target: host and port that it leads to.
        loop: the loop of the process.

    Attributes:
        shape: of what goes through it: empty, or with a `mode`, or with what slows it down.
        ends: both sides of every connection.
    """

    def __init__(self, target: tuple[str, int], loop: asyncio.AbstractEventLoop) -> None:
        self.target, self.loop = target, loop
        self.shape: dict[str, Any] = {}
        self.ends: set[End] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, near: End) -> None:
        """Joins a connection that came with a new one to the target."""
        task = self.loop.create_task(self._connect(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, near: End) -> None:
        far = End(self)
        near.peer, far.peer = far, near
        try:
            await self.loop.create_connection(lambda: far, *self.target)
        except OSError:  # nobody is there, as the client is to see
            near.end(by_reset=True)
            return
        if near.transport is None or near.transport.is_closing():
            far.end(by_reset=False)
            return
        self.ends.add(far)
        near.transport.resume_reading()

    async def set_shape(self, shape: dict[str, Any]) -> int:
        """Shapes what goes through from now on; returns how many connections there were."""
        before, self.shape = self.shape, shape
        ends, count = [*self.ends], sum(isinstance(each, _Near) for each in self.ends)
        if before.get("mode") == "swallow":
            for end in ends:
                if end.lost and not end.is_deaf:
                    for each in (end, end.peer):
                        if each is not None:
                            each.end(by_reset=True)
        mode = shape.get("mode")
        if mode in ("down", "reset"):
            for end in ends:
                end.end(by_reset=mode == "reset")
        if mode == "halfOpen":
            for end in ends:
                if isinstance(end, _Near):
                    end.is_deaf = True
                else:
                    end.end(by_reset=False)
        return count


class Link(Traffic):
    """A port that leads to another one.

    Args:
        target: as of `Traffic`.
        loop: the loop of the process.
        at: the port to listen on; 0 for any.
        callers: addresses that are shaped by themselves.

    Attributes:
        port: where it listens.
        by_caller: what goes through it from each of these callers.
    """

    def __init__(
        self, target: tuple[str, int], loop: asyncio.AbstractEventLoop, at: int = 0, callers: Iterable[str] = ()
    ) -> None:
        super().__init__(target, loop)
        self.by_caller = {each: Traffic(target, loop) for each in callers}
        self._server: asyncio.Server | None = None
        # Bound, and never listening: nobody else gets the port while nobody listens.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((HOST, at))
        self.port: int = self._holder.getsockname()[1]

    async def listen(self) -> None:
        """Takes connections from now on."""
        if self._server is None:
            self._server = await self.loop.create_server(lambda: _Near(self), HOST, self.port, backlog=BACKLOG)

    async def set_shape(self, shape: dict[str, Any]) -> int:
        """See `Traffic.set_shape`; while it is down nobody listens."""
        count = await super().set_shape(shape)
        if shape.get("mode") != "down":
            await self.listen()
        elif self._server is not None:
            self._server.close()
            self._server = None
        return count


class _Near(End):
    """The side of whoever has connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing is read before the other side is connected."""
        super().connection_made(transport)
        assert self.transport is not None
        if isinstance(self.link, Link):
            self.link = self.link.by_caller.get(transport.get_extra_info("peername")[0], self.link)
        self.link.ends.add(self)
        if (mode := self.link.shape.get("mode")) in ("down", "reset"):  # one may be accepted before that is ordered
            self.end(by_reset=mode == "reset")
            return
        self.transport.pause_reading()
        self.link.connect(self)


async def obey(order: dict[str, Any], links: dict[int, Link]) -> dict[str, Any]:
    """Carries out one order; returns the answer."""
    try:
        if "open" in order:
            target = (order.get("host", HOST), order["open"])
            link = Link(target, asyncio.get_running_loop(), order.get("at", 0), order.get("callers", ()))
            await link.listen()
            links[link.port] = link
            return {"port": link.port}
        link = links[order["link"]]
        shaped: Traffic = link.by_caller[order["caller"]] if "caller" in order else link
        return {"connections": await shaped.set_shape(order["shape"])}
    except (OSError, KeyError) as error:
        return {"error": str(error) or repr(error)}


def allow_files() -> None:
    """As many connections as this process may have: each takes two, and the usual limit is a thousand."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a system may have a lower one of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main() -> None:
    """Obeys until standard input ends."""
    allow_files()
    links: dict[int, Link] = {}
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        answer = await obey(json.loads(line), links)
        os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(main())
