"""How many entries a partition keeps, and how much memory an entry takes. Pure.

Knows numbers only. That a group which lags holds trimming, so that nothing unread is trimmed, is `course`'s.
"""

from typing import Literal

Retention = int | Literal["auto", "none"]
"""`auto`: derived from rate and size. `none`: nothing is trimmed. A number: about so many entries per partition."""

KEPT_SECONDS = 60
"""How much traffic `auto` keeps: so long may a consumer stall before trimming has to wait for it."""
KEYED_SKEW = 2
"""Keys spread unevenly over partitions; each partition is given room for so many times its even share."""
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


def entries_to_keep(retention: Retention, *, rate: int, partitions: int, message_size: int, keyed: bool) -> int | None:
    """About how many entries each partition keeps; None when nothing is trimmed.

    `auto` is a minute of the partition's share of the traffic (of twice that share when messages are keyed), at least
    10,000; less if all partitions together would pass 512 MiB; yet never below 8 s of that share, nor below 1,000,
    whatever that takes.

    Args:
        retention: what the setup says.
        rate: messages per second of the run.
        partitions: of all topics together.
        message_size: bytes.
        keyed: whether messages have keys.
    """
    if retention == "none":
        return None
    if retention != "auto":
        return retention
    share = rate * (KEYED_SKEW if keyed else 1)
    kept, least = (-(-seconds * share // partitions) for seconds in (KEPT_SECONDS, LEAST_SECONDS))
    affordable = MAX_KEPT_BYTES // (partitions * entry_bytes(message_size))
    return max(LEAST_ENTRIES, least, min(affordable, max(USUAL_LEAST_ENTRIES, kept)))
