"""The private server for users' tests: a context manager, and fixtures that any project's pytest has."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import redis

from ombdriver import MQClient
from ombdriver.errors import ServerError
from ombdriver.testing import LocalServer, RefusedError, private_server

pytest_plugins = ["pytester"]


def test_a_server_lives_as_long_as_its_block(tidy: Path) -> None:
    """Its process and its directory are gone after it."""
    with private_server() as server:
        assert psutil.pid_exists(server.pid)
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
    assert not psutil.pid_exists(server.pid)


async def test_it_can_be_used_beside_a_running_loop() -> None:
    """Its methods may be called in a coroutine; the library's clients live through what they do."""
    with private_server() as server:
        async with MQClient(redis_url=server.url) as client, client.producer("t") as producer:
            await producer.send_and_wait(b"before")
            server.cut_connections()
            await producer.send_and_wait(b"after")
            assert server.ask("XLEN", "{t:0}") == 2
            server.empty()
            assert server.ask("DBSIZE") == 0


def test_a_refusal_is_an_error() -> None:
    """With the server's own words; and what can't be started says so."""
    with private_server(config={"maxmemory": "10mb"}) as server:
        assert server.ask("CONFIG", "GET", "maxmemory") == ["maxmemory", str(10 * 2**20)]
        with pytest.raises(RefusedError, match="unknown command"):
            server.ask("NOSUCH")
    with pytest.raises(ServerError, match="no-such-program"), private_server("no-such-program"):
        pass


def test_an_error_in_its_block_ends_it_too(tidy: Path) -> None:
    """And is the caller's."""
    with pytest.raises(KeyError), private_server():
        raise KeyError


def test_a_server_that_has_ended_is_no_answer() -> None:
    """But an OSError."""
    with private_server() as server:
        process = psutil.Process(server.pid)
        process.kill()
        psutil.wait_procs([process], timeout=10)
        with pytest.raises(OSError, match=r"server|No such file|refused"):
            server.ask("PING")


def test_the_plugin_gives_a_server_and_an_emptied_url(pytester: pytest.Pytester) -> None:
    """One server for all tests, emptied for each that asks for the URL; without a conftest."""
    pytester.makepyfile("""
        import redis

        def test_first(ombdriver_url, ombdriver_server):
            with redis.Redis.from_url(ombdriver_url) as client:
                assert client.dbsize() == 0
                client.set("k", ombdriver_server.pid)

        def test_second(ombdriver_server, ombdriver_url):
            assert ombdriver_server.ask("DBSIZE") == 0
            assert ombdriver_server.url == ombdriver_url

        async def test_third(ombdriver_url):
            from ombdriver import MQClient

            async with MQClient(redis_url=ombdriver_url) as client:
                assert await client.check_health()
    """)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_the_plugin_starts_the_engine_that_the_project_names(pytester: pytest.Pytester) -> None:
    """Here one that is none: the test fails with the reason."""
    pytester.makepyfile("def test_it(ombdriver_url): pass")
    pytester.makeini("[pytest]\nombdriver_engine = no-such-program\nasyncio_default_fixture_loop_scope = function\n")
    found = pytester.runpytest_subprocess()
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*ServerError*no-such-program*"])


def test_the_plugin_costs_other_projects_nothing() -> None:
    """It is loaded in every run of pytest: neither the library nor the harness comes with it, nor redis."""
    program = "import sys, ombdriver.pytest_plugin; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in found if name.startswith("ombdriver")} == {"ombdriver", "ombdriver.pytest_plugin"}
    assert not {"redis", "numpy", "uvloop"} & set(found)


def test_the_library_knows_no_pytest() -> None:
    """Whoever imports it, or the server for tests, needs none."""
    program = textwrap.dedent("""
        import sys, ombdriver.messaging, ombdriver.testing
        from ombdriver import MQClient
        assert "pytest" not in sys.modules
    """)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_server_tells_what_it_is() -> None:
    """In a failure's report."""
    with private_server() as server:
        assert isinstance(server, LocalServer)
        assert repr(server) == f"<LocalServer {server.url} pid={server.pid}>"
        assert asyncio.run(_health(server.url))


async def _health(url: str) -> bool:
    async with MQClient(redis_url=url) as client:
        return await client.check_health()
