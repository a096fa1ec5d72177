"""What a server that is not ours has to offer before anything is created on it."""

import pytest

from ombdriver.bench.run.preflight import memory_errors, missing_requirements, safety_errors
from ombdriver.bench.spec.setup import Requirements
from ombdriver.bench.verdict.caveats import caveats_of
from ombdriver.bench.verdict.facts import Facts

MIB = 1 << 20
GIB = 1 << 30


def facts(**changed: object) -> dict[str, object]:
    """A server with 100 MiB used, a limit of 1 GiB and no eviction."""
    values: dict[str, object] = {
        "usedMemoryBytes": 100 * MIB,
        "maxMemoryBytes": GIB,
        "systemMemoryBytes": 16 * GIB,
        "evictionPolicy": "noeviction",
    }
    return values | changed


def test_a_server_with_room_is_taken() -> None:
    """Also right up to its limit."""
    assert memory_errors(facts(), 200 * MIB) == []
    assert memory_errors(facts(), 924 * MIB) == []


def test_too_small_a_limit_is_a_fault() -> None:
    """The limit, what is used, and what the run needs are told, and the way out."""
    (fault,) = memory_errors(facts(), 960 * MIB)

    assert "maxmemory is 1 GiB" in fault
    assert "100 MiB" in fault
    assert "960 MiB" in fault
    assert "or raise maxmemory" in fault


def test_without_a_limit_the_machine_is_the_limit() -> None:
    """A server without maxmemory takes what its machine has."""
    assert memory_errors(facts(maxMemoryBytes=0), 15 * GIB) == []
    (fault,) = memory_errors(facts(maxMemoryBytes=0), 16 * GIB)

    assert "the server's machine has 16 GiB" in fault


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_a_fault(policy: str) -> None:
    """Messages could vanish, and the run would not know; without a limit nothing is ever evicted."""
    (fault,) = safety_errors(facts(evictionPolicy=policy))

    assert f"maxmemory-policy {policy}" in fault
    assert "set maxmemory-policy noeviction" in fault
    assert safety_errors(facts(evictionPolicy=policy, maxMemoryBytes=0)) == []


def test_what_a_server_does_not_tell_is_no_fault() -> None:
    """One that refuses INFO may be used; nothing is guessed."""
    unknown = dict.fromkeys(("usedMemoryBytes", "maxMemoryBytes", "systemMemoryBytes", "evictionPolicy", "role"))
    replicas = {"replicas": None, "mode": None, "version": None}

    assert [*safety_errors(unknown), *safety_errors(facts(evictionPolicy=None))] == []
    assert memory_errors(unknown, 10 * GIB) == []
    assert missing_requirements(replicas, Requirements(minid=True, replicas=2)) == []
    (fault,) = missing_requirements({**replicas, "hasMinid": False}, Requirements(minid=True))
    assert "None" not in fault


def test_a_replica_is_a_fault() -> None:
    """It could only fail later."""
    (fault,) = safety_errors(facts(role="slave"))

    assert "give the address of its primary" in fault
    assert safety_errors(facts(mode="standalone", role="master")) == []


def test_all_faults_are_told_at_once() -> None:
    """A replica, and evicting: both."""
    server = facts(evictionPolicy="allkeys-lru", role="slave")

    assert len(safety_errors(server)) == 2


def test_what_a_driver_does_not_tell_is_not_judged() -> None:
    """A third party's driver may know no memory at all."""
    for known in ({}, {"maxMemoryBytes": "?", "usedMemoryBytes": None}):
        assert [*safety_errors(known), *memory_errors(known, GIB)] == []


def test_for_a_backlog_a_smaller_one_would_do() -> None:
    """That is a way out then; so is --force, for whatever needs the memory."""
    (without,) = memory_errors(facts(), 960 * MIB)
    (fault,) = memory_errors(facts(), 960 * MIB, backlog=True)

    assert "consumerBacklogSizeGB" not in without
    assert "lower the rate, the message size, consumerBacklogSizeGB or the duration" in fault
    assert all(each.endswith("--force starts the run all the same") for each in (without, fault))


def test_what_was_forced_is_a_caveat() -> None:
    """With the figures, and without the ways out."""
    (caveat,) = caveats_of(Facts(window_ns=60 * 10**9, forced=memory_errors(facts(), 960 * MIB)))

    assert caveat.kind == "forced"
    assert caveat.message.startswith("started by --force, though the server's maxmemory is 1 GiB")
    assert caveat.message.endswith("the run needs about 960 MiB")


@pytest.mark.parametrize(
    ("facts", "requirements", "fault"),
    [
        (
            {"hasMinid": False, "version": "5.0.14"},
            Requirements(minid=True),
            "(MINID) came with Redis 6.2",
        ),
        ({"hasXackdel": False}, Requirements(xackdel=True), "which Redis has from 8.2 on (Valkey has not)"),
        ({"replicas": 1}, Requirements(replicas=2), "waitReplicas is 2, and the server has 1 replicas"),
        ({"hasWaitaof": False, "version": "7.0.15"}, Requirements(waitaof=True), "from 7.2 on; use such a server"),
        ({"config": {"appendonly": "no"}}, Requirements(waitaof=True), "set appendonly yes on it, or remove waitAof"),
        (
            {"hasWaitaof": True, "config": {"appendonly": "yes", "appendfsync": "no"}},
            Requirements(waitaof=True),
            "set appendfsync everysec or always on it",
        ),
        (
            {"hasMinid": False, "version": "6.0.16"},
            Requirements(xautoclaim=True),
            "XAUTOCLAIM, which came with Redis 6.2, and the server is version 6.0.16",
        ),
        (
            {"hasMinid": False, "version": "6.0.16"},
            Requirements(runner=True),
            "client.consumer: runner needs Redis 6.2, as the messaging library does, and the server is version 6.0.16",
        ),
        ({"mode": "cluster"}, Requirements(), "write redis+cluster://HOST:PORT"),
        ({"mode": "standalone"}, Requirements(cluster=True), "stands alone"),
        ({"mode": "sentinel"}, Requirements(), "write redis+sentinel://HOST:PORT/MASTER"),
    ],
)
def test_what_a_server_lacks_is_told_with_the_way_out(
    facts: dict[str, object], requirements: Requirements, fault: str
) -> None:
    """One sentence for each."""
    (found,) = missing_requirements(facts, requirements)

    assert fault in found


@pytest.mark.parametrize(
    ("facts", "requirements"),
    [
        ({}, Requirements(minid=True, xackdel=True, replicas=1, cluster=True, waitaof=True)),
        ({"hasWaitaof": True, "config": {"appendonly": "yes", "appendfsync": "always"}}, Requirements(waitaof=True)),
        ({"hasWaitaof": True, "config": None}, Requirements(waitaof=True)),
        (
            {"hasMinid": True, "hasXackdel": True, "replicas": 2, "mode": "cluster"},
            Requirements(True, True, 2, True),
        ),
        ({"hasMinid": False, "hasXackdel": False, "replicas": 0, "mode": "standalone"}, Requirements()),
        ({"redisVersion": "4.0.0"}, Requirements(minid=True)),
    ],
)
def test_what_is_there_or_not_known_is_no_fault(facts: dict[str, object], requirements: Requirements) -> None:
    """A driver that tells nothing of it is not judged."""
    assert missing_requirements(facts, requirements) == []
