"""Whatever happens in whatever order: each caller gets its own reply, or the error that is true of its command."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fake_server import Cable, FakeServer, turns, until
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from ombdriver.messaging.errors import ClosedError, NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.retry import Backoff

KINDS = ("bulk", "int", "simple", "array", "error", "large")
kinds = st.sampled_from(KINDS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("call"), kinds),
        st.tuples(st.just("block"), st.lists(kinds, min_size=1, max_size=6)),
        st.tuples(st.just("turns"), st.integers(1, 4)),
        st.tuples(st.just("answer"), st.integers(1, 120)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("pause"), st.booleans()),
    ),
    max_size=40,
)
endings = st.sampled_from(["answer all", "reset", "end of file", "garbage", "close"])


def reply_to(number: int, kind: str) -> bytes:
    """A reply that no other command gets."""
    return {
        "bulk": b"$%d\r\n%b\r\n" % (len(b"%d\r\n" % number), b"%d\r\n" % number),
        "int": b":%d\r\n" % number,
        "simple": b"+%d\r\n" % number,
        "array": b"*2\r\n:%d\r\n*1\r\n$-1\r\n" % number,
        "error": b"-ERR %d\r\n" % number,
        "large": b"$300\r\n%300d\r\n" % number,
    }[kind]


def result_of(number: int, kind: str) -> Any:
    """What the caller of a command gets for `reply_to` of it; errors as their text."""
    return {
        "bulk": b"%d\r\n" % number,
        "int": number,
        "simple": b"%d" % number,
        "array": [number, [None]],
        "error": str(number),
        "large": b"%300d" % number,
    }[kind]


@dataclass
class Script:
    """One line of commands over one connection, and what has become of each."""

    kinds: list[str] = field(default_factory=list)
    tasks: dict[int, asyncio.Task[Any]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    reported: dict[int, list[tuple[int, int, Exception | None]]] = field(default_factory=dict)
    blocks: dict[int, list[int]] = field(default_factory=dict)
    delivered: int = 0

    def command(self, kind: str) -> tuple[int, bytes]:
        """The next command, numbered, packed."""
        self.kinds.append(kind)
        return len(self.kinds) - 1, pack(("DO", len(self.kinds) - 1))

    def call(self, channel: Channel, kind: str) -> None:
        """A caller of its own for the next command."""
        number, data = self.command(kind)

        async def caller() -> Any:
            return await channel.submit(data)

        self.tasks[number] = asyncio.create_task(caller())

    def send_block(self, channel: Channel, some: list[str]) -> None:
        """A block, if there is room for it."""
        if channel.room() < len(some):
            return
        numbers, data = zip(*(self.command(kind) for kind in some), strict=True)
        token, first = len(self.blocks), 1000 * len(self.blocks)
        self.blocks[token] = list(numbers)
        self.reported[token] = []

        def sink(token: int, first: int, count: int, error: Exception | None, _time_ns: int, _last: Any) -> None:
            self.reported[token].append((first, count, error))

        channel.send_block(b"".join(data), len(some), sink, token, first)

    def cancel(self, number: int) -> None:
        """The caller of that command, if there is one that waits, gives up."""
        task = self.tasks.get(number)
        if task is not None and not task.done():
            task.cancel()
            self.cancelled.add(number)

    def is_done(self) -> bool:
        """Every caller has its answer."""
        return all(task.done() for task in self.tasks.values())

    def stream(self, commands: list[list[bytes]]) -> tuple[bytes, dict[int, int]]:
        """All replies to what the far end has got, and where in them each command's reply ends."""
        data, ends = b"", {}
        for command in commands:
            number = int(command[1])
            data += reply_to(number, self.kinds[number])
            ends[number] = len(data)
        return data, ends

    def check_call(self, number: int, *, answered: bool, sent: bool) -> None:
        """The caller got its own reply, or an error that is true."""
        task = self.tasks[number]
        if number in self.cancelled:
            assert task.cancelled()
        elif answered and self.kinds[number] != "error":
            assert task.result() == result_of(number, self.kinds[number])
        elif answered:
            assert isinstance(task.exception(), ResponseError)
            assert str(task.exception()) == result_of(number, "error")
        elif sent:
            assert type(task.exception()) is OutcomeUnknownError
        else:
            assert type(task.exception()) in (NotSentError, ClosedError)

    def check_block(self, token: int, answered: set[int], sent: set[int]) -> None:
        """Each index was reported once, in order, with no error or the true one."""
        numbers = self.blocks[token]
        errors: list[Exception | None] = []
        for first, count, error in self.reported[token]:
            assert first == 1000 * token + len(errors)
            errors += [error] * count
        assert len(errors) == len(numbers)
        for number, error in zip(numbers, errors, strict=True):
            if number not in answered:
                assert type(error) is (OutcomeUnknownError if number in sent else NotSentError)
            elif self.kinds[number] == "error":
                assert isinstance(error, ResponseError)
                assert str(error) == str(number)
            else:
                assert error is None


@settings(deadline=None, max_examples=200)
@given(steps, endings, st.integers(1, 8))
async def test_every_caller_gets_its_own_reply_or_the_true_error(
    script: list[tuple[str, Any]], ending: str, max_in_flight: int
) -> None:
    """Replies split at any byte or many at once, errors among them, cancelled callers, a loss at any point."""
    cable, this = Cable(), Script()
    channel = Channel(cable.connect, max_in_flight=max_in_flight)
    await channel.ready()

    def answer(count: int | None) -> None:
        data, _ = this.stream(cable.commands)
        piece = data[this.delivered :][:count]
        this.delivered += len(piece)
        if piece:
            cable.receive(piece)

    for what, argument in script:
        match what:
            case "call":
                this.call(channel, argument)
            case "block":
                this.send_block(channel, argument)
            case "turns":
                await turns(argument)
            case "answer":
                answer(argument)
            case "cancel":
                this.cancel(argument)
            case "pause":
                cable.protocol.pause_writing() if argument else cable.protocol.resume_writing()
    match ending:
        case "answer all":
            cable.protocol.resume_writing()
            await turns(4)
            while this.delivered < len(this.stream(cable.commands)[0]):
                answer(None)
                await turns(4)
            assert set(this.stream(cable.commands)[1]) >= set(this.tasks) - this.cancelled
            assert channel.statistics().in_flight == 0
        case "reset":
            cable.lose(ConnectionResetError("reset"))
        case "end of file":
            cable.protocol.eof_received()
            cable.close()
        case "garbage":
            data, ends = this.stream(cable.commands)
            boundary = min((end for end in ends.values() if end >= this.delivered), default=len(data))
            this.delivered, piece = boundary, data[this.delivered : boundary]
            cable.receive(piece + b"?\r\n")
    await channel.aclose()
    await asyncio.wait(this.tasks.values()) if this.tasks else None

    _, ends = this.stream(cable.commands)
    answered = {number for number, end in ends.items() if end <= this.delivered}
    for number in this.tasks:
        this.check_call(number, answered=number in answered, sent=number in ends)
    for token in this.blocks:
        this.check_block(token, answered, set(ends))
    assert channel.statistics().replies == len(answered)


@settings(deadline=None, max_examples=60)
@given(steps, st.sampled_from(["answer all", "reset", "end"]), st.integers(1, 8))
async def test_it_holds_over_a_socket_too(script: list[tuple[str, Any]], ending: str, max_in_flight: int) -> None:
    """The same over TCP, where the far end alone knows what has reached it."""
    this = Script()
    async with FakeServer() as server:
        channel = Channel(server.connect, max_in_flight=max_in_flight, backoff=Backoff(give_up_s=0))
        await channel.ready()
        peer = await server.peer()
        for what, argument in script:
            match what:
                case "call":
                    this.call(channel, argument)
                case "block":
                    this.send_block(channel, argument)
                case "turns":
                    await turns(argument)
                case "cancel":
                    this.cancel(argument)
                case "answer":
                    data, _ = this.stream(peer.commands)
                    peer.send(data[this.delivered :][:argument])
                    this.delivered = min(len(data), this.delivered + argument)
        while ending == "answer all" and (channel.statistics().in_flight or not this.is_done()):
            data, _ = this.stream(peer.commands)
            peer.send(data[this.delivered :])
            this.delivered = len(data)
            await turns(1)
        if ending != "answer all":
            server.refuse = [ConnectionRefusedError("down")] * 1000
            peer.cut() if ending == "reset" else peer.end()
            await until(lambda: not channel.statistics().connected)
        await channel.aclose()
        await asyncio.wait(this.tasks.values()) if this.tasks else None

    for number, task in this.tasks.items():
        error = None if task.cancelled() else task.exception()
        lost = isinstance(error, NotSentError | OutcomeUnknownError | ClosedError)
        this.check_call(number, answered=not lost, sent=isinstance(error, OutcomeUnknownError))
        if isinstance(error, NotSentError | ClosedError):
            assert [b"DO", b"%d" % number] not in peer.commands
        assert not (lost and ending == "answer all")
    for numbers, reports in zip(this.blocks.values(), this.reported.values(), strict=True):
        assert sum(count for _, count, _ in reports) == len(numbers)
