"""A message counts only when what waits behind it, on its own connection, was answered well (WAIT, WAITAOF)."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.drivers.redis_streams.producer import TrimBound, WaitingProducer, waits_for
from ombdriver.errors import UnderReplicated
from ombdriver.messaging.errors import WouldBlock, lost
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.router import Router

ENOUGH: dict[str, object] = {"WAIT": 1, "WAITAOF": [1, 1]}
SHORT: dict[str, object] = {"WAIT": 0, "WAITAOF": [0, 1]}
ROOM = 50


class Sent(NamedTuple):
    """A block that was sent: of messages, or one command that waits."""

    wait: str | None
    messages: int
    sink: Any
    token: int
    first: int


class Link:
    """A channel that answers when it is told to, and whose connections can be lost or given up."""

    def __init__(self) -> None:
        self.generation = 1
        self.is_connected = True
        self.open: dict[int, deque[Sent]] = {1: deque()}
        self.waits: list[str] = []
        self.unsafe: dict[int, set[int]] = {1: set()}
        self.safe: set[int] = set()
        self._needed: dict[int, set[int]] = {}

    def room(self) -> int:
        """As a channel has it."""
        return ROOM - sum(each.messages for each in self.open[self.generation]) if self.is_connected else 0

    def send_block(self, data: bytes, count: int, sink: Any, token: int, first: int, *, block_s: float = 0.0) -> None:
        """Keeps whom to tell."""
        if not self.is_connected:
            raise WouldBlock("no connection")
        word = data.split(b"\r\n")[2].decode()
        wait = word if word in ENOUGH else None
        if wait:
            self.waits.append(wait)
        self.open[self.generation].append(Sent(wait, count, sink, token, first))

    def when_room(self, callback: Any) -> None:
        """Nobody asks."""

    def answer(self, kinds: int, *, enough: bool) -> None:
        """The oldest connection answers what it was asked first; with `enough` messages before it are safe."""
        generation = next((each for each, sent in self.open.items() if sent), None)
        if generation is None:
            return
        sent = self.open[generation].popleft()
        stored = self.unsafe[generation]
        if sent.wait is None:
            stored |= {*range(sent.first, sent.first + sent.messages)}
            sent.sink(sent.token, sent.first, sent.messages, None, 1, b"1-0")
            return
        if enough:  # it covers what is stored by then; a message is safe when all that wait are content
            seen = self._needed.setdefault(sent.token, set())
            seen |= stored
            if kinds == 1 or (sent.token == kinds - 1 and stored <= self._needed.get(0, set())):
                self.safe |= stored
        sent.sink(sent.token, 0, 1, None, 1, (ENOUGH if enough else SHORT)[sent.wait])

    def lose(self) -> None:
        """The connection ends; all that it owes fails."""
        if self.is_connected:
            self.is_connected = False
            owed, self.open[self.generation] = self.open[self.generation], deque()
            for sent in owed:
                sent.sink(sent.token, sent.first, sent.messages, lost(was_sent=True, cause=None), 1, None)

    def connect(self, *, draining: bool) -> None:
        """A new connection; the one before may still owe replies with `draining`."""
        if draining or not self.is_connected:
            self.generation += 1
            self.is_connected = True
            self.open[self.generation] = deque()
            self.unsafe[self.generation] = set()


class OneLink:
    """Connections to one server."""

    may_move = True
    version = 0

    def __init__(self, link: Link) -> None:
        self._link = link

    def bulk_for(self, _key: bytes) -> Link:
        """The only one."""
        return self._link

    def learn(self, _error: BaseException) -> bool:
        """Learns nothing."""
        return False


async def turn() -> None:
    """Lets what is due in this turn of the loop, and what follows of it, be done."""
    for _ in range(3):
        await asyncio.sleep(0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["turn", "enough", "enough", "short", "lose", "connect", "replace"]), st.just(0)),
    ),
    max_size=40,
)


@given(replicas=st.integers(0, 1), aof=st.sampled_from(["none", "primary", "all"]), steps=STEPS)
def test_what_is_acknowledged_is_where_it_was_asked_to_be(
    replicas: int, aof: str, steps: Sequence[tuple[str, int]]
) -> None:
    """Whatever is lost or answered in between: each message is told once, and as acknowledged only if it is safe."""
    waits = waits_for(1 if aof == "all" else replicas, aof, 100)
    if waits:
        asyncio.run(_course(waits, steps))


async def _course(waits: Sequence[Any], steps: Sequence[tuple[str, int]]) -> None:
    link, told, sent = Link(), Counter[int](), 0

    def on_replies(_: int, first: int, count: int, error: Exception | None, *__: object) -> None:
        for index in range(first, first + count):
            told[index] += 1
            assert error is not None or index in link.safe
        assert producer.room() <= ROOM

    router = cast(Router, OneLink(link))
    producer = WaitingProducer(router, Topic("t"), TrimBound(), on_replies, waits, Counter())
    for step, count in steps:
        match step:
            case "send" if producer.room() >= count:
                producer.send(0, [b"x"] * count, None)
                sent += count
            case "turn":
                await turn()
            case "enough" | "short":
                link.answer(len(waits), enough=step == "enough")
            case "lose":
                link.lose()
            case "connect" | "replace":
                link.connect(draining=step == "replace")
    for _ in range(200):
        await turn()
        link.answer(len(waits), enough=True)
    assert told == Counter(range(sent))
    assert not link.is_connected or producer.room() == ROOM


async def test_one_waitaof_is_under_way_and_the_next_is_for_all_that_came_meanwhile() -> None:
    """An fsync takes long: messages of many turns share one."""
    link = Link()
    waits = waits_for(0, "primary", 100)
    acknowledged: list[int] = []
    producer = WaitingProducer(
        cast(Router, OneLink(link)), Topic("t"), TrimBound(), lambda _, first, count, *__: acknowledged.append(count),
        waits, Counter(),
    )  # fmt: skip
    for _ in range(10):
        producer.send(0, [b"x"], None)
        await turn()
    assert link.waits == ["WAITAOF"]

    for _ in range(2 + 9):
        link.answer(1, enough=True)
        await turn()
    assert (len(acknowledged), link.waits) == (1, ["WAITAOF"] * 2)
    assert producer.room() == ROOM - 9 - 1

    link.answer(1, enough=True)
    assert sum(acknowledged) == 10


@pytest.mark.parametrize(
    ("replicas", "aof", "replies", "missing"),
    [
        (2, "none", [1], "1 of 2 replicas had the message in time"),
        (0, "primary", [[0, 0]], "no disk of the primary had the message in time"),
        (2, "all", [[1, 1]], "the disks of 1 of 2 replicas had the message in time"),
        (1, "primary", [1, [0, 0]], "no disk of the primary had the message in time"),
        (1, "primary", [0, [1, 0]], "0 of 1 replicas had the message in time"),
        (1, "primary", [1, [1, 0]], None),
        (1, "all", [[1, 1]], None),
    ],
)
async def test_what_is_missing_is_told(replicas: int, aof: str, replies: list[Any], missing: str | None) -> None:
    """Replicas by WAIT, disks by WAITAOF, both where both are asked for."""
    link = Link()
    errors: list[Exception | None] = []
    counts: Counter[str] = Counter()
    producer = WaitingProducer(
        cast(Router, OneLink(link)), Topic("t"), TrimBound(), lambda _p, _f, _c, error, *__: errors.append(error),
        waits_for(replicas, aof, 100), counts,
    )  # fmt: skip
    producer.send(0, [b"x"], None)
    await turn()
    link.answer(1, enough=True)
    for reply in replies:
        sent = link.open[1].popleft()
        sent.sink(sent.token, 0, 1, None, 1, reply)

    (error,) = errors
    assert (str(error) if error else None) == missing
    assert isinstance(error, UnderReplicated) is bool(missing)
    assert counts["underReplicated"] == (1 if missing else 0)


def test_a_channel_tells_which_connection_it_is_on() -> None:
    """None yet."""

    async def none() -> None:
        raise AssertionError

    assert Channel(cast(Any, none)).generation == 0
