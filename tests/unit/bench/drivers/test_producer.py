"""Replies are told in the order in which messages were sent, wherever a partition lies meanwhile."""

import asyncio
from collections import Counter
from typing import Any, cast

from ombdriver.bench.drivers.redis_streams.producer import (
    MOST_HEADS,
    StreamProducer,
    TrimBound,
    WaitingProducer,
    waits_for,
)
from ombdriver.messaging.errors import NotSentError, OutcomeUnknownError
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.transport.router import Router


class Server:
    """A channel whose replies come when the test says so."""

    generation = 1

    def __init__(self) -> None:
        self.sink: Any = None

    def room(self) -> int:
        """There is always some."""
        return 10

    def send_block(
        self, _data: bytes, _count: int, sink: Any, _token: int, _first: int, *, block_s: float = 0.0
    ) -> None:
        """Keeps whom to tell."""
        self.sink = sink


class Moving:
    """Connections to a cluster of which one server has everything."""

    may_move = True

    def __init__(self) -> None:
        self.version = 0
        self.server = Server()

    def bulk_for(self, _key: bytes) -> Server:
        """The server of the moment."""
        return self.server

    def learn(self, _error: BaseException) -> bool:
        """Learns nothing."""
        return False

    def move(self) -> Server:
        """From here on another server has it; gives that one."""
        self.version += 1
        self.server = Server()
        return self.server


class Leaving(Server):
    """A channel whose server leaves after it was given messages, and before WAIT."""

    def send_block(
        self, data: bytes, _count: int, sink: Any, _token: int, _first: int, *, block_s: float = 0.0
    ) -> None:
        """Takes messages alone."""
        if b"WAIT" in data:
            raise NotSentError("the server has left")
        self.sink = sink


async def test_messages_without_a_wait_have_an_unknown_outcome() -> None:
    """They may be stored, and nobody can say by how many: they must be told, and not as acknowledged."""
    told: list[tuple[Any, ...]] = []
    router = Moving()
    leaving = router.server = Leaving()
    waits = waits_for(1, "none", 100)
    producer = WaitingProducer(
        cast(Router, router), Topic("t"), TrimBound(), lambda *reply: told.append(reply), waits, Counter()
    )
    producer.send(0, [b"a"] * 2, None)
    await asyncio.sleep(0)

    leaving.sink(0, 0, 2, None, 10, b"2-0")

    ((partition, first, count, error, time_ns, last),) = told
    assert (partition, first, count, time_ns, last) == (0, 0, 2, 10, None)
    assert isinstance(error, OutcomeUnknownError)


def test_a_new_server_does_not_answer_for_what_an_old_one_owes() -> None:
    """It answers at once, and the old one later: each reply is that of its own messages, with its own time."""
    told: list[tuple[Any, ...]] = []
    router = Moving()
    producer = StreamProducer(cast(Router, router), Topic("t"), TrimBound(), lambda *reply: told.append(reply))
    lost, old = OutcomeUnknownError("it hung"), router.server
    producer.send(0, [b"a"] * 3, None)
    new = router.move()
    assert producer.room() == 10
    producer.send(0, [b"b"] * 2, None)
    producer.send(0, [b"c"], None)

    old.sink(0, 0, 1, None, 10, b"1-0")
    new.sink(0, 3, 2, None, 20, b"4-0")
    new.sink(0, 5, 1, None, 21, b"5-0")
    assert told == [(0, 0, 1, None, 10, b"1-0")]
    old.sink(0, 1, 2, lost, 30, None)

    assert told[1:] == [(0, 1, 2, lost, 30, None), (0, 3, 2, None, 20, b"4-0"), (0, 5, 1, None, 21, b"5-0")]


def test_sizes_that_vary_do_not_fill_the_memory() -> None:
    """The beginning of a command is kept for sizes that come again, and there may be as many sizes as messages."""
    producer = StreamProducer(cast(Router, Moving()), Topic("t"), TrimBound(), lambda *_: None)

    for size in range(5_000):
        producer.send(0, [b"a" * size], None)

    assert len(producer._heads) <= MOST_HEADS + 1
