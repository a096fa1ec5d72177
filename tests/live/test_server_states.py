"""Whole runs on servers that are in a state of their own for a while: they load, their cluster is down, or they are
replicas without a primary. At the start a run waits; in the midst it tells what was refused, and every account adds up.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio
from managed import eventually
from rig import Rig, running
from seam import RUN_ID, THREE

from ombdriver.bench.drivers.redis_streams.driver import open_driver
from ombdriver.bench.results.result import Result
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.errors import ServerError

TO_LOAD = 10_000
SLOW_TO_LOAD = {"appendonly": "yes", "appendfsync": "always", "key-load-delay": "100"}
"""So many microseconds for each entry; between a thousand of them the server tells that it is loading."""


@pytest.fixture
async def slow_to_load(request: pytest.FixtureRequest) -> AsyncIterator[PrivateServer]:
    """A server that needs more than a second to load what it has, or longer where the test says so many entries."""
    async with await PrivateServer.start("valkey", SLOW_TO_LOAD) as server:
        async with redis.asyncio.Redis.from_url(f"{server.url}/9") as other, other.pipeline(transaction=False) as many:
            for number in range(getattr(request, "param", TO_LOAD)):
                many.set(str(number), "x")
            await many.execute()
        yield server


async def until_loading(server: PrivateServer) -> None:
    """Returns as soon as a server that is started tells that it loads."""

    async def loads() -> bool:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            try:
                await client.get("never")
            except redis.BusyLoadingError:
                return True
            except redis.ConnectionError:
                pass
            return False

    await eventually(loads)


def caveats(result: Result) -> dict[str, str]:
    """Each caveat by its kind."""
    return {each.kind: each.message for each in result.caveats}


WORKLOAD_DUE = 2000
SHORT = {"producerRate": 500, "testDuration": "4s"}


def check_account(result: Result) -> None:
    """All that was due has an outcome."""
    totals = result.totals
    outcomes = ("published", "publishErrors", "unsent", "unanswered")
    assert sum(totals[name] for name in outcomes) == WORKLOAD_DUE, totals


async def topics_made(url: str) -> None:
    """The first steps of a run."""
    driver = await open_driver({"url": url, "run_id": RUN_ID})
    try:
        await driver.create_topics([THREE], ["g"])
    finally:
        await driver.aclose()


@pytest.mark.timeout(180)
async def test_a_run_waits_for_a_server_that_loads(slow_to_load: PrivateServer, tmp_path: Path) -> None:
    """It begins when the server has loaded, and that is told."""
    await slow_to_load.crash()
    starting = asyncio.create_task(slow_to_load.start_again())
    await until_loading(slow_to_load)

    async with running(tmp_path, slow_to_load.url, **SHORT) as rig:
        result = await rig.result()
        (delivery,) = await rig.deliveries()
    await starting

    assert "refused" in caveats(result)
    assert (delivery.received, delivery.lost, delivery.undelivered) == (WORKLOAD_DUE, 0, 0)


@pytest.mark.timeout(180)
async def test_a_server_that_loads_in_the_window_costs_its_time_and_no_acknowledged_message(
    slow_to_load: PrivateServer, tmp_path: Path
) -> None:
    """It crashes and is started again: what was written to its disk is delivered."""
    async with running(tmp_path, slow_to_load.url, drainTimeout="30s", **SHORT) as rig:
        await rig.measuring(300)
        await slow_to_load.crash()
        await slow_to_load.start_again()
        result = await rig.result()
        (delivery,) = await rig.deliveries()

    assert (delivery.lost, delivery.trimmed, delivery.undelivered) == (0, 0, 0)
    check_account(result)
    assert result.totals["publishErrors"] + result.totals["unsent"] > 0
    async with redis.asyncio.Redis.from_url(slow_to_load.url) as client:
        assert await client.keys() == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("slow_to_load", [6 * TO_LOAD], indirect=True)
async def test_a_server_that_loads_for_too_long_is_told(
    slow_to_load: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own words, with the way out; not as if it were down."""
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REFUSED_S", 0.3)
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REPLY_TIMEOUT_S", 2.0)
    await slow_to_load.crash()
    starting = asyncio.create_task(slow_to_load.start_again())
    await until_loading(slow_to_load)

    with pytest.raises(ServerError, match="loading the dataset in memory; wait until the server has loaded its data"):
        await topics_made(slow_to_load.url)
    await starting


# -- a replica that may tell nothing old -------------------------------------------------------------------------------


@pytest.fixture
async def plain_server() -> AsyncIterator[PrivateServer]:
    """A server of the test's own."""
    async with await PrivateServer.start("valkey", {"replica-serve-stale-data": "no"}) as server:
        yield server


async def replicate(server: PrivateServer, *of: str) -> None:
    """Makes the server a replica of what can't be reached, or a primary again."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.execute_command("REPLICAOF", *of)


@pytest.mark.timeout(120)
async def test_a_replica_without_its_primary_is_told(
    plain_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes are refused for what it is, before its primary matters: in its own words, with the way out."""
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REFUSED_S", 0.5)
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REPLY_TIMEOUT_S", 0.2)
    await replicate(plain_server, "127.0.0.1", "1")

    with pytest.raises(ServerError, match=r"READONLY .*; give the address of its primary: correct the URL"):
        await topics_made(plain_server.url)


@pytest.mark.timeout(180)
async def test_a_server_that_is_a_replica_for_a_while_refuses_and_is_told_so(
    plain_server: PrivateServer, tmp_path: Path
) -> None:
    """What was refused in the window is counted, and nothing acknowledged is missing."""
    async with running(tmp_path, plain_server.url, drainTimeout="30s", **SHORT) as rig:
        await rig.measuring(300)
        await replicate(plain_server, "127.0.0.1", "1")
        await asyncio.sleep(1)
        await replicate(plain_server, "NO", "ONE")
        result = await rig.result()
        (delivery,) = await rig.deliveries()

    assert "publishErrors" in caveats(result)
    assert (delivery.lost, delivery.trimmed, delivery.undelivered) == (0, 0, 0)
    check_account(result)


# -- a cluster that is down --------------------------------------------------------------------------------------------


@pytest.fixture
async def cluster() -> AsyncIterator[ManagedServers]:
    """Three primaries that serve nothing unless every slot is served."""
    async with await ManagedServers.start(ServerPlan(topology="cluster")) as servers:
        yield servers


def first_node(servers: ManagedServers) -> str:
    """The URL of one server of the cluster."""
    return f"redis://127.0.0.1:{servers.data_nodes[0].port}"


async def down(servers: ManagedServers) -> None:
    """No server knows who has slot 0."""
    for node in servers.data_nodes:
        await node.ask(["CLUSTER", "DELSLOTS", "0"])


async def up(servers: ManagedServers) -> None:
    """It is the first one's again, as all know."""
    (owner,) = await servers.data_nodes[0].ask(["CLUSTER", "MYID"])
    for node in servers.data_nodes:
        await node.ask(["CLUSTER", "SETSLOT", "0", "NODE", str(owner)])

    async def whole() -> bool:
        told = [str((await node.ask(["CLUSTER", "INFO"]))[0]) for node in servers.data_nodes]
        return all("cluster_state:ok" in each for each in told)

    await eventually(whole)


async def measuring(servers: ManagedServers, rig: Rig) -> None:
    """Returns as soon as there are messages in the window."""

    async def some() -> bool:
        for node in servers.data_nodes:
            (keys,) = await node.ask(["KEYS", "{ombdriver-*"])
            for key in keys if isinstance(keys, list) else []:
                (length,) = await node.ask(["XLEN", str(key)])
                if isinstance(length, int) and length >= 50:
                    return True
        return False

    await rig.until(some)


@pytest.mark.timeout(180)
async def test_a_cluster_that_is_down_for_a_while_refuses_and_is_told_so(
    cluster: ManagedServers, tmp_path: Path
) -> None:
    """At the start it is waited for; in the window what was refused is counted, and nothing acknowledged is missing."""
    await down(cluster)
    url = f"redis+cluster://127.0.0.1:{cluster.data_nodes[0].port}"
    fields = {"drainTimeout": "30s", "partitionsPerTopic": 3, **SHORT}
    async with running(tmp_path, first_node(cluster), url, **fields) as rig:
        await asyncio.sleep(1)  # the refusal lasts
        await up(cluster)
        await measuring(cluster, rig)
        await down(cluster)
        await asyncio.sleep(1)
        await up(cluster)
        result = await rig.result()
        (delivery,) = await rig.deliveries()

    assert {"refused", "publishErrors"} <= caveats(result).keys()
    assert (delivery.lost, delivery.trimmed, delivery.undelivered) == (0, 0, 0)
    check_account(result)
    for node in cluster.data_nodes:
        assert (await node.ask(["KEYS", "*"]))[0] == []


@pytest.mark.timeout(120)
async def test_a_cluster_that_stays_down_is_told(cluster: ManagedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own words, with the way out."""
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REFUSED_S", 0.5)
    monkeypatch.setattr("ombdriver.bench.drivers.redis_streams.control.REPLY_TIMEOUT_S", 0.2)
    await down(cluster)

    with pytest.raises(ServerError, match="redis-cli --cluster check HOST:PORT"):
        await topics_made(cluster.url)
