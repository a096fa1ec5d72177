"""A place to run `ombdriver` in; and drivers for the conformance suite: `memory`, and those for streams.

A third party's driver can be held against the suite by adding a way to open it to `DRIVERS`.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import redis
from processes import Place, place_in
from seam import RUN_ID, Open

from ombdriver.bench.drivers.api import Driver, load_driver
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.bench.servers.topology import ServerPlan

DRIVERS: Mapping[str, str | None] = {
    "memory": None,
    "valkey": "valkey",
    "redis": "redis_server",
    "cluster": "valkey_cluster",
    "redis-py": "valkey",
    "runner": "valkey",
    "cluster-runner": "valkey_cluster",
}
"""By name: the fixture of the servers that a driver for streams is opened on, or None for `memory`."""


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[ManagedServers]:
    """Three primaries of the embedded Valkey."""
    servers = asyncio.run(ManagedServers.start(ServerPlan(topology="cluster")))
    yield servers
    asyncio.run(servers.stop())


@pytest.fixture(params=DRIVERS)
def opening(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """The name of a driver, and what its factory is given; on a server, a database of the suite's own."""
    fixture = DRIVERS[request.param]
    if fixture is None:
        return "memory", {}
    server: PrivateServer | ManagedServers = request.getfixturevalue(fixture)
    options: dict[str, object] = {"run_id": RUN_ID, "block_ms": 20}
    if request.param.endswith("runner"):
        # Tests take as many as there is room for before they acknowledge any.
        options |= {"runner_concurrency": 1_000, "max_in_flight": 500}
    if isinstance(server, ManagedServers):
        for node in server.nodes:
            asyncio.run(node.ask(["FLUSHALL"]))
        return "redis-streams", options | {"url": server.url, "balanced": True}
    with redis.Redis.from_url(f"{server.url}/9") as client:
        client.flushdb()
    if request.param == "redis-py":
        # Several would overtake each other; see `test_driver_options` for those.
        return "redis-py", options | {"url": f"{server.url}/9", "connections": 1}
    return "redis-streams", options | {"url": f"{server.url}/9"}


@pytest.fixture
async def open_one(opening: tuple[str, dict[str, object]]) -> AsyncIterator[Open]:
    """Opens drivers on the same system, empty at first; closes them at the end."""
    opened: list[Driver] = []
    name, given = opening

    async def open_it() -> Driver:
        opened.append(await load_driver(name)(given))
        return opened[-1]

    yield open_it
    for driver in opened:
        await driver.delete_created()
        await driver.aclose()


@pytest.fixture
async def driver(open_one: Open) -> Driver:
    """One driver."""
    return await open_one()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder to run in, which is left clean."""
    with place_in(tmp_path) as made:
        yield made


@pytest.fixture
def tidy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder for temporary files; a test has to leave it without a directory, and us without a new process."""
    path = Path(tempfile.mkdtemp(prefix="o"))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.setenv("TMPDIR", str(path))
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield path
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    left = [process for process in left if "resource_tracker" not in str(process.cmdline())]  # Python's own stays
    directories = [one for one in path.iterdir() if one.is_dir()]
    shutil.rmtree(path)
    assert (directories, left) == ([], [])
