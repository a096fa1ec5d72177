"""What a client leaves that is dropped without being closed: nothing, whatever it was about to do."""

import asyncio
import gc
import socket
import warnings
from array import array
from collections.abc import Callable, Iterator

import pytest
import redis.asyncio

from ombdriver.messaging.transport.router import Router, open_router
from ombdriver.messaging.transport.topology import SLOTS, Node, SlotMap


@pytest.fixture
def silent() -> Iterator[Node]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Node("127.0.0.1", listening.getsockname()[1])


def of_one(node: Node) -> Router:
    """The connections of one server."""
    return open_router(redis.asyncio.Redis(host=node.host, port=node.port), owns_client=True)


def of_cluster(node: Node) -> Router:
    """Those of a cluster of one."""
    return open_router(redis.asyncio.RedisCluster(host=node.host, port=node.port), owns_client=True)


def of_sentinels(node: Node) -> Router:
    """Those of a master that one Sentinel watches."""
    sentinel = redis.asyncio.Sentinel([node])  # type: ignore[no-untyped-call]
    return open_router(sentinel.master_for("m"), owns_client=True)


def connect(router: Router) -> None:
    """A connection for sending is being made."""
    router.bulk_for(b"k").when_room(lambda: None)


def connect_reader(router: Router) -> None:
    """A connection for a reader is, which nobody holds."""
    router.blocking(b"k").when_room(lambda: None)


def look_for_servers(router: Router) -> None:
    """The servers of a cluster are looked for."""
    looking = asyncio.ensure_future(router._routes.discover())
    looking.add_done_callback(lambda done: done.cancelled() or done.exception())


def look_again(router: Router, node: Node) -> None:
    """They were known, and are looked for once more; no connection of the client's own was ever made."""
    topology = router._routes._topology  # type: ignore[union-attr]
    topology.map = SlotMap([node], array("H", [0]) * SLOTS)
    topology.suspect(node)


@pytest.mark.parametrize(
    ("kind", "begin"),
    [
        (of_one, connect),
        (of_one, connect_reader),
        (of_sentinels, connect),
        (of_cluster, connect_reader),
        (of_cluster, look_for_servers),
        (of_cluster, look_again),
    ],
)
async def test_what_a_dropped_client_has_begun_ends(
    silent: Node, kind: Callable[[Node], Router], begin: Callable[..., None]
) -> None:
    """Connecting and asking for servers go on for half a minute where nobody answers: not for nobody."""
    before = asyncio.all_tasks()
    router = kind(silent)
    begin(*(router, silent)[: begin.__code__.co_argcount])
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of connections that are open: to a Sentinel, there is one
        del router
        gc.collect()
    async with asyncio.timeout(5):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left)
