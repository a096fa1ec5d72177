"""Why a group is gone, by what the server tells afterwards."""

import pytest

from ombdriver.bench.drivers.redis_streams.missing_group import Found, reason

GONE = {"kind": "none", "evicted": 0, "policy": "noeviction", "uptime_s": 900, "read_s": 60.0, "keys": 5}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Found(kind="stream", is_same=True), "the group was destroyed while the stream k is there (XGROUP DESTROY)"),
        (Found(kind="stream", is_same=True, evicted=9, policy="allkeys-lru"), "the group was destroyed while"),
        (Found(kind="stream"), "was destroyed (XGROUP DESTROY), or its stream k was deleted or evicted"),
        (Found(), "was destroyed (XGROUP DESTROY), or its stream k was deleted or evicted"),
        (Found(kind="string"), "k holds a string now: another program has written there"),
        (Found(**GONE), "the stream k was deleted (DEL, UNLINK or FLUSHDB)"),
        (Found(**(GONE | {"kind": "stream", "is_same": False})), "k was deleted, and sending has made it anew"),
        (
            Found(**(GONE | {"evicted": 12, "policy": "allkeys-lru"})),
            "the stream k was evicted: the server was full, and",
        ),
        (
            Found(**(GONE | {"evicted": 1200, "policy": "allkeys-lru"})),
            "1,200 keys (maxmemory-policy allkeys-lru); set",
        ),
        (Found(**(GONE | {"evicted": 12})), "the stream k was deleted"),
        (Found(**(GONE | {"keys": 0})), "the server was emptied (FLUSHALL or FLUSHDB)"),
        (Found(**(GONE | {"keys": 0, "uptime_s": 3})), "the server was started 3 s ago, without the stream k"),
        (Found(**(GONE | {"keys": None, "uptime_s": None})), "the stream k was deleted"),
    ],
)
def test_each_reason_is_told_for_what_it_is(found: Found, said: str) -> None:
    """Never one for another; where the server does not tell, all that it may be."""
    text = reason("k", "g", found)

    assert said in text
    assert "; " in text
