"""Plans of servers: which there are, what can't be, where a driver finds them, and when it is over."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.servers.topology import (
    SLOTS,
    ServerPlan,
    cannot_serve,
    connect_url,
    places,
    plan_errors,
    slot_ranges,
    with_memory_limit,
)


def names(plan: ServerPlan) -> list[str]:
    """Of all servers of a plan."""
    return [place.name for place in places(plan)]


def test_the_servers_of_each_topology_have_names_and_parts() -> None:
    """Primaries, then replicas, then Sentinels."""
    assert names(ServerPlan()) == ["primary-1"]
    assert names(ServerPlan(topology="replicated", replicas=2)) == ["primary-1", "replica-1-1", "replica-1-2"]
    sentinels = ["sentinel-1", "sentinel-2", "sentinel-3"]
    assert names(ServerPlan(topology="sentinel")) == ["primary-1", "replica-1-1", *sentinels]
    assert names(ServerPlan(topology="cluster")) == ["primary-1", "primary-2", "primary-3"]
    cluster = places(ServerPlan(topology="cluster", replicas=1))
    assert [(place.name, place.follows) for place in cluster[3:]] == [
        ("replica-1-1", "primary-1"),
        ("replica-2-1", "primary-2"),
        ("replica-3-1", "primary-3"),
    ]


@pytest.mark.parametrize(
    "plan",
    [
        ServerPlan(),
        ServerPlan(unix_socket=True, cpus=(0, 1)),
        ServerPlan(tls=True, config={"tls-protocols": "TLSv1.3"}),
        ServerPlan(topology="replicated", primaries=1, replicas=3),
        ServerPlan(topology="sentinel", tls=True),
        ServerPlan(topology="cluster", primaries=5, replicas=2, config={"cluster-node-timeout": "500"}),
    ],
)
def test_a_plan_that_can_be_has_no_faults(plan: ServerPlan) -> None:
    """Everything that the topologies are for."""
    assert plan_errors(plan, range(2)) == []


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (ServerPlan(topology="ring"), "not a topology; write one of standalone"),  # type: ignore[arg-type]
        (ServerPlan(topology="cluster", primaries=2), "a cluster of 2 can't tell .*; use 3 primaries or more"),
        (ServerPlan(topology="cluster", replicas=-1), "fewer than none; use 0 or more"),
        (ServerPlan(topology="cluster", primaries=SLOTS + 1), "16384 slots; use no more primaries"),
        (ServerPlan(topology="replicated", primaries=3), "one primary, not 3; leave primaries out"),
        (ServerPlan(topology="replicated", replicas=0), "replicated needs a replica; use replicas: 1 or more"),
        (ServerPlan(topology="sentinel", replicas=0), "sentinel needs a replica"),
        (ServerPlan(replicas=1), "standalone has no replicas; leave them out"),
        (ServerPlan(topology="cluster", unix_socket=True), "leads to one server, and cluster has several"),
        (ServerPlan(unix_socket=True, tls=True), "a unix socket has no TLS; leave one"),
        (ServerPlan(cpus=(1, 2, 7)), "no processor 2, 7; use some of 0, 1"),
        (ServerPlan(cpus=(1, 1)), "named twice; name each once"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(plan: ServerPlan, words: str) -> None:
    """Each with the way out."""
    (fault,) = plan_errors(plan, range(2))

    assert re.search(words, fault), fault


def test_all_faults_are_told_at_once() -> None:
    """As a file's are."""
    plan = ServerPlan(topology="cluster", primaries=1, unix_socket=True, tls=True, cpus=(9,), config={"port": "1"})

    assert len(plan_errors(plan, [0])) == 5


def test_the_url_of_each_topology() -> None:
    """One server, the Sentinels with the master's name, or the seeds of a cluster; with TLS the authority's file."""
    file = Path("/tmp/a b/authority.crt")

    assert connect_url(ServerPlan(), [1]) == "redis://127.0.0.1:1"
    assert connect_url(ServerPlan(tls=True), [1], file) == (
        "rediss://127.0.0.1:1?ssl_ca_certs=/tmp/a%20b/authority.crt"
    )
    assert connect_url(ServerPlan(topology="replicated"), [1, 2]) == "redis://127.0.0.1:1"
    assert connect_url(ServerPlan(topology="sentinel"), [1, 2, 3]) == (
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/ombdriver"
    )
    assert connect_url(ServerPlan(topology="sentinel", tls=True), [1], Path("/a")) == (
        "rediss+sentinel://127.0.0.1:1/ombdriver?ssl_ca_certs=/a"
    )
    assert connect_url(ServerPlan(topology="cluster"), [1, 2]) == "redis+cluster://127.0.0.1:1,127.0.0.1:2"
    assert connect_url(ServerPlan(topology="cluster", tls=True), [1], Path("/a")) == (
        "rediss+cluster://127.0.0.1:1?ssl_ca_certs=/a"
    )


@given(st.integers(3, 200))
def test_slots_are_dealt_evenly_and_without_a_gap(primaries: int) -> None:
    """Every slot has one primary, and no primary has two more than another."""
    ranges = slot_ranges(primaries)

    assert [slot for one in ranges for slot in one] == list(range(SLOTS))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_without_anybody_who_watches_the_primary_is_what_matters() -> None:
    """A replica may end; the primary may not."""
    plan = ServerPlan(topology="replicated", replicas=2)

    assert cannot_serve(plan, ["replica-1-1", "replica-1-2"]) is None
    assert cannot_serve(plan, ["primary-1"]) == "primary-1"


def test_behind_sentinels_the_last_server_with_data_is_what_matters() -> None:
    """Sentinels may end, and a replica takes over."""
    plan = ServerPlan(topology="sentinel", replicas=2)

    assert cannot_serve(plan, ["primary-1", "replica-1-1", "sentinel-1", "sentinel-2"]) is None
    assert cannot_serve(plan, ["primary-1", "replica-1-1", "replica-1-2"]) == "primary-1"


def test_a_cluster_is_over_when_a_primary_and_all_its_replicas_have_ended() -> None:
    """One of each is not enough."""
    plan = ServerPlan(topology="cluster", replicas=1)

    assert cannot_serve(plan, ["primary-1", "replica-2-1", "replica-3-1"]) is None
    assert cannot_serve(plan, ["primary-1", "primary-2", "replica-2-1"]) == "primary-2"


def test_the_repr_of_a_plan_holds_no_password() -> None:
    """Its configuration may."""
    assert "sesame" not in repr(ServerPlan(config={"requirepass": "sesame"}))


@pytest.mark.parametrize(
    ("plan", "limit"),
    [
        (ServerPlan(), {"maxmemory": "500", "maxmemory-policy": "noeviction"}),
        (ServerPlan(topology="replicated", replicas=1), {"maxmemory": "250", "maxmemory-policy": "noeviction"}),
        (ServerPlan(topology="sentinel", replicas=1), {"maxmemory": "250", "maxmemory-policy": "noeviction"}),
        (ServerPlan(topology="cluster", replicas=1), {"maxmemory": "83", "maxmemory-policy": "noeviction"}),
        (ServerPlan(config={"MaxMemory": "1gb"}), {"MaxMemory": "1gb"}),
        (
            ServerPlan(config={"maxmemory-policy": "allkeys-lru"}),
            {"maxmemory": "500", "maxmemory-policy": "allkeys-lru"},
        ),
    ],
)
def test_servers_share_half_of_what_the_machine_has_left(plan: ServerPlan, limit: dict[str, str]) -> None:
    """Each that holds data has the same limit; what the setup says of it stays, in any spelling."""
    assert with_memory_limit(plan, 1000).config == limit
    assert with_memory_limit(plan, None) == plan
