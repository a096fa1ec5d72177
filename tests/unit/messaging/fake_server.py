"""Two stand-ins for the far end of a channel: `FakeServer` on a loopback socket, `Cable` without any socket.

Both are scripts in the hand of a test: nothing is answered unless the test says so. The server shows what a real
transport does; the cable decides to the byte what arrives together, and knows what was written.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ombdriver.messaging.transport.channel import Channel


async def turns(count: int = 3) -> None:
    """Lets the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(question: Callable[[], object]) -> None:
    """Lets the loop go round until the answer is true; the test's time-out is the limit."""
    while not question():
        await turns(1)


def call(channel: Channel, *words: Any, **options: Any) -> asyncio.Future[Any]:
    """A command whose future nobody need look at."""
    future = asyncio.ensure_future(channel.execute(*words, **options))
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


class Peer(asyncio.Protocol):
    """One accepted connection, as the server sees it.

    Attributes:
        commands: what has arrived, parsed.
        is_gone: the other side has closed, or this one has.
    """

    def __init__(self, server: "FakeServer") -> None:
        self._server = server
        self._reader = hiredis.Reader()
        self.commands: list[list[bytes]] = []
        self.is_gone = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Joins the server's list."""
        self.transport = transport
        self._server.peers.append(self)
        if self._server.greeting:
            self.send(self._server.greeting)

    def data_received(self, data: bytes) -> None:
        """Keeps each command, and answers it if the server does."""
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self.commands.append(command)
            if self._server.answers:
                self.send(b"$%d\r\n%b\r\n" % (len(command[-1]), command[-1]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes the end."""
        self.is_gone = True

    def send(self, data: bytes) -> None:
        """Sends `data` at once, as one piece."""
        self.transport.write(data)

    def end(self) -> None:
        """Closes: what was sent still arrives."""
        self.transport.close()

    def cut(self) -> None:
        """Resets the connection."""
        self.transport.abort()


class FakeServer:
    """Listens on a free port of loopback.

    Attributes:
        answers: reply to each command with its last word.
        greeting: sent to each connection that comes in.
        refuse: each `connect` fails with the first of these, as long as there are any.
        attempts: how often `connect` was called.
    """

    def __init__(self, *, answers: bool = False) -> None:
        self.answers = answers
        self.greeting = b""
        self.refuse: list[Exception] = []
        self.attempts = 0
        self.peers: list[Peer] = []
        self._server: Any = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for peer in self.peers:
            peer.cut()
        await until(lambda: all(peer.is_gone for peer in self.peers))

    async def connect(self) -> AbstractConnection:
        """A redis-py connection to this server, whose handshake says nothing."""
        self.attempts += 1
        if self.refuse:
            raise self.refuse.pop(0)
        port = self._server.sockets[0].getsockname()[1]
        connection = Connection(
            host="127.0.0.1",
            port=port,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            driver_info=None,
        )
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def peer(self, number: int = 0) -> Peer:
        """The connection that came in as number `number`, from 0."""
        await until(lambda: len(self.peers) > number)
        return self.peers[number]


class Cable(asyncio.Transport):
    """A transport in memory, and the connection that brings it.

    Attributes:
        writes: each write, as it was made.
        protocol: who has taken the transport over.
        is_reading_now: reading is not paused.
        unsent: bytes that were written and have not left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unsent = 0
        self.writes: list[bytes] = []
        self.protocol: Any = None
        self.is_reading_now = True
        self._ending = False

    async def connect(self) -> Any:
        """Gives this cable, once, in the shape in which redis-py's connection holds its transport."""
        if self.protocol is not None:
            raise ConnectionRefusedError("this cable is used up")
        reader = SimpleNamespace(_buffer=b"", at_eof=lambda: False)
        writer = SimpleNamespace(transport=self, is_closing=lambda: False)
        return SimpleNamespace(_reader=reader, _writer=writer, _parser=None)

    @property
    def commands(self) -> list[list[bytes]]:
        """All that was written, parsed."""
        reader = hiredis.Reader()
        reader.feed(b"".join(self.writes))
        found = []
        while (command := reader.gets()) is not False:
            found.append(command)
        return found

    @property
    def words(self) -> list[bytes]:
        """The first word of each command."""
        return [command[0] for command in self.commands]

    def receive(self, data: bytes) -> None:
        """The protocol gets `data`, as one piece."""
        if not self._ending:
            self.protocol.data_received(data)

    def lose(self, error: Exception | None = None) -> None:
        """The connection is lost, which the protocol hears in a later turn."""
        if not self._ending:
            self._ending = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The take-over."""
        self.protocol = protocol

    def write(self, data: Any) -> None:
        """Keeps `data`."""
        assert not self._ending, "written after the end"
        self.writes.append(bytes(data))

    def close(self) -> None:
        """Nothing waits for the write, so this is `lose`."""
        self.lose()

    def abort(self) -> None:
        """As `close`."""
        self.lose()

    def is_closing(self) -> bool:
        """Whether the end has come, or is about to."""
        return self._ending

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer: a test pauses the protocol itself."""

    def get_write_buffer_size(self) -> int:
        """What a test says."""
        return self.unsent

    def pause_reading(self) -> None:
        """Only noted: what a test sends, it means."""
        self.is_reading_now = False

    def resume_reading(self) -> None:
        """See `pause_reading`."""
        self.is_reading_now = True
