"""How many connections the workers of a plan have, and whether the process of the links may open as many."""

import pytest
from small_plan import plan_of

from ombdriver.bench.drivers.redis_streams import readers
from ombdriver.bench.plan import connections
from ombdriver.bench.plan.connections import most_connections
from ombdriver.bench.run.preflight import link_errors
from ombdriver.bench.servers.links import open_files
from ombdriver.bench.spec.setup import Setup
from ombdriver.messaging.topics.consumer import session


def setup_of(server: str = "", client: str = "", streams: str = "") -> Setup:
    """One on servers of the run's own."""
    text = f"{{name: s, driver: redis-streams, server: {{engine: valkey{server}}}, client: {{{client}}}"
    return Setup.parse(f"{text}, streams: {{{streams}}}}}", "s.yaml")


ONE = setup_of()
CLUSTER = setup_of(", topology: cluster")
WAITS = setup_of(", topology: replicated", streams="waitReplicas: 1")
RUNNERS = setup_of(client="consumer: runner")


@pytest.mark.parametrize(
    ("setup", "fields", "count"),
    [
        (ONE, {}, 3 + 3),  # each process: to find its keys, small commands; and one to send, or to read
        (ONE, {"producersPerTopic": 50}, 3 + 3),
        (ONE, {"consumerPerSubscription": 100}, 3 + 2 + 100),
        (setup_of(client="connections: 7"), {"producersPerTopic": 50}, 2 + 7 + 3),
        (setup_of(client="pipelining: redis-py"), {}, 2 + 50 + 2 + 2),
        (WAITS, {"producersPerTopic": 50}, 2 + 50 + 3),
        (CLUSTER, {}, (1 + 2 * 3) + (1 + 3 + 1)),
        (CLUSTER, {"partitionsPerTopic": 64}, (1 + 2 * 3) + (1 + 3 + 64)),
        (CLUSTER, {"partitionsPerTopic": 65}, (1 + 2 * 3) + (1 + 3 + 3)),
        (RUNNERS, {"consumerPerSubscription": 10}, 3 + 2 + 10 * 2),
        (setup_of(", topology: cluster", "consumer: runner"), {"partitionsPerTopic": 6}, 7 + (1 + 3) + (1 + 6 + 6)),
    ],
)
def test_connections_follow_from_who_sends_and_reads(setup: Setup, fields: dict[str, object], count: int) -> None:
    """By the driver, the topology and the plan."""
    assert most_connections(plan_of(setup, 2, **fields), setup) == count


def test_a_reader_polls_from_where_the_driver_and_the_library_poll() -> None:
    """The plan knows neither of the two."""
    assert connections.MOST_BLOCKING == readers.MOST_BLOCKING == session.MOST_CONNECTIONS


def test_links_of_ten_thousand_connections_open_two_files_for_each() -> None:
    """And some for themselves; what a process may not open is told before anything starts, with the way out."""
    plan = plan_of(ONE, 2, name="w", consumerPerSubscription=9_994)
    needed = open_files(most_connections(plan, ONE) + 1, 2)

    assert most_connections(plan, ONE) == 9_999
    assert 20_000 < needed < 20_100
    assert link_errors(plan, ONE, needed) == []
    assert link_errors(plan, ONE, None) == []
    (said,) = link_errors(plan, ONE, needed - 1)
    assert f"opens {needed:,} files, and it may open {needed - 1:,}; raise that limit (ulimit -Hn)" in said
    assert said.startswith("w x s: the links of its faults carry 10,000 connections")


def test_a_link_to_a_server_of_the_users_carries_what_clients_have_there() -> None:
    """It is one."""
    yours = ONE.with_url("redis://db.example:7000")
    plan = plan_of(yours, 2, name="w")
    needed = open_files(most_connections(plan, yours) + 1, 2)

    assert link_errors(plan, yours, needed) == []
    assert link_errors(plan, yours, needed - 1)


def test_links_between_servers_carry_what_each_has_with_each_other_one() -> None:
    """Two connections of each to each, and those of the run itself; a port for data and one for the bus."""
    cut = "[{at: 1s, for: 1s, link: {between: [node 1, node 2], down: true}}]"
    plan = plan_of(CLUSTER, 2, name="w", faults=cut)
    carried = most_connections(plan, CLUSTER) + 3 + 2 * 3 * 2 + 6 * 3
    needed = open_files(carried, 2 * 3 + 2 * 3)

    assert link_errors(plan, CLUSTER, needed) == []
    (said,) = link_errors(plan, CLUSTER, needed - 1)
    assert f"carry {carried} connections" in said
