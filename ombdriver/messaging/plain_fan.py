"""Reads without a group of streams that lie on several servers: one connection for each place, first come first served.

One XREAD can't cover two slots of a cluster. A read that nobody waits for any more is left where it is, and serves the
next call if that asks from the same ids: reading without a group takes nothing away.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ombdriver.messaging import commands
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.commands import Id
from ombdriver.messaging.connection import GUARD_S, Channels
from ombdriver.messaging.group_reader import look_at
from ombdriver.messaging.replies import ReadReply, Streams

LATE_S = 0.2
"""How much later than its time the end of a BLOCK may be told. A read of an earlier call may block for longer."""
_Asked = tuple[tuple[tuple[bytes, Id], ...], int | None]


@dataclass(slots=True)
class _Lane:
    channel: Channel
    asked: _Asked | None = None
    reply: "asyncio.Future[ReadReply] | None" = None


class PlainFan:
    """Blocking XREADs for one consumer, wherever its streams are.

    Args:
        channels: where the connections come from.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._lanes: dict[int, _Lane] = {}

    def serves(self, channels: Channels) -> bool:
        """Whether this reads over `channels`."""
        return self._channels is channels

    async def read(self, streams: Mapping[bytes, Id], count: int | None, block: int) -> Streams:
        """Waits for entries after the ids given, `block` milliseconds at most, 0 for ever; what comes first.

        It goes on at the new server after MOVED, a failover or a lost connection.

        Raises:
            redis.exceptions.RedisError: if a server refuses, or none could be reached for 30 s.
        """
        groups = self._channels.same_node(streams)
        patience = self._channels.patience(may_repeat=True)
        deadline = time.monotonic() + block / 1000 if block else None
        ended: set[int] = set()
        while True:
            left_s = max(0.0, deadline - time.monotonic()) if deadline is not None else None
            reads: dict[asyncio.Future[ReadReply], int] = {}
            for number, keys in enumerate(groups):
                if number not in ended:
                    asked = tuple((key, streams[key]) for key in keys), count
                    reads[await self._reply(asked, 0 if left_s is None else max(1, int(left_s * 1000)))] = number
            limit_s = None if left_s is None else left_s + LATE_S
            done, _ = await asyncio.wait(reads, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            for read in done:
                self._lanes[self._channels.place(groups[reads[read]][0])].reply = None
            found = [read.result() for read in done if not read.exception()]
            messages = [pair for reply in found for pair in reply.streams]
            if messages:
                order = {key: number for number, key in enumerate(streams)}
                return sorted(messages, key=lambda pair: order[commands.key_bytes(pair[0])])
            over = deadline is not None and time.monotonic() >= deadline - 0.001
            if over:
                ended.update(reads[read] for read in done if not read.exception())
            for error in filter(None, (read.exception() for read in done)):
                if not await patience.allows(error):
                    raise error
            if len(ended) == len(groups) or (over and not done):
                return []

    async def _reply(self, asked: _Asked, block: int) -> "asyncio.Future[ReadReply]":
        """The reply that is under way for this, or a new one."""
        first = asked[0][0][0]
        place = self._channels.place(first)
        lane = self._lanes.get(place)
        if lane is not None and lane.reply is not None and lane.asked != asked:
            await lane.channel.aclose()  # it waits for what nobody wants any more
            lane = None
        if lane is None:
            lane = self._lanes[place] = _Lane(self._channels.blocking(first))
        if lane.reply is None:
            words = commands.xread(dict(asked[0]), asked[1], block)
            guard_s = block / 1000 + GUARD_S if block else None
            sent = lane.channel.execute(*words, convert=self._channels.codec.read, guard_s=guard_s)
            lane.asked, lane.reply = asked, asyncio.ensure_future(sent)
            lane.reply.add_done_callback(look_at)
        return lane.reply

    async def aclose(self) -> None:
        """Closes the connections. A read that still waits ends with an error."""
        lanes, self._lanes = list(self._lanes.values()), {}
        await asyncio.gather(*(lane.channel.aclose() for lane in lanes))
