"""How many entries a partition keeps, and how much memory an entry takes. Pure.

Knows numbers only. That a group which lags holds trimming, so that nothing unread is trimmed, is `run.measurement`'s.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What a partition keeps.

    Attributes:
        kind: `auto` derives a length from rate and size; `none` keeps everything; `maxlen` and `maxage` are bounds;
            `acknowledged` keeps what a group has not acknowledged.
        max_length: entries, approximately unless `exact`; with `acknowledged` a bound that wins over a group.
        max_age_ns: nanoseconds; likewise.
        exact: cut to the entry, not to whole nodes of a stream.
    """

    kind: Literal["auto", "none", "maxlen", "maxage", "acknowledged"]
    max_length: int | None = None
    max_age_ns: int | None = None
    exact: bool = False


KEPT_SECONDS = 60
"""Seconds of traffic that `auto` keeps: how long a consumer may stall before trimming has to wait for it."""
KEYED_SKEW = 2
"""Keys spread unevenly over partitions: each partition has room for its even share times this."""
USUAL_LEAST_ENTRIES = 10_000
LEAST_ENTRIES = 1_000
MAX_KEPT_BYTES = 512 << 20
"""What all partitions together may keep, unless the least below is more."""
LEAST_SECONDS = 8
"""How much of its share a partition keeps in any case. The backlog is looked at every second, and trimming is held as
soon as it passes half of what is kept: four seconds of traffic must not fill the other half between two looks."""

ENTRY_OVERHEAD = 100
"""Bytes of an entry besides its message: id, field, and its share of the node that holds it."""


def entry_bytes(message_size: int) -> int:
    """What one entry takes in the server's memory, rather too much than too little.

    Measured on Redis 7.0: 115 bytes for 100, 1,204 for 1,024, 82,000 for 65,536: the allocator rounds up by as much as
    a quarter.
    """
    return message_size + message_size // 4 + ENTRY_OVERHEAD


@dataclass(frozen=True, slots=True)
class Trimming:
    """How a run's partitions are trimmed.

    Attributes:
        max_entries: about how many entries each keeps, by a bound that sending sets; None when it sets none.
        by_age_ms: the bound is an age, which makes about `max_entries` of it; None when it is the number.
        exact: cut to the entry.
        acknowledged: what all groups have acknowledged is cut, once a second.
        bound_entries: with `acknowledged`: no partition may keep more, whatever a group has not read; None: no bound.
        bound_age_ms: likewise, by age.
    """

    max_entries: int | None = None
    by_age_ms: int | None = None
    exact: bool = False
    acknowledged: bool = False
    bound_entries: int | None = None
    bound_age_ms: int | None = None


NO_TRIMMING = Trimming()
"""Everything is kept."""


def plan_trimming(
    retention: RetentionPolicy, *, rate: int, partitions: int, message_size: int, keyed: bool
) -> Trimming:
    """How to trim; `maxage` also as the number of entries of that time. Args: see `entries_to_keep`."""
    age_ms = None if retention.max_age_ns is None else retention.max_age_ns // 10**6
    if retention.kind == "acknowledged":
        return Trimming(
            exact=retention.exact, acknowledged=True, bound_entries=retention.max_length, bound_age_ms=age_ms
        )
    if retention.kind == "maxage":
        assert age_ms is not None
        share = rate * (KEYED_SKEW if keyed else 1)
        return Trimming(max(1, -(-share * age_ms // (1000 * partitions))), age_ms, retention.exact)
    kept = entries_to_keep(retention, rate=rate, partitions=partitions, message_size=message_size, keyed=keyed)
    return Trimming(kept, exact=retention.exact)


def entries_to_keep(
    retention: RetentionPolicy, *, rate: int, partitions: int, message_size: int, keyed: bool
) -> int | None:
    """About how many entries each partition keeps; None when nothing is trimmed.

    `auto` is a minute of the partition's share of the traffic (of twice that share when messages are keyed), at least
    10,000; less if all partitions together would pass 512 MiB; yet never below 8 s of that share, nor below 1,000,
    whatever that takes.

    Args:
        retention: `auto`, `none` or `maxlen`.
        rate: messages per second of the run.
        partitions: of all topics together.
        message_size: bytes.
        keyed: whether messages have keys.
    """
    if retention.kind == "none":
        return None
    if retention.kind == "maxlen":
        return retention.max_length
    share = rate * (KEYED_SKEW if keyed else 1)
    kept, least = (-(-seconds * share // partitions) for seconds in (KEPT_SECONDS, LEAST_SECONDS))
    affordable = MAX_KEPT_BYTES // (partitions * entry_bytes(message_size))
    return max(LEAST_ENTRIES, least, min(affordable, max(USUAL_LEAST_ENTRIES, kept)))


def affordable_rate(message_size: int) -> int:
    """Messages per second of which `auto` can keep the least time within its memory; 1 or more."""
    return max(1, MAX_KEPT_BYTES // (entry_bytes(message_size) * LEAST_SECONDS))
