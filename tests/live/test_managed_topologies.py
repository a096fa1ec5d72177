"""Managed servers, in every topology and on both engines: a whole when the start returns, and gone after the end."""

import os
import stat
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import redis
from managed import pings, present

from ombdriver.bench.servers.formation import info_fields
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan, Topology

pytestmark = pytest.mark.usefixtures("tidy")

KINDS: list[tuple[Topology, int | None]] = [("standalone", None), ("replicated", 2), ("sentinel", 1), ("cluster", 1)]


@pytest.fixture(params=["valkey", "redis"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return present(request.param)


@pytest.mark.parametrize(("topology", "replicas"), KINDS)
async def test_every_topology_is_whole_when_its_start_returns(
    engine: str, topology: Topology, replicas: int | None
) -> None:
    """Every server answers on its port, and keeps nothing on disk; after the end there is none."""
    async with await ManagedServers.start(ServerPlan(engine, topology, replicas=replicas)) as servers:
        assert servers.ended() == []
        servers.check()
        assert all([await pings(servers, node.port) for node in servers.nodes])
        for node in servers.data_nodes:
            assert await node.ask(("CONFIG", "GET", "save"), ("CONFIG", "GET", "appendonly")) == [
                ["save", ""],
                ["appendonly", "no"],
            ]
        assert servers.pids == [node.pid for node in servers.nodes if node.role != "sentinel"]

    assert not any(psutil.pid_exists(node.pid) for node in servers.nodes)
    assert servers.ended() == []
    assert repr(servers) == f"<ManagedServers {topology}: 0 of {len(servers.nodes)} running>"


async def test_a_replica_has_what_its_primary_was_given(engine: str) -> None:
    """It is linked by the time that the start returns, also with a password; and its AOF is written."""
    config = {"requirepass": "open-sesame", "appendonly": "yes"}
    async with await ManagedServers.start(ServerPlan(engine, "replicated", config=config)) as servers:
        primary, replica = servers.nodes
        with redis.Redis(port=primary.port, password="open-sesame") as client:
            client.set("k", "v")
            assert client.wait(1, 5000) == 1
        with redis.Redis(port=replica.port, password="open-sesame") as client:
            assert client.get("k") == b"v"
        assert servers.url == f"redis://127.0.0.1:{primary.port}"


@pytest.mark.parametrize("topology", ["replicated", "sentinel", "cluster"])
async def test_servers_may_have_a_user_of_their_own_for_each_other(engine: str, topology: Topology) -> None:
    """Then the default user may be switched off."""
    users = ["default off", "replica on >open-sesame ~* &* +@all"]
    config = {"user": users, "masteruser": "replica", "masterauth": "open-sesame"}
    plan = ServerPlan(engine, topology, replicas=1, config=config)
    async with await ManagedServers.start(plan) as servers:
        assert await servers.nodes[0].ask(("ACL", "WHOAMI")) == ["replica"]


async def test_a_cluster_serves_every_slot_in_even_ranges(engine: str) -> None:
    """Each primary has a third of the slots and a replica of its own, in the eyes of every node."""
    async with await ManagedServers.start(ServerPlan(engine, "cluster", replicas=1)) as servers:
        for node in servers.nodes:
            (slots,) = await node.ask(("CLUSTER", "SLOTS"))
            assert isinstance(slots, list)
            seen = sorted((one[0], one[1], one[2][1], one[3][1]) for one in slots)  # type: ignore[index]
            ports = [each.port for each in servers.nodes]
            assert seen == [
                (0, 5460, ports[0], ports[3]),
                (5461, 10921, ports[1], ports[4]),
                (10922, 16383, ports[2], ports[5]),
            ]
        assert servers.url == "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


async def test_all_sentinels_agree_on_the_primary(engine: str) -> None:
    """By the name that the URL has, also with a password."""
    plan = ServerPlan(engine, "sentinel", replicas=2, config={"requirepass": "open-sesame"})
    async with await ManagedServers.start(plan) as servers:
        sentinels = servers.nodes[3:]
        for sentinel in sentinels:
            (found,) = await sentinel.ask(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ombdriver"))
            assert found == ["127.0.0.1", str(servers.node("primary-1").port)]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        assert servers.url == f"redis+sentinel://{hosts}/ombdriver"


@pytest.mark.parametrize(("topology", "replicas"), KINDS)
async def test_with_tls_every_port_speaks_it(tidy: Path, topology: Topology, replicas: int | None) -> None:
    """With a certificate of this run's authority; its key is for the owner alone, and gone after the end."""
    plan = ServerPlan(present("redis"), topology, replicas=replicas, tls=True)
    async with await ManagedServers.start(plan) as servers:
        assert servers.url.startswith("rediss")
        assert all([await pings(servers, node.port) for node in servers.nodes])
        authority = Path(servers.url.partition("?ssl_ca_certs=")[2])
        assert authority.is_relative_to(tidy)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (authority, authority.with_name("server.key"))}
        assert modes == {0o600}
    assert os.listdir(tidy) == []


async def test_a_unix_socket_leads_to_the_server(engine: str) -> None:
    """The URL is redis-py's own form."""
    async with await ManagedServers.start(ServerPlan(engine, unix_socket=True)) as servers:
        with redis.Redis.from_url(servers.url) as client:
            assert client.info("server")["process_id"] == servers.pids[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process on given processors")
async def test_servers_stay_on_their_processors() -> None:
    """All of them, Sentinels too; the tests do not."""
    here = os.sched_getaffinity(0)
    cpu = max(here)
    async with await ManagedServers.start(ServerPlan(topology="sentinel", cpus=(cpu,))) as servers:
        assert [os.sched_getaffinity(node.pid) for node in servers.nodes] == [{cpu}] * 5
    assert os.sched_getaffinity(0) == here


async def test_options_in_any_notation_are_found_again(engine: str) -> None:
    """Units, several values, flags in another order, quotes, passwords, and users, who can't be asked for."""
    config = {
        "MaxMemory": "100mb",
        "save": ["3600 1", "300 100"],
        "notify-keyspace-events": "KEA",
        "client-output-buffer-limit": "pubsub 32mb 8mb 60",
        "appendfsync": '"always"',
        "io-threads": "2",
        "requirepass": '"open sesame"',
        "user": "ann on >x ~* +@all",
    }
    async with await ManagedServers.start(ServerPlan(engine, config=config)) as servers:
        (found,) = await servers.nodes[0].ask(("CONFIG", "GET", "save"))
        assert found == ["save", "3600 1 300 100"]


async def test_a_cluster_keeps_the_ports_of_its_bus_apart() -> None:
    """Each has one of its own, so that many can be on one machine."""
    async with await ManagedServers.start(ServerPlan(topology="cluster")) as servers:
        assert len({port for node in servers.nodes for port in (node.port, node.server.bus_port)}) == 6
        (info,) = await servers.nodes[0].ask(("INFO",))
        assert info_fields(str(info))["cluster_enabled"] == "1"
