"""`MQConsumer`: reads streams without a group, from where it stood last."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.client import MQClient
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Id, Key
from ombdriver.messaging.streams.readers import DEFAULT_BLOCK_MS, MultiSlotReader
from ombdriver.messaging.streams.replies import ReplyDecoder, Streams
from ombdriver.messaging.transport.per_loop import PerLoop
from ombdriver.messaging.transport.registry import RouterSource


class MQConsumer(MQClient):
    """An `MQClient` that reads; every consumer gets every message.

    Each instance remembers the last id that it gave out, per stream, so that nothing published between two calls of
    `block_read_messages` is missed.

    Args:
        stream_key: key of the stream that `block_read_messages` always reads.
        redis_name: as for `MQClient`.
        redis_url: as for `MQClient`; it and `redis_pool` are told apart by type.
        redis_pool: as for `MQClient`.
        kwargs: as for `MQClient`.

    Attributes:
        stream_key: as given.

    Raises:
        MessagingError: as for `MQClient`.
    """

    def __init__(
        self,
        stream_key: Key,
        redis_name: str | None = None,
        redis_url: Any = None,
        redis_pool: Any = None,
        **kwargs: Any,
    ) -> None:
        commands.key_bytes(stream_key)
        self.stream_key = stream_key
        self._cursors: dict[bytes, Id] = {}
        self._readers: PerLoop[tuple[MultiSlotReader, asyncio.Lock]] = PerLoop()
        self._adopt(RouterSource(redis_name, redis_url, redis_pool, kwargs), owns_source=True)

    def _what(self) -> str:
        return f" {self.stream_key!r}"

    def read_messages(self, streams: Mapping[Key, Id], count: int | None = None) -> Awaitable[Streams]:
        """What stands in `streams` after the ids given, without waiting: `[[stream, [(id, {field: value})]]]`.

        Args:
            streams: stream key to the last id already seen; 0 for all.
            count: entries per stream, at most.
        """
        commands.xread(streams, count, None)  # refuses here and now what can't be
        return self._read_now({commands.key_bytes(key): found for key, found in streams.items()}, count)

    async def _read_now(self, streams: dict[bytes, Id], count: int | None) -> Streams:
        def read(keys: list[bytes]) -> Awaitable[Streams]:
            words = commands.xread({key: streams[key] for key in keys}, count, None)
            return self._execute("XREAD", *words[1:], key=keys[0], shape=_streams)

        found = await asyncio.gather(*map(read, self._router().by_slot(streams)))
        return [pair for one in found for pair in one]

    def block_read_messages(
        self, *stream_key: Key, count: int | None = None, block: int | None = None, from_latest: bool = False
    ) -> Awaitable[Streams]:
        """Waits for messages of this consumer's stream and of those given; `[]` when the time is over.

        A stream's first read starts at the end of the stream as it is then; each later one where the one before ended.

        Args:
            stream_key: more streams to read.
            count: entries per stream, at most.
            block: milliseconds to wait if there is nothing yet; 0 waits for ever, None for 2 s.
            from_latest: start at the end of each stream again, and miss what came since the last read.
        """
        keys = tuple(dict.fromkeys(commands.key_bytes(key) for key in (self.stream_key, *stream_key)))
        block_ms = DEFAULT_BLOCK_MS if block is None else block
        commands.xread(dict.fromkeys(keys, "$"), count, block_ms)  # refuses here and now what can't be
        return self._read_on(keys, count, block_ms, from_latest)

    async def _read_on(self, keys: tuple[bytes, ...], count: int | None, block_ms: int, from_latest: bool) -> Streams:
        router = self._router()
        reader, reading = self._readers.get() or self._readers.set((MultiSlotReader(router), asyncio.Lock()))
        async with reading:  # two reads at once would give out the same messages twice
            for key in keys:
                if from_latest or key not in self._cursors:
                    self._cursors[key] = await self._end_of(key)
            streams = await reader.read({key: self._cursors[key] for key in keys}, count, block_ms)
            for stream, entries in streams:
                if entries:
                    self._cursors[commands.key_bytes(stream)] = entries[-1][0]
            return streams

    async def _end_of(self, key: bytes) -> Id:
        """The last id of the stream, a message that was deleted since included; '0-0' if there is no stream yet."""
        try:
            info = await self.get_stream_info(key)
        except ResponseError as error:
            if "no such key" in str(error):
                return "0-0"
            raise
        end: Id = info["last-generated-id"]
        return end

    async def aclose(self) -> None:
        """Closes the consumer. A read that still waits ends with an error."""
        await self._readers.aclose(lambda pair: pair[0].aclose())
        await super().aclose()


def _streams(decoder: ReplyDecoder, reply: Any) -> Streams:
    return decoder.read(reply).streams
