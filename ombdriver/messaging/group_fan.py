"""Group reads of streams that lie on several servers: one `GroupReader` for each place, first come first served.

One XREADGROUP can't cover two slots of a cluster. A reply that comes besides, or to a call that was cancelled, is kept
for the next read, as `GroupReader` does.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redis.exceptions import RedisError

from ombdriver.messaging.commands import Id, Word
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.group_reader import GroupReader
from ombdriver.messaging.replies import ReadReply

Make = Callable[[Mapping[bytes, Id]], list[Word]]
"""The command that reads these streams from these ids."""


class GroupFan:
    """Reads for one consumer of one group, wherever its streams are.

    Args:
        channels: where the connections come from.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._readers: dict[int, GroupReader] = {}

    @property
    def parked(self) -> int:
        """Replies that wait for the next read."""
        return sum(reader.parked for reader in self._readers.values())

    def serves(self, channels: Channels) -> bool:
        """Whether this reads over `channels`."""
        return self._channels is channels

    def _reader(self, keys: list[bytes]) -> GroupReader:
        place = self._channels.place(keys[0])
        found = self._readers.get(place)
        if found is None:
            found = self._readers[place] = GroupReader(self._channels, keys[0])
        return found

    async def read(self, streams: Mapping[bytes, Id], make: Make, count: int | None, block: int | None) -> ReadReply:
        """As `GroupReader.read`; with `block` it gives what comes first, without it everything that is there.

        Args:
            streams: the streams with the ids to read from; `>` for new messages.
            make: the command for some of them.
            count: entries per stream at most.
            block: milliseconds, None without.
        """
        groups = self._channels.same_node(streams)
        if len(groups) == 1:
            return await self._reader(groups[0]).read(make(streams), _new(streams, groups[0]), count, block)
        reads = {}
        for keys in groups:
            words = make({key: streams[key] for key in keys})
            reader, new = self._reader(keys), _new(streams, keys)
            reads[asyncio.ensure_future(reader.read(words, new, count, block))] = reader, new
        try:
            found = await _first(reads) if block is not None else await asyncio.gather(*reads)
        except BaseException:
            await _end(reads)
            _park(reads)
            raise
        try:
            await _end(reads)
        except asyncio.CancelledError:
            _park(reads)
            raise
        given = set(map(id, found))
        _park({read: at for read, at in reads.items() if read.done() and not _is_given(read, given)})
        return _together(found, streams)

    async def aclose(self) -> None:
        """Closes the connections. A read that still waits ends with an error; parked replies stay pending."""
        await asyncio.gather(*(reader.aclose() for reader in self._readers.values()))


Reads = Mapping["asyncio.Task[ReadReply]", tuple[GroupReader, frozenset[bytes]]]


async def _first(reads: Iterable["asyncio.Task[ReadReply]"]) -> list[ReadReply]:
    """The replies of all that are done when one has brought messages; of all if none brings any."""
    waiting = set(reads)
    empty: list[ReadReply] = []
    fault: BaseException | None = None
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        replies = []
        for read in done:
            error = read.exception()
            if error is None:
                replies.append(read.result())
            elif fault is None or isinstance(fault, RedisError):
                fault = error
        if any(entries for reply in replies for _, entries in reply.streams):
            return replies  # a fault is met again by the next read
        empty += replies
        if fault is not None:
            raise fault
    return empty


async def _end(reads: Reads) -> None:
    rest = [read for read in reads if not read.done()]
    for read in rest:
        read.cancel()
    if rest:
        await asyncio.wait(rest)


def _is_given(read: "asyncio.Task[ReadReply]", given: set[int]) -> bool:
    return read.cancelled() or read.exception() is not None or id(read.result()) in given


def _park(reads: Reads) -> None:
    """Keeps what has come and is not handed over."""
    for read, (reader, new) in reads.items():
        if read.done() and not read.cancelled() and read.exception() is None and new:
            reader.park(new, read.result())


def _new(streams: Mapping[bytes, Id], keys: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(key for key in keys if streams[key] in (">", b">"))


def _together(replies: Iterable[ReadReply], streams: Mapping[bytes, Id]) -> ReadReply:
    """Several replies as one, streams in the order in which they were asked for."""
    place = {key: number for number, key in enumerate(streams)}
    merged: list[Any] = [pair for reply in replies for pair in reply.streams]
    merged.sort(key=lambda pair: place[pair[0].encode() if isinstance(pair[0], str) else pair[0]])
    return ReadReply(merged, {stream: gone for reply in replies for stream, gone in reply.deleted.items()})
