"""Keeping the slot map fresh: whom it asks, when it stops, and that one task does it. The servers are fakes."""

import asyncio
from typing import Any

import pytest
from fake_server import turns, until
from redis.exceptions import AuthenticationError, BusyLoadingError, MovedError

from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.transport.retry import Backoff
from ombdriver.messaging.transport.topology import Node, SlotMap, Topology

ONE, TWO, THREE = Node("a", 1), Node("b", 2), Node("c", 3)
BOTH = [[0, 99, [b"a", 1]], [100, 16383, [b"b", 2]]]
TWO_ALONE = [[0, 16383, [b"b", 2]]]


class Net:
    """Servers by their place: what each answers to CLUSTER SLOTS, or the error that it meets everybody with."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[str] = []
        self.changes: list[tuple[SlotMap | None, SlotMap]] = []

    def topology(self, *seeds: Node) -> Topology:
        """One that asks these servers, without long waits."""
        backoff = Backoff(first_s=0.001, cap_s=0.002, give_up_s=5)
        return Topology(seeds, self.connect, lambda *change: self.changes.append(change), backoff=backoff)

    async def connect(self, host: str, _port: int) -> Any:
        """A connection to one of them."""
        self.asked.append(host)
        answer = self.answers.get(host, ConnectionRefusedError("nobody there"))
        if isinstance(answer, OSError | AuthenticationError):
            raise answer
        return Connection(answer)


class Connection:
    """Answers PING and CLUSTER SLOTS, as redis-py's connection does."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.words: tuple[object, ...] = ()

    async def send_command(self, *words: object) -> None:
        """Keeps the question."""
        self.words = words

    async def read_response(self) -> Any:
        """The answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return b"PONG" if self.words == ("PING",) else self.answer

    async def disconnect(self, **_: object) -> None:
        """Nothing to do."""


async def calm(topology: Topology) -> None:
    """Waits until no refresh is under way."""
    await until(lambda: topology._task is None)


async def test_the_first_map_comes_from_the_first_seed_that_answers() -> None:
    """Whoever asks at the same time waits for the same look."""
    net = Net(b=BOTH)
    topology = net.topology(ONE, TWO, THREE)

    maps = await asyncio.gather(*(topology.discover() for _ in range(3)))

    assert maps[0].primaries == (ONE, TWO)
    assert net.asked == ["a", "b"]
    assert (topology.version, len(net.changes)) == (1, 1)
    await topology.aclose()


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({}, NotSentError),
        ({"a": []}, NotSentError),
        ({"a": [["what"]]}, Exception),
        ({"a": AuthenticationError("wrong password")}, AuthenticationError),
    ],
)
async def test_without_a_map_it_fails_fast(answers: dict[str, Any], error: type[Exception]) -> None:
    """No server, one without slots, one that talks otherwise, one that refuses; the next caller tries again."""
    net = Net(**answers)
    topology = net.topology(ONE)
    for _ in range(2):
        with pytest.raises(error):
            await topology.discover()
    net.answers["a"] = BOTH
    assert (await topology.discover()).is_complete
    await topology.aclose()


async def test_a_doubt_is_looked_into_by_one_task() -> None:
    """Others are asked before the one in doubt; when it answers again, or has no slots any more, all is well."""
    net = Net(a=BOTH, b=BOTH)
    topology = net.topology(ONE, TWO)
    await topology.discover()
    net.asked.clear()
    net.answers["a"] = ConnectionRefusedError("gone")
    for _ in range(5):
        topology.suspect(ONE)
    await until(lambda: net.asked.count("a") >= 3)
    assert net.asked[0] == "b"
    assert topology._task is not None
    net.answers["b"] = TWO_ALONE
    await calm(topology)
    assert topology.map is not None
    assert (topology.map.primaries, topology.version) == ((TWO,), 2)
    await topology.aclose()


async def test_a_server_that_is_still_loading_does_not_answer() -> None:
    """Until it does."""
    net = Net(a=BOTH, b=BOTH)
    topology = net.topology(ONE, TWO)
    await topology.discover()
    net.answers["a"] = BusyLoadingError("LOADING")
    topology.suspect(ONE)
    await until(lambda: net.asked.count("a") >= 5)
    assert topology._task is not None
    net.answers["a"] = BOTH
    await calm(topology)
    assert topology.version == 1
    await topology.aclose()


async def test_moved_changes_the_map_at_once_and_asks_who_told() -> None:
    """The same told again changes nothing."""
    net = Net(a=BOTH, b=BOTH, c=[[0, 98, [b"a", 1]], [99, 99, [b"c", 3]], [100, 16383, [b"b", 2]]])
    topology = net.topology(ONE)
    await topology.discover()
    net.asked.clear()
    topology.moved(MovedError("99 c:3"))
    assert topology.map is not None
    assert topology.map.node_of(99) == THREE
    assert topology.version == 2
    topology.moved(MovedError("99 c:3"))
    await calm(topology)
    assert (topology.version, net.asked[0], topology.map.node_of(99)) == (2, "c", THREE)
    await topology.aclose()


async def test_a_server_without_a_host_is_where_the_asked_one_is() -> None:
    """Servers behind one address tell ports alone."""
    net = Net(a=BOTH, b=BOTH)
    topology = net.topology(ONE)
    await topology.discover()
    assert topology.target(MovedError("5 :7000")) == Node("a", 7000)
    assert topology.target(MovedError("500 :7000")) == Node("b", 7000)
    await topology.aclose()


async def test_closing_ends_a_refresh() -> None:
    """And no new one starts."""
    net = Net(a=BOTH)
    topology = net.topology(ONE)
    await topology.discover()
    topology.suspect(TWO)
    await turns()
    assert "refreshing" in repr(topology)
    await topology.aclose()
    topology.suspect(TWO)
    assert topology._task is None
