"""Managed servers that can't be: one clear message each, with the server's last words, and nothing is left."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest
from managed import present

from ombdriver.bench.servers import managed, private_server
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import find_binary
from ombdriver.bench.servers.topology import ServerPlan, Topology
from ombdriver.errors import InputError, ServerError

pytestmark = pytest.mark.usefixtures("tidy")


def program(folder: Path, text: str) -> str:
    """A shell program that takes the place of a server's; `$SERVER` is the embedded one."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\nSERVER='{find_binary('valkey')}'\n{text}\n")
    path.chmod(0o700)
    return str(path)


async def failure(plan: ServerPlan, timeout_s: float = 20.0) -> str:
    """The message of a start that fails."""
    with pytest.raises(ServerError) as raised:
        await ManagedServers.start(plan, timeout_s=timeout_s)
    return str(raised.value)


def kept_logs(folder: Path) -> list[Path]:
    """The logs that stay."""
    return sorted(folder.glob("*.log"))


async def test_a_plan_that_cannot_be_is_refused_before_anything_starts() -> None:
    """With every fault at once."""
    with pytest.raises(InputError) as raised:
        await ManagedServers.start(ServerPlan(topology="cluster", primaries=2, config={"port": "1"}))

    assert len(raised.value.messages) == 2


@pytest.mark.parametrize("topology", ["standalone", "cluster", "sentinel"])
async def test_an_option_that_the_server_does_not_know_is_told_once(tidy: Path, topology: Topology) -> None:
    """By the first server, whose log is kept; the others are not tried."""
    told = await failure(ServerPlan(topology=topology, config={"apendonly": "yes"}))

    assert told.startswith("primary-1: ")
    assert ">>> 'apendonly yes'\n  Bad directive or wrong number of arguments" in told
    (log,) = kept_logs(tidy)
    assert f"kept in {log} " in told


async def test_an_engine_that_is_missing_is_named() -> None:
    """With the engines that there are."""
    assert "one of the engines valkey, redis" in await failure(ServerPlan("no-such-server", "cluster"))


async def test_an_engine_without_tls_says_so_itself() -> None:
    """It is asked, not assumed: the embedded one has none today."""
    told = await failure(ServerPlan("valkey", "replicated", tls=True))

    assert "was built without TLS; use engine: redis, or the path of a server that has it" in told


async def test_a_server_that_dies_at_start_says_why_without_its_password(tidy: Path) -> None:
    """In the message and in the log that is kept."""
    engine = program(tidy, "cat $1; echo it is broken; exit 3")
    told = await failure(ServerPlan(engine, "sentinel", config={"requirepass": "open-sesame"}))

    assert told.startswith(f"primary-1: {engine} ended at once; its log is kept in")
    assert told.endswith("it is broken")
    (log,) = kept_logs(tidy)
    assert "requirepass ***" in log.read_text()
    assert "sesame" not in told + log.read_text()


async def test_a_replica_that_dies_at_start_takes_all_down(tidy: Path) -> None:
    """The primary that runs already, too."""
    engine = program(tidy, 'grep -q replicaof $1 && echo "no replicas here" && exit 1; exec $SERVER "$@"')
    told = await failure(ServerPlan(engine, "replicated", replicas=3))

    assert told.startswith("replica-1-")
    assert told.endswith("no replicas here")
    assert len(kept_logs(tidy)) == 1


async def test_sentinels_that_die_at_start_take_all_down(tidy: Path) -> None:
    """An engine may have no Sentinel."""
    engine = program(tidy, 'test -n "$2" && echo "no $2 here" && exit 1; exec $SERVER "$@"')
    told = await failure(ServerPlan(engine, "sentinel"))

    assert told.startswith("sentinel-")
    assert told.endswith("no --sentinel here")


async def test_servers_that_do_not_come_together_say_what_is_lacking(tidy: Path) -> None:
    """After a time; the logs of all are kept in one file."""
    engine = program(tidy, 'sed -i "s/^replicaof.*/replicaof 127.0.0.1 1/" $1; exec $SERVER "$@"')
    told = await failure(ServerPlan(engine, "replicated"), timeout_s=1.0)

    assert "after 5 s replica-1-1 is not linked to its primary (master_link_status: down)" in told
    (log,) = kept_logs(tidy)
    assert told.endswith(f"(all their logs are kept in {log})")
    assert {"== primary-1", "== replica-1-1"} <= {line.partition(",")[0] for line in log.read_text().splitlines()}


async def test_a_server_that_ends_while_it_is_waited_for_is_named(tidy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not after the time for all."""
    form = managed.form_cluster

    async def form_without_one(nodes: list[managed.ServerNode], timeout_s: float) -> None:
        nodes[1].kill()
        await form(nodes, timeout_s)

    monkeypatch.setattr(managed, "form_cluster", form_without_one)
    told = await failure(ServerPlan(topology="cluster"))

    assert "primary-2 has ended by itself (exit code 137)" in told
    assert len(kept_logs(tidy)) == 1


async def test_users_who_lock_us_out_are_told_with_the_way_out() -> None:
    """Replication can't be looked at without a password that is known."""
    config = {"user": ["default off", "ann on >x ~* +@all"]}
    told = await failure(ServerPlan(topology="replicated", config=config))

    assert "NOAUTH" in told
    assert "give them requirepass, or masteruser and masterauth" in told


async def test_an_option_that_the_server_did_not_take_is_told(tidy: Path) -> None:
    """A server lowers its maxclients by itself where the system lets it have fewer files."""
    engine = program(tidy, 'ulimit -n 500; exec $SERVER "$@"')
    told = await failure(ServerPlan(engine, config={"maxclients": "5000", "maxmemory": "1gb"}))

    assert "the servers are not what the setup says:\nprimary-1 has maxclients '468' in place of '5000'" in told


async def test_an_option_that_is_taken_and_forgotten_is_told() -> None:
    """Servers accept some options of old that they have no use for."""
    told = await failure(ServerPlan(present("redis"), config={"lua-replicate-commands": "yes"}))

    assert "primary-1 does not tell what lua-replicate-commands is" in told


async def test_a_port_that_is_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of the bus of a node."""
    free = private_server._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([free("127.0.0.1"), taken.getsockname()[1]])
        monkeypatch.setattr(private_server, "_free_port", lambda address: next(ports, None) or free(address))
        async with await ManagedServers.start(ServerPlan(topology="cluster")) as servers:
            assert taken.getsockname()[1] not in {node.server.bus_port for node in servers.nodes}


async def test_an_engine_that_cannot_be_told_the_port_of_its_bus_has_it_where_it_always_is(tidy: Path) -> None:
    """As before Redis 7.0."""
    refuse = """grep "^cluster-port" $1 | sed "s/.*/>>> '&'/" && echo Bad directive && exit 1"""
    engine = program(tidy, f'grep -q "^cluster-port" $1 && {refuse}; exec $SERVER "$@"')
    async with await ManagedServers.start(ServerPlan(engine, "cluster")) as servers:
        assert all(node.server.bus_port == node.port + 10_000 for node in servers.nodes)


@pytest.mark.parametrize("topology", ["standalone", "replicated", "sentinel", "cluster"])
async def test_a_start_that_is_cancelled_leaves_nothing(tidy: Path, topology: Topology) -> None:
    """While the last of its servers is starting, and the others run."""
    os.mkfifo(tidy / "fifo")
    last = {"standalone": "unixsocket", "replicated": "replicaof", "sentinel": "monitor", "cluster": "cluster-port"}
    seen = f'grep -q {last[topology]} $1 && echo > {tidy}/fifo && exec sleep 600; exec $SERVER "$@"'
    start = asyncio.create_task(ManagedServers.start(ServerPlan(program(tidy, seen), topology)))
    await asyncio.to_thread((tidy / "fifo").read_text)

    start.cancel()

    with pytest.raises(asyncio.CancelledError):
        await start


async def test_a_start_with_tls_that_is_cancelled_leaves_no_certificate(tidy: Path) -> None:
    """At every of the first turns of the loop."""
    plan = ServerPlan(present("redis"), tls=True)
    for turns in (1, 5, 20, 100):
        start = asyncio.create_task(ManagedServers.start(plan))
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await start).stop()
        assert os.listdir(tidy) == []


async def test_certificates_that_cannot_be_written_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the system's own words."""

    def full(folder: Path, address: str) -> None:
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(managed, "make_certificates", full)

    assert "No space left on device" in await failure(ServerPlan(tls=True))
