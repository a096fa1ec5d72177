"""A network that swallows everything: connections stay open, and nothing comes over them any more.

Each is noticed by the replies that it owes, and given up; what was in flight is told as unknown, and all goes on.
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator

import psutil
import pytest
from topologies import cluster, sentinel

from ombdriver import MQClient, MQConsumer, MQProducer, OutcomeUnknownError
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets are made deaf by a filter of Linux")

DEADLINE_S = 0.5
SO_ATTACH_FILTER = 26


def sockets() -> dict[int, int]:
    """The connected sockets of this process: local port to file descriptor."""
    found = psutil.Process().net_connections("tcp")
    return {each.laddr.port: each.fd for each in found if each.raddr and each.status == psutil.CONN_ESTABLISHED}


def deafen(descriptor: int) -> None:
    """A socket gets no byte any more, and no acknowledgement; neither side is told."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    with socket.socket(fileno=os.dup(descriptor)) as one:
        one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(drop_all)))


@pytest.fixture(params=["one server", "a cluster", "Sentinels"])
async def url(request: pytest.FixtureRequest, engine: str) -> AsyncIterator[str]:
    """Servers of the test's own."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "a cluster":
            yield (await stack.enter_async_context(cluster(engine, 3))).url
        elif request.param == "Sentinels":
            yield (await stack.enter_async_context(sentinel(engine, 1))).url
        else:
            started = await stack.enter_async_context(await ManagedServers.start(ServerPlan(engine)))
            yield started.nodes[0].server.url


async def test_all_channels_notice_and_go_on(url: str) -> None:
    """Bulk, control and blocking alike: one message unknown, the others stored; no reader waits for ever."""
    before = sockets()
    async with (
        MQClient(redis_url=url, socket_timeout=DEADLINE_S) as client,
        MQConsumer("s", redis_url=url, socket_timeout=DEADLINE_S) as plain,
        client.producer("t", delivery_timeout_ms=60_000) as producer,
        client.consumer("t", "g", block_ms=100) as consumer,
    ):
        await producer.send_and_wait(b"before")
        first = await consumer.getone()
        reading = asyncio.ensure_future(plain.block_read_messages(block=0))
        while not any(each.in_flight for each in plain.statistics().blocking):  # noqa: ASYNC110 - until it has left
            await asyncio.sleep(0)
        for port, descriptor in sockets().items():
            if port not in before:
                deafen(descriptor)

        with pytest.raises(OutcomeUnknownError, match=f"no reply within {DEADLINE_S:g} s"):
            await producer.send_and_wait(b"unknown")
        await first.ack()
        await consumer.flush()
        assert await client.get_stream_length("{t:0}") == 2
        await producer.send_and_wait(b"after")
        await client.get_stream_length("s")
        taken = [(await consumer.getone()).value for _ in range(2)]
        async with client.producer("u") as other:
            await other.send_and_wait(b"")
        statistics = client.statistics()
        given_up = (statistics.bulk.given_up, statistics.control.given_up, statistics.blocking[0].given_up)
        await asyncio.wait([asyncio.ensure_future(_store(url)), reading])

    assert taken == [b"unknown", b"after"]
    assert min(given_up) == 1
    assert [fields for _, entries in reading.result() for _, fields in entries] == [{"f": "v"}]
    assert consumer.statistics().redelivered <= 1


async def _store(url: str) -> None:
    async with MQProducer("s", redis_url=url) as producer:
        await producer.send_message({"f": "v"})
