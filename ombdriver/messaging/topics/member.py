"""One member of a group: its names, its counts, and its way to ask the server. What all parts of a consumer share."""

import asyncio
from dataclasses import dataclass
from typing import Any

from ombdriver.messaging.connection import Channels
from ombdriver.messaging.resp import Argument, pack


@dataclass(slots=True)
class Counts:
    """What a consumer has done, counted as it happens; see `ConsumerStatistics` for what each one means."""

    received: int = 0
    redelivered: int = 0
    replayed: int = 0
    repeated: int = 0
    acknowledged: int = 0
    late_acknowledgements: int = 0
    nacked: int = 0
    rejected: int = 0
    deleted: int = 0
    given_back: int = 0
    reclaimed: int = 0
    lost: int = 0
    groups_made: int = 0
    reconnects: int = 0
    faults: int = 0


@dataclass(slots=True)
class Member:
    """A member of a group.

    Attributes:
        channels: the connections of its client.
        group: the group's name.
        name: the member's own.
        is_passing: nobody will have that name again.
        visibility_ms: a message that is pending for so long without a sign of life may go to another member.
        counts: see `Counts`.
    """

    channels: Channels
    group: bytes
    name: bytes
    is_passing: bool
    visibility_ms: int
    counts: Counts

    def ask(self, key: bytes, *words: Argument) -> "asyncio.Future[Any]":
        """A small command on `key` that may be carried out twice; its reply as it is, in bytes.

        It finds its server, and is sent again for up to 30 s while connections get lost.

        Raises:
            redis.exceptions.RedisError: when awaited, what the server answers, or what the last attempt met.
            ClosedError: at once, if the client was closed.
        """
        return self.channels.send(key, pack(words), bulk=False, may_repeat=True)
