"""`GroupConsumer`: one member of a consumer group; reads, acknowledges, looks at what it has pending."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError, ResponseError

from ombdriver.messaging.client import MQClient
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Id, Key
from ombdriver.messaging.streams.readers import DEFAULT_BLOCK_MS, MultiSlotGroupReader
from ombdriver.messaging.streams.replies import Streams
from ombdriver.messaging.streams.resumption import EntryMark, make_again, mark_of
from ombdriver.messaging.transport.blocking import ignore_outcome
from ombdriver.messaging.transport.channel import ConnectionStatistics
from ombdriver.messaging.transport.connection import Argument
from ombdriver.messaging.transport.per_loop import PerLoop
from ombdriver.messaging.transport.registry import RouterSource

if TYPE_CHECKING:
    from ombdriver.messaging.group import Group

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroupConsumerStatistics(ConnectionStatistics):
    """What one consumer has done, besides what the connections have, shared ones included.

    Attributes:
        received: messages given out.
        parked: replies of cancelled reads that wait for the next read.
        deleted: pending messages acknowledged because their content was gone.
    """

    received: int
    parked: int
    deleted: int


class GroupConsumer(MQClient):
    """A member of a group: each message of a stream goes to one member, and stays pending until acknowledged.

    A read that is cancelled loses nothing: what the server gave to it is what the next read of this object returns, and
    if that was lost with its connection, the next read raises `OutcomeUnknownError`.

    Args:
        stream_key: key of the stream that `block_read_messages` always reads, and that acknowledgements go to.
        group_name: the group, which exists.
        consumer_id: name of this member; the server learns it with the first read.
        redis_name: as for `MQClient`.
        redis_pool: as for `MQClient`.
        group: the group object whose connections to use, in place of the others.
        redis_url: as for `MQClient`.
        kwargs: as for `MQClient`.

    Attributes:
        stream_key: as given.
        group_name: as given.
        consumer_id: as given.
        redis_name: as given, or the group's.

    Raises:
        MessagingError: as for `MQClient`.
        MessagingValueError: if a name is empty, too.
    """

    def __init__(
        self,
        stream_key: Key,
        group_name: Key,
        consumer_id: Key,
        redis_name: str | None = None,
        redis_pool: Any = None,
        group: "Group | None" = None,
        *,
        redis_url: Any = None,
        **kwargs: Any,
    ) -> None:
        self._key = commands.key_bytes(stream_key)
        commands.key_bytes(group_name, "group_name")
        commands.key_bytes(consumer_id, "consumer_id")
        self.stream_key = stream_key
        self.group_name = group_name
        self.consumer_id = consumer_id
        source = group._source if group is not None else RouterSource(redis_name, redis_url, redis_pool, kwargs)
        self.redis_name = redis_name or source.name
        self._group = group
        self._readers: PerLoop[MultiSlotGroupReader] = PerLoop()
        self._received = 0
        self._deleted = 0
        self._marks: dict[bytes, EntryMark] = {}
        """The last entry of each stream besides its own, by its key, of those whose group was there."""
        self._adopt(source, owns_source=group is None)

    def _what(self) -> str:
        return f" {self.stream_key!r} group={self.group_name!r} consumer={self.consumer_id!r}"

    def read_messages(
        self, streams: Mapping[Key, Id], count: int | None = None, noack: bool = False
    ) -> Awaitable[Streams]:
        """Reads without waiting: `[[stream, [(id, {field: value})]]]`, or `[]`.

        With `>` as id: messages that nobody in the group has got yet. With another id: this consumer's own pending
        messages after it (0 for all), as `[[stream, []]]` when there are none; those whose content was trimmed or
        deleted can't be handled any more, so they are acknowledged here, and left out.

        Args:
            streams: stream key to id.
            count: entries per stream, at most.
            noack: deliver without keeping the messages pending.

        Raises:
            MessagingValueError: at once, if an argument can't be.
            OutcomeUnknownError: when awaited, if the connection was lost: what was delivered is pending, read it by 0.
            redis.exceptions.ResponseError: when awaited, NOGROUP if the group is not there, and what else is refused.
        """
        commands.xreadgroup(self.group_name, self.consumer_id, streams, count, None, noack)  # refuses what can't be
        by_key = {commands.key_bytes(key): found for key, found in streams.items()}
        return self._read(by_key, count, None, noack)

    def block_read_messages(
        self, *stream_key: Key, block: int | None = None, count: int | None = None, noack: bool = False
    ) -> Awaitable[Streams]:
        """Waits for messages that nobody in the group has got; `[]` when the time is over.

        On several streams the group is made where it is missing, for messages from now on, and where it was there
        before, so that nothing is missed (docs/library/consume.md has what comes twice); the first stream's group must
        be there. In a cluster there is one read for each slot, and what comes first is given.

        Args:
            stream_key: more streams to read; this consumer's own comes first, then these in their order.
            block: milliseconds to wait if there is nothing; 0 waits for ever, None for 2 s.
            count: entries per stream, at most.
            noack: deliver without keeping the messages pending.

        Raises:
            redis.exceptions.RedisError: as for `read_messages`.
        """
        block_ms = DEFAULT_BLOCK_MS if block is None else block
        streams: dict[bytes, Id] = dict.fromkeys(
            (commands.key_bytes(key) for key in (self.stream_key, *stream_key)), ">"
        )
        commands.xreadgroup(self.group_name, self.consumer_id, streams, count, block_ms, noack)  # refuses what can't be
        return self._read(streams, count, block_ms, noack)

    async def _read(self, streams: Mapping[bytes, Id], count: int | None, block_ms: int | None, noack: bool) -> Streams:
        def command(some: Mapping[Any, Id], part_ms: int | None) -> list[Argument]:
            return commands.xreadgroup(self.group_name, self.consumer_id, some, count, part_ms, noack)

        router = self._router()
        reader = self._readers.get() or self._readers.set(MultiSlotGroupReader(router))
        reads_new = any(found in (">", b">") for found in streams.values())
        is_healed = False
        while True:
            try:
                reply = await reader.read(streams, command, count, block_ms)
            except ResponseError as error:
                others = [key for key in streams if key != self._key]
                if is_healed or not others or not str(error).startswith("NOGROUP"):
                    raise
                is_healed = True
                for key in others:
                    await self._make_group(key)
                continue
            if reply.deleted:
                acknowledged = [self._acknowledge_deleted(stream, ids) for stream, ids in reply.deleted.items()]
                is_empty = not any(entries for _, entries in reply.streams)
                if is_empty or not reads_new:  # new messages are handed over first: a cancel here would strand them
                    await asyncio.gather(*acknowledged)
                if is_empty:
                    continue  # a page of nothing but deleted messages is not the end of what is pending
            if reads_new and len(streams) > 1:
                self._mark(streams, reply.streams)
            self._received += sum(len(entries) for _, entries in reply.streams)
            return reply.streams

    def _mark(self, streams: Iterable[bytes], reply: Streams) -> None:
        """Marks how far the group was given entries of the streams besides its own."""
        for key in streams:
            if key != self._key:
                self._marks.setdefault(key, EntryMark())
        for stream, entries in reply:
            if entries and (key := commands.key_bytes(stream)) != self._key:
                entry_id, fields = entries[-1]
                parts = (part for pair in fields.items() for part in pair)
                self._marks[key] = mark_of(_bytes_of(entry_id), [_bytes_of(part) for part in parts])

    async def _make_group(self, key: bytes) -> None:
        mark = self._marks.get(key)
        if mark is not None:
            made = await make_again(self._router(), key, commands.key_bytes(self.group_name), mark)
            if made.place is not None:
                logger.warning(
                    "group %r was gone from stream %r; it was made again, after id %s",
                    self.group_name,
                    key,
                    made.place.decode(),
                )
            return
        try:
            end = await self._end_of(key)
            await self._execute("XGROUP CREATE", key, self.group_name, "$", "MKSTREAM")
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        else:
            self._marks[key] = end
            logger.info("group %r made on stream %r, for messages from now on", self.group_name, key)

    async def _end_of(self, key: bytes) -> EntryMark:
        """The last entry of a stream; none, if the user may not look."""
        with contextlib.suppress(NoPermissionError):
            found = await self._router().execute_idempotent(key, "XREVRANGE", key, "+", "-", "COUNT", 1)
            if found:
                return mark_of(*found[0])
        return EntryMark()

    def _acknowledge_deleted(self, stream: Key, ids: list[Id]) -> asyncio.Future[int]:
        self._deleted += len(ids)
        key = commands.key_bytes(stream)
        answer: asyncio.Future[int] = asyncio.ensure_future(
            self._router().execute_idempotent(key, "XACK", key, self.group_name, *ids)
        )
        answer.add_done_callback(ignore_outcome)  # if it fails, the next read of what is pending meets them again
        return answer

    def query_pending_messages(
        self, min_msg_id: Id = "-", max_msg_id: Id = "+", count: int = 10, *, stream_key: Key | None = None
    ) -> Awaitable[list[dict[str, Any]]]:
        """This consumer's pending messages in a range of ids.

        Each as `message_id`, `consumer`, `time_since_delivered` (ms) and `times_delivered`.
        """
        key = commands.key_bytes(self.stream_key if stream_key is None else stream_key)
        words = commands.xpending(key, self.group_name, min_msg_id, max_msg_id, count, self.consumer_id, None)
        return self._execute("XPENDING", *words, parse_detail=True)

    def ack_message(self, *msg_id: Id, stream_key: Key | None = None) -> Awaitable[int]:
        """Acknowledges messages; gives how many of them were pending.

        Args:
            msg_id: their ids.
            stream_key: the stream that they came from, when it is not this consumer's own.

        Raises:
            MessagingValueError: at once, if there is no id.
        """
        key = commands.key_bytes(self.stream_key if stream_key is None else stream_key)
        return self._router().execute_idempotent(key, "XACK", key, self.group_name, *commands.ids(msg_id))

    def statistics(self) -> GroupConsumerStatistics:
        """What this consumer and its connections have done so far."""
        shared = super().statistics()
        reader = self._readers.get()
        parked = reader.parked if reader is not None else 0
        return GroupConsumerStatistics(
            shared.bulk, shared.control, shared.blocking, shared.reading, self._received, parked, self._deleted
        )

    async def aclose(self) -> None:
        """Closes the consumer's connection. A read that still waits ends with an error; what is pending stays so."""
        await super().aclose()
        await self._readers.aclose(MultiSlotGroupReader.aclose)


def _bytes_of(text: str | bytes) -> bytes:
    """What the server has, of what a reply was decoded to."""
    return text.encode() if isinstance(text, str) else text
