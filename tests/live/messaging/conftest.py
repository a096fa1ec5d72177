"""What the live tests of the messaging library share: raw looks at the server, and waiting for what it shows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis.asyncio
from topologies import Cluster, cluster

from ombdriver.bench.servers.private_server import find_binary
from ombdriver.errors import ServerError
from tests.missing import missing

Waits = Callable[[int], Awaitable[None]]


@pytest.fixture(scope="session", params=["valkey", "redis"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn, for tests that start servers themselves."""
    name: str = request.param
    try:
        find_binary(name)
    except ServerError as error:
        if name == "valkey":
            raise
        missing(str(error))
    return name


@pytest.fixture(scope="session")
def lasting_cluster(engine: str) -> Iterator[Cluster]:
    """Three primaries for the whole session; tests ask for `three`."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opening = cluster(engine)
        made = runner.run(opening.__aenter__())
        runner.run(made.let_go())
        yield made
        runner.run(opening.__aexit__(None, None, None))


@pytest.fixture
async def three(lasting_cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster of three primaries, emptied. Whoever moves a slot moves it back."""
    await lasting_cluster.empty()
    yield lasting_cluster
    await lasting_cluster.let_go()


@pytest.fixture
async def raw(server_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain redis-py client of the same server, decoding nothing: the test's own eyes."""
    client = redis.asyncio.Redis.from_url(server_url, protocol=2, client_name="eyes", socket_timeout=None)
    yield client
    await client.aclose()


@pytest.fixture
def connected(raw: redis.asyncio.Redis) -> Waits:
    """Waits until the server has exactly so many connections to the test's database; the test's time-out limits it."""
    return lambda count: _until(raw, "", count)


@pytest.fixture
def blocked(raw: redis.asyncio.Redis) -> Waits:
    """Waits until exactly so many connections to the test's database wait in a blocking command."""
    return lambda count: _until(raw, "b", count)


@pytest.fixture
def cut(raw: redis.asyncio.Redis) -> Callable[[], Awaitable[None]]:
    """Has the server close every connection to the test's database, the test's own eyes excepted."""

    async def kill() -> None:
        for client in await _clients(raw):
            await raw.client_kill_filter(_id=client["id"])

    return kill


async def _until(raw: redis.asyncio.Redis, flag: str, count: int) -> None:
    while sum(flag in client["flags"] for client in await _clients(raw)) != count:  # noqa: ASYNC110 - the server's
        await asyncio.sleep(0.002)


async def _clients(raw: redis.asyncio.Redis) -> list[dict[str, str]]:
    database = str(raw.connection_pool.connection_kwargs.get("db", 0))
    clients = await raw.client_list()
    # With --url the fixture of the server keeps a connection too, on which it last asked for the size.
    return [c for c in clients if c["db"] == database and c["name"] != "eyes" and c["cmd"] != "dbsize"]
