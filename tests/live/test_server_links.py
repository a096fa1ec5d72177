"""Links between servers: each pair can be cut in both directions, and nobody else feels it."""

from collections.abc import Sequence

import pytest
from managed import eventually, pings, present

from ombdriver.bench.faults.target import Target
from ombdriver.bench.run.fault_injector import LinkOfRun, RunSystem
from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.servers.formation import ServerNode, info_fields
from ombdriver.bench.servers.link_shape import LinkShape
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import ServerPlan, Topology

APART = Equipment(own_address=True)
pytestmark = [pytest.mark.usefixtures("tidy"), pytest.mark.timeout(120)]


@pytest.fixture(params=["valkey", "redis"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return present(request.param)


async def links(servers: ManagedServers, *between: str) -> Sequence[LinkOfRun]:
    """Those between two targets."""
    system = RunSystem(None, None, servers, servers.linked)  # type: ignore[arg-type]  # is asked for links alone
    return await system.links(*map(Target.parse, between))


async def shape(found: Sequence[LinkOfRun], mode: str = "") -> None:
    """Cuts them, or mends them."""
    for each in found:
        await each.shape(LinkShape(mode))


async def follows(replica: ServerNode) -> bool:
    """Whether a replica is linked to its primary."""
    (info,) = await replica.ask(("INFO", "replication"))
    return info_fields(str(info))["master_link_status"] == "up"


async def does_not_follow(replica: ServerNode) -> bool:
    """Whether it is not."""
    return not await follows(replica)


@pytest.mark.parametrize("topology", ["replicated", "sentinel", "cluster"])
@pytest.mark.parametrize("mode", ["down", "reset"])
async def test_a_replica_loses_its_primary_and_finds_it_again(engine: str, topology: Topology, mode: str) -> None:
    """Clients reach both all the time, by the addresses that servers tell."""
    plan = ServerPlan(engine, topology, replicas=1, equipment=APART)
    async with await ManagedServers.start(plan) as servers:
        replica = servers.node("replica-1-1")
        (link,) = between = await links(servers, "primary 1", "replica 1")
        assert link.name == "primary-1 - replica-1-1"

        await shape(between, mode)
        await eventually(lambda: does_not_follow(replica))
        assert all([await pings(servers, node.port) for node in servers.nodes])

        await shape(between)
        await eventually(lambda: follows(replica))


async def connected(one: ServerNode, other: ServerNode) -> bool:
    """Whether a node of a cluster has a link to another one, as it says."""
    (myself,) = await other.ask(("CLUSTER", "MYID"))
    (nodes,) = await one.ask(("CLUSTER", "NODES"))
    (line,) = [line.split() for line in str(nodes).splitlines() if line.startswith(str(myself))]
    return line[7] == "connected" and "fail" not in line[2]


@pytest.mark.parametrize("mode", ["down", "swallow"])
async def test_two_nodes_of_a_cluster_do_not_hear_of_each_other_and_all_others_do(engine: str, mode: str) -> None:
    """Both lose the other, whoever had called whom; and have it again when the link is mended."""
    async with await ManagedServers.start(ServerPlan(engine, "cluster", equipment=APART)) as servers:
        one, other, third = servers.nodes
        between = await links(servers, "node 2", "node 1")

        await shape(between, mode)

        async def apart() -> bool:
            return not await connected(one, other) and not await connected(other, one)

        await eventually(apart)
        assert all([await connected(*pair) for pair in ((one, third), (third, one), (other, third), (third, other))])

        await shape(between)

        async def together() -> bool:
            return await connected(one, other) and await connected(other, one)

        await eventually(together)


async def test_a_primary_that_sentinels_do_not_hear_of_is_replaced(engine: str) -> None:
    """Though its replica does: two of the three Sentinels are enough, and are told apart from it."""
    async with await ManagedServers.start(ServerPlan(engine, "sentinel", equipment=APART)) as servers:
        replica = servers.node("replica-1-1")
        cut = [each for number in (1, 2) for each in await links(servers, "primary", f"sentinel {number}")]
        assert [each.name for each in cut] == ["primary-1 - sentinel-1", "primary-1 - sentinel-2"]

        await shape(cut, "down")

        async def replaced() -> bool:
            (role,) = await replica.ask(("ROLE",))
            return isinstance(role, list) and role[0] == "master"

        await eventually(replaced)


async def test_a_server_that_starts_again_is_where_it_was(engine: str) -> None:
    """Behind its link, which led to nobody meanwhile."""
    async with await ManagedServers.start(ServerPlan(engine, "replicated", equipment=APART)) as servers:
        primary, replica = servers.nodes
        await primary.server.crash()
        await eventually(lambda: does_not_follow(replica))

        await primary.server.start_again()

        await eventually(lambda: follows(replica))
        assert await pings(servers, primary.port)
