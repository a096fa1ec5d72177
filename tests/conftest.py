"""Servers for the tests: private ones, started once for a whole session, and emptied before each test that asks.

`valkey` and `redis_server` are the servers themselves; `valkey_url` and `server_url` (on both, one after the other)
give a URL whose server was emptied. `--url` puts a server of yours in the place of both for `server_url`: it is never
emptied; the tests get a database that was found empty, and only that one is emptied again.

`golden` holds a text against a file in `tests/golden`; run with GOLDEN=write to write the files anew, then read them.
`golden_table` does the same with a table of a page in `docs`, `golden_page` with a whole page.
"""

import asyncio
import functools
import inspect
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import hypothesis
import pytest
import redis

from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer, find_binary
from ombdriver.errors import ServerError
from tests.limits import paused_limit
from tests.missing import missing
from tests.order import group_of, spread

# How long an example takes is no property, nor how long it takes to make one, least of all on a busy machine: unit
# tests have what the others leave. With CI set, hypothesis would try the same examples for ever; there the seed comes
# from the commit (`.ci/run`).
hypothesis.settings.register_profile(
    "here", deadline=None, derandomize=False, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that the messaging library's tests have always had."""
    group = parser.getgroup("ombdriver", "a server of yours, in place of the private ones")
    group.addoption("--url", metavar="HOST[:PORT]", help="run the tests of server_url in an empty database there")
    group.addoption("--u", metavar="USER", default="", help="user name for --url")
    group.addoption("--p", metavar="PASSWORD", default="", help="password for --url")


EARLIER_S = 10
"""How long before pytest-timeout a test that is a coroutine is ended in its own loop."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Ends a coroutine that hangs by a time-out in its own loop.

    pytest-timeout raises from a signal handler; within a callback of an event loop asyncio logs that and goes on.
    """
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
        return
    marker = item.get_closest_marker("timeout")
    general = item.config.getoption("timeout") or item.config.getini("timeout")
    limit_s = float(marker.args[0] if marker else general) - EARLIER_S
    test = item.obj

    @functools.wraps(test)
    async def limited(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(limit_s):
            await test(*args, **kwargs)

    item.obj = limited


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A limit that runs out while a report is made would end the whole run."""
    with paused_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_logreport() -> Generator[None, None, None]:
    """And so it would while the report is sent to the process that collects them."""
    with paused_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Some stay in one process; where there are several, they are dealt out in an order that mixes all files."""
    for item in items:
        group = group_of(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    yield
    if hasattr(config, "workerinput"):
        items[:] = spread(items, [item.path for item in items])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs what asks for `server_url` on both private servers, or on the one given."""
    if "server_url" in metafunc.fixturenames:
        engines = ["given"] if metafunc.config.getoption("--url") else ["valkey", "redis"]
        metafunc.parametrize("server_url", engines, indirect=True)


@pytest.fixture(scope="session")
def valkey() -> Iterator[PrivateServer]:
    """The embedded Valkey; `.url`, `.unix_url`, `.port`, `.pid`. Ask for `valkey_url` if it has to be empty."""
    yield from _server("valkey")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[PrivateServer]:
    """The machine's own redis-server; skips where there is none, and fails there when CI is set."""
    yield from _server("redis")


@pytest.fixture(scope="session")
def tls_files(redis_server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A certificate for loopback that signs itself, for Debian's redis-server: the embedded one is built without TLS.

    Skips where there is no openssl, and fails there when CI is set.
    """
    if shutil.which("openssl") is None:
        missing("no openssl; install it (Debian's package openssl)")
    folder: Path = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "server.crt", folder / "server.key"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -keyout {key} -out {certificate}"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return TlsFiles(certificate, key, certificate)


@pytest.fixture
def valkey_url(valkey: PrivateServer) -> str:
    """The URL of the embedded Valkey, emptied."""
    return _emptied(valkey)


@pytest.fixture
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of each server in turn, emptied."""
    if request.param == "given":
        yield from _empty_database_of(request.config)
    else:
        yield _emptied(request.getfixturevalue({"valkey": "valkey", "redis": "redis_server"}[request.param]))


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """`golden(name, text)`: fails unless `text` is what the file of that name holds."""

    def hold(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("GOLDEN") == "write":
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return hold


@pytest.fixture
def golden_table() -> Callable[[str, str, Sequence[str]], None]:
    """`golden_table(page, head, rows)`: fails unless these are the rows of the table of docs/page under that head."""

    def hold(name: str, head: str, rows: Sequence[str]) -> None:
        path = Path(__file__).parents[1] / "docs" / name
        before, found, after = path.read_text(encoding="utf-8").partition(f"{head}\n")
        assert found, f"docs/{name} has no table {head!r}"
        table, end, rest = after.partition("\n\n")
        rule, *there = table.splitlines()
        if os.environ.get("GOLDEN") == "write":
            there = list(rows)
            path.write_text("".join((before, found, "\n".join((rule, *rows)), end, rest)), encoding="utf-8")
        assert there == list(rows)

    return hold


@pytest.fixture
def golden_page() -> Callable[[str, str], None]:
    """`golden_page(page, text)`: fails unless docs/page is `text`."""

    def hold(name: str, text: str) -> None:
        path = Path(__file__).parents[1] / "docs" / name
        if os.environ.get("GOLDEN") == "write":
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return hold


def _server(engine: str) -> Iterator[PrivateServer]:
    try:
        find_binary(engine)
    except ServerError as error:
        if engine == "valkey":
            raise
        missing(str(error))
    # With a factory the runner leaves the thread's current event loop alone, which is pytest-asyncio's.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        server = runner.run(PrivateServer.start(engine))
        yield server
        runner.run(server.stop())


def _emptied(server: PrivateServer) -> str:
    with redis.Redis(port=server.port) as client:
        client.flushall()
    return server.url


def _empty_database_of(config: pytest.Config) -> Iterator[str]:
    address = re.sub(r"^\w+://", "", config.getoption("--url")).rstrip("/")
    user, password = (quote(config.getoption(name), safe="") for name in ("--u", "--p"))
    login = f"{user}:{password}@" if user or password else ""
    for number in range(15, 0, -1):
        url = f"redis://{login}{address}/{number}"
        with redis.Redis.from_url(url) as client:
            if client.dbsize() == 0:
                yield url
                client.flushdb()
                return
    pytest.exit(f"no database from 1 to 15 of {address} is empty; give a server that has an empty one", returncode=2)
