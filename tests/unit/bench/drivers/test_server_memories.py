"""`ServerMemories`: which replicas are asked, and how they are reached; no server is."""

import asyncio
from typing import Any, cast

import pytest

from ombdriver.bench.drivers.redis_streams.memory import ServerMemories, read_replicas, url_at
from ombdriver.messaging.errors import RedisError

MEMORY = b"used_memory:500\r\nmaxmemory:1000\r\nused_memory_rss:700\r\ntotal_system_memory:9000\r\n"
TWO = b"role:master\r\nslave0:ip=192.0.2.1,port=6380,state=online\r\nslave1:ip=::1,port=6381,state=online,lag=0\r\n"


class Node:
    """A server that says what is given; an error is raised, and `None` is no answer, ever."""

    def __init__(self, says: dict[str, object], address: tuple[str, int] | None = ("127.0.0.1", 6379)) -> None:
        self._says, self.address, self.closed = says, address, False

    async def execute(self, *words: str) -> object:
        """By the last word."""
        said = self._says[words[-1]]
        if said is None:
            await asyncio.Event().wait()
        if isinstance(said, Exception):
            raise said
        return said

    async def discover(self) -> None:
        """Nothing to do."""

    def controls(self) -> list["Node"]:
        """It alone."""
        return [self]

    def learn(self, _error: BaseException) -> bool:
        """Nothing."""
        return False

    async def aclose(self) -> None:
        """Notes it."""
        self.closed = True


def primary(replication: object = TWO) -> Any:
    """A primary on this machine."""
    return Node({"memory": MEMORY, "replication": replication})


def replica(ignores: object, memory: object = MEMORY) -> Node:
    """A replica that passes over its limit (`yes`), or holds it (`no`)."""
    return Node({"memory": memory, "replica-ignore-maxmemory": ignores})


async def test_replicas_are_asked_and_have_the_limits_that_they_heed() -> None:
    """At the addresses that their primary tells; whether each is on another machine goes by its address."""
    replicas = {
        "redis://192.0.2.1:6380/1": replica([b"replica-ignore-maxmemory", b"yes"]),
        "redis://[::1]:6381/1": replica([b"replica-ignore-maxmemory", b"no"]),
    }
    memories = ServerMemories("redis://127.0.0.1:6379/1", cast("Any", replicas.__getitem__))

    found = {each.name: each for each in await memories.look(primary())}
    await memories.aclose()

    assert [(name, each.limit, each.is_replica, each.is_elsewhere) for name, each in found.items()] == [
        ("127.0.0.1:6379", 1000, False, False),
        ("192.0.2.1:6380", None, True, True),
        ("::1:6381", 1000, True, False),
    ]
    assert {(each.resident, each.machine) for each in found.values()} == {(700, 9000)}
    assert all(each.closed for each in replicas.values())


@pytest.mark.parametrize(
    "other",
    [
        replica(None),
        replica([b"replica-ignore-maxmemory", b"no"], memory=None),
        replica([], memory=RedisError("NOPERM")),
        replica([], memory=b"# Memory"),
    ],
)
async def test_a_replica_that_tells_nothing_holds_up_no_look_at_the_others(other: Node) -> None:
    """Be it silent, forbidden, or another kind of server; what its primary says counts as always."""
    memories = ServerMemories("redis://127.0.0.1:6379", cast("Any", lambda _url: other))

    for _ in range(2):
        assert [each.name for each in await memories.look(primary())] == ["127.0.0.1:6379"]
    await memories.aclose()


@pytest.mark.parametrize("refusal", [RedisError("unknown command"), RedisError("NOPERM")])
async def test_a_replica_that_does_not_tell_its_settings_has_no_limit_that_is_known(refusal: Exception) -> None:
    """As is usual, it takes what its primary has."""
    memories = ServerMemories("redis://127.0.0.1:6379", cast("Any", lambda _url: replica(refusal)))

    limits = {each.name: each.limit for each in await memories.look(primary())}
    await memories.aclose()

    assert limits == {"127.0.0.1:6379": 1000, "192.0.2.1:6380": None, "::1:6381": None}


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("redis://127.0.0.1:6379", "redis://10.0.0.2:6380"),
        ("rediss://u:p%40w@h/2?ssl_ca_certs=ca.pem", "rediss://u:p%40w@10.0.0.2:6380/2?ssl_ca_certs=ca.pem"),
        ("unix://u:pw@/run/redis.sock?db=1", "redis://u:pw@10.0.0.2:6380"),
        ("redis+cluster://:pw@a:1,b:2", "redis://:pw@10.0.0.2:6380"),
        ("rediss+sentinel://u:pw@s:26379/mymaster/3?sentinel_password=x", "rediss://u:pw@10.0.0.2:6380/3"),
    ],
)
def test_a_replica_is_reached_as_its_primary_is(url: str, there: str) -> None:
    """With login, database, TLS and options of the URL, whatever kind of URL that is."""
    assert url_at(url, ("10.0.0.2", 6380)) == there


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("slave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=0", [("10.0.0.2", 6380)]),
        ("slave0:ip=10.0.0.2,port=6380,state=wait_bgsave,offset=0,lag=0", []),
        ("slave0:ip=10.0.0.2,port=0,state=online", []),
        ("slave0:ip=,port=6380,state=online", []),
        ("slave0:10.0.0.2,6380,online", []),
        ("slave_repl_offset:12", []),
    ],
)
def test_replicas_are_those_that_info_names_as_online(line: str, found: list[tuple[str, int]]) -> None:
    """What is written in another way names none."""
    assert read_replicas(f"# Replication\r\nrole:master\r\n{line}\r\n".encode()) == found
