"""Managed servers that lose one of them: another takes over where somebody watches, and the rest is told."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from managed import eventually, present

from ombdriver.bench.servers import managed
from ombdriver.bench.servers.formation import ServerNode, info_fields
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import MASTER_NAME, ServerPlan, Topology
from ombdriver.errors import ServerError

pytestmark = pytest.mark.usefixtures("tidy")

PARENT = """
import asyncio, sys
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan

async def main():
    servers = await ManagedServers.start(ServerPlan(sys.argv[1], sys.argv[2], tls=sys.argv[1] == "redis"))
    print(*(node.pid for node in servers.nodes), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def gone(node: ServerNode) -> Callable[[], Awaitable[bool]]:
    """A state to wait for: that the end of `node` has been seen."""

    async def met() -> bool:
        return node.ended

    return met


async def role(node: ServerNode) -> str:
    """`master` or `slave`, as the server itself says."""
    (info,) = await node.ask(("INFO", "replication"))
    return info_fields(str(info))["role"]


@pytest.mark.parametrize("engine", ["valkey", "redis"])
async def test_in_a_cluster_a_replica_takes_over(engine: str) -> None:
    """The end of its primary is told and is no error; the end of both is one."""
    plan = ServerPlan(present(engine), "cluster", replicas=1)
    async with await ManagedServers.start(plan) as servers:
        replica = servers.node("replica-2-1")
        servers.node("primary-2").kill()

        async def promoted() -> bool:
            (info,) = await servers.node("primary-1").ask(("CLUSTER", "INFO"))
            return await role(replica) == "master" and "cluster_state:ok" in str(info)

        await eventually(promoted)

        assert servers.ended() == ["primary-2"]
        servers.check()
        replica.kill()
        await eventually(gone(replica))
        with pytest.raises(ServerError, match=r"the private server primary-2 has ended by itself \(exit code 137\)"):
            servers.check()


@pytest.mark.parametrize("engine", ["valkey", "redis"])
@pytest.mark.parametrize("password", ["", "open-sesame"])
async def test_behind_sentinels_a_replica_takes_over(engine: str, password: str) -> None:
    """All of them name it then; the end of the last server with data is an error."""
    plan = ServerPlan(present(engine), "sentinel", config={"requirepass": password} if password else {})
    async with await ManagedServers.start(plan) as servers:
        primary, replica, *sentinels = servers.nodes
        primary.kill()

        async def promoted() -> bool:
            names = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ombdriver")
            found = [await sentinel.ask(names) for sentinel in sentinels]
            return found == [[["127.0.0.1", str(replica.port)]]] * 3 and await role(replica) == "master"

        await eventually(promoted)

        assert servers.ended() == ["primary-1"]
        servers.check()
        replica.kill()
        await eventually(gone(replica))
        with pytest.raises(ServerError, match="the private server primary-1 has ended by itself"):
            servers.check()


@pytest.mark.parametrize("engine", ["valkey", "redis"])
async def test_behind_sentinels_who_comes_back_after_a_failover_is_no_primary(engine: str) -> None:
    """Though it takes itself for one until a Sentinel has told it, some ten seconds later."""
    async with await ManagedServers.start(ServerPlan(present(engine), "sentinel")) as servers:
        primary, replica, *sentinels = servers.nodes
        await primary.server.crash()

        async def taken_over() -> bool:
            asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
            named = [await sentinel.ask(asked) for sentinel in sentinels]
            return [["127.0.0.1", str(replica.port)]] in named

        await eventually(taken_over)
        await primary.server.start_again()

        assert await servers.with_role("primary") == [replica]
        assert await servers.with_role("replica") == [primary]


@pytest.mark.parametrize("topology", ["standalone", "replicated"])
async def test_where_nobody_watches_the_end_of_the_primary_is_an_error(topology: Topology) -> None:
    """With the end of its log; also after the end of a replica, which is none."""
    async with await ManagedServers.start(ServerPlan(topology=topology)) as servers:
        for node in servers.nodes[1:]:
            node.kill()
            await eventually(gone(node))
            servers.check()
        servers.nodes[0].kill()
        await eventually(gone(servers.nodes[0]))

        with pytest.raises(ServerError, match=r"(?s)primary-1 has ended by itself .* the end of its log:\n +\d+:[CM] "):
            servers.check()
        servers.nodes[0].kill()


async def test_logs_are_kept_in_one_file_whenever_they_are_asked_for(tidy: Path) -> None:
    """While the servers run, after one was killed, and after the end; without passwords."""
    plan = ServerPlan(topology="replicated", config={"requirepass": "open-sesame"})
    async with await ManagedServers.start(plan) as servers:
        running = servers.keep_logs()
        servers.node("replica-1-1").kill()
        await eventually(gone(servers.node("replica-1-1")))
        one_killed = servers.keep_logs()
    stopped = servers.keep_logs()

    for path in (running, one_killed, stopped):
        assert path is not None
        assert path.parent == tidy
        text = await asyncio.to_thread(path.read_text)
        assert text.startswith(f"== primary-1, port {servers.nodes[0].port}, pid {servers.nodes[0].pid}\n")
        assert f"\n== replica-1-1, port {servers.nodes[1].port}, " in text
        assert text.count("Server initialized") == 2
        assert "sesame" not in text
    assert servers.ended() == ["replica-1-1"]


@pytest.mark.parametrize(("engine", "topology"), [("valkey", "cluster"), ("valkey", "sentinel"), ("redis", "cluster")])
def test_nothing_is_left_when_the_parent_is_killed(tidy: Path, engine: str, topology: Topology) -> None:
    """Not after kill -9 either: no server, no reaper, no directory, no certificate."""
    root = str(Path(managed.__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, present(engine), topology],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        family = psutil.Process(parent.pid).children(recursive=True)
        assert set(pids) < {process.pid for process in family}

        parent.kill()

        alive = family
        for _ in range(300):
            _, alive = psutil.wait_procs(alive, timeout=0.1)
            # An orphan that process 1 has not buried yet has ended too.
            alive = [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
            if not alive:
                break
        assert alive == []
        assert [path for path in tidy.iterdir() if path.is_dir()] == []


async def test_a_stop_that_is_cancelled_still_ends_all() -> None:
    """Every reaper has been told by then."""
    servers = await ManagedServers.start(ServerPlan(topology="replicated", replicas=2))
    stop = asyncio.create_task(servers.stop())
    await asyncio.sleep(0)

    stop.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stop
    for node in servers.nodes:
        await eventually(gone(node))
    await servers.stop()
