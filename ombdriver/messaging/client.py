"""`MQClient`: manages and queries streams, and opens producers, consumers, runners and dead letters of topics.

The base of all clients of the stream level too. Its own commands are rare, so they go through `Router.execute`, which
gives bytes; a `ReplyDecoder` makes the caller's shape of them.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import fields, replace
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from ombdriver.messaging.errors import ClosedError, MessagingError, MessagingValueError, unknown_option
from ombdriver.messaging.streams import commands, trimmer
from ombdriver.messaging.streams.commands import Id, Key, key_bytes
from ombdriver.messaging.streams.placement import balanced_topic
from ombdriver.messaging.streams.replies import ReplyDecoder
from ombdriver.messaging.streams.retention import Retention
from ombdriver.messaging.streams.topic import Topic, topic_of
from ombdriver.messaging.streams.trimmer import AcknowledgedTrimmer
from ombdriver.messaging.topics.codec import Codec, Value, checked_codec
from ombdriver.messaging.topics.consumer.config import ConsumerOptions, ConsumerSettings
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.consumer.group import observer
from ombdriver.messaging.topics.consumer.lag import Lag, read_lag
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.foreign_options import WAYS_OUT
from ombdriver.messaging.topics.producer.config import ProducerOptions, ProducerSettings
from ombdriver.messaging.topics.producer.producer import Producer
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetters
from ombdriver.messaging.topics.recovery.delayed import DelayedMessages
from ombdriver.messaging.topics.runner.config import RunnerOptions, RunnerSettings
from ombdriver.messaging.topics.runner.runner import Runner
from ombdriver.messaging.transport.channel import ConnectionStatistics
from ombdriver.messaging.transport.connection import Argument
from ombdriver.messaging.transport.registry import RouterSource
from ombdriver.messaging.transport.router import Router


class MQClient:
    """Manages and queries streams, and opens producers, consumers and runners of topics.

    Clients with the same `redis_name` share connections within an event loop, until `RedisPool.close_redis`. A client
    with only a URL has its own, and closes them. A `redis_pool` lends its settings, and is never closed.
    It may be made outside of an event loop; connections are made on first use, anew in each loop.

    Args:
        redis_name: name under which connections are shared; a URL in its place is taken as the URL.
        redis_url: `redis://`, `rediss://` or `unix://`, with user, password and db; `redis+cluster://` with seeds, or
            `redis+sentinel://` with Sentinels and the master's name (rediss+… with TLS).
        redis_pool: a redis.asyncio client, a RedisCluster or one of Sentinel.master_for too; wins over the other two.
        kwargs: as for `redis.asyncio.Redis.from_url`; `decode_responses` is True unless given.

    Raises:
        MessagingError: if none of the three is given, or `redis_name` alone names nothing that is open.
        MessagingValueError: if an argument can't be, or the name stands for another connection already.
    """

    def __init__(
        self, redis_name: str | None = None, redis_url: Any = None, redis_pool: Any = None, **kwargs: Any
    ) -> None:
        self._adopt(RouterSource(redis_name, redis_url, redis_pool, kwargs), owns_source=True)

    def _adopt(self, source: RouterSource, *, owns_source: bool) -> None:
        self._source = source
        self._owns_source = owns_source
        self._closed = False

    @classmethod
    def create_from_url(cls, redis_name: str | None, redis_url: str | None = None, **kwargs: Any) -> Self:
        """A client of this class for a URL; `kwargs` also holds what the class asks for (`stream_key`, ...)."""
        return cls(redis_name=redis_name, redis_url=redis_url, **kwargs)

    @classmethod
    def create_from_redis_pool(cls, redis_pool: Any = None, **kwargs: Any) -> Self:
        """A client of this class on a redis.asyncio client; `kwargs` holds what the class asks for.

        Raises:
            MessagingError: if `redis_pool` is None.
        """
        if redis_pool is None:
            raise MessagingError("redis_pool is None; give a redis.asyncio.Redis client")
        return cls(redis_pool=redis_pool, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{self._what()} {'closed' if self._closed else repr(self._source)}>"

    def _what(self) -> str:
        return ""

    # -- life ------------------------------------------------------------------------------------------------------

    @property
    def redis_pool(self) -> Any:
        """The redis-py client behind this one, in the running event loop."""
        return self._router().redis

    def _router(self) -> Router:
        if self._closed:
            raise ClosedError(f"this {type(self).__name__} was closed; make a new one")
        return self._source.router()

    def statistics(self) -> ConnectionStatistics:
        """What the connections have done so far, those of every client that shares them."""
        return self._router().statistics()

    async def check_health(self) -> bool:
        """True if the server answers PING, in a cluster each primary, and all work in the background goes on.

        That is what consumers, runners and trimmers do over these connections beside what they are asked for: reading
        ahead, renewing leases, taking over, trimming.

        Raises:
            redis.exceptions.RedisError: if there is no answer, with the reason.
            MessagingError: if some of that work fails at present, with what and why; it is tried again.
        """
        router = self._router()
        is_well = await router.ping()
        router.health.check()
        return is_well

    async def aclose(self) -> None:
        """Closes this client, and its connections if it has them for itself. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._owns_source:
            await self._source.aclose()

    async def close(self) -> None:
        """The same as `aclose`."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- commands --------------------------------------------------------------------------------------------------

    def get_stream_length(self, stream_key: Key) -> Awaitable[int]:
        """How many entries the stream holds; 0 if there is none of that name."""
        return self._execute("XLEN", commands.key_bytes(stream_key))

    def query_messages(
        self, stream_key: Key, min_id: Id = "-", max_id: Id = "+", count: int | None = None
    ) -> Awaitable[list[Any]]:
        """Entries `(id, {field: value})` from `min_id` to `max_id`, oldest first; `count` of them at most."""
        return self._range("XRANGE", stream_key, min_id, max_id, count)

    def reverse_query_messages(
        self, stream_key: Key, max_id: Id = "+", min_id: Id = "-", count: int | None = None
    ) -> Awaitable[list[Any]]:
        """Entries from `max_id` down to `min_id`, newest first. The two bounds may be given either way round."""
        return self._range("XREVRANGE", stream_key, *commands.in_reverse(max_id, min_id), count)

    def get_stream_info(self, stream_key: Key) -> Awaitable[dict[str, Any]]:
        """XINFO STREAM; `first-entry` and `last-entry` are entries `(id, {field: value})`, or None.

        Raises:
            redis.exceptions.ResponseError: when awaited, if there is no such stream.
        """
        return self._execute("XINFO STREAM", commands.key_bytes(stream_key), shape=ReplyDecoder.stream_info)

    def delete_message(self, stream_key: Key, *ids: Id, ref_policy: str | None = None) -> Awaitable[Any]:
        """Deletes messages; gives how many there were.

        With `ref_policy` (Redis 8.2 and later: KEEPREF, DELREF or ACKED) it is XDELEX, and gives one number per id:
        1 deleted, -1 no such message, 2 kept because a group has not acknowledged it.
        """
        key, found = commands.key_bytes(stream_key), commands.ids(ids)
        if ref_policy is None:
            return self._execute("XDEL", key, *found)
        return self._execute("XDELEX", key, *commands.policy(ref_policy), "IDS", len(found), *found)

    def trim_stream(
        self,
        stream_key: Key,
        maxlen: int | None = None,
        approximate: bool = True,
        *,
        minid: Id | None = None,
        limit: int | None = None,
        ref_policy: str | None = None,
    ) -> Awaitable[int]:
        """Removes the oldest messages; gives how many. What groups have not read yet goes too: see `trim_acknowledged`.

        Args:
            stream_key: the stream.
            maxlen: keep so many.
            approximate: remove whole nodes of the stream only, which is much cheaper; more may stay than was asked.
            minid: keep ids from this one on, in place of `maxlen`.
            limit: look at so many entries at most, when approximate.
            ref_policy: KEEPREF, DELREF or ACKED (Redis 8.2 and later).
        """
        bounds = commands.trimming(maxlen, minid, approximate, limit)
        if not bounds:
            raise MessagingValueError("neither maxlen nor minid was given; give one of them")
        return self._execute("XTRIM", commands.key_bytes(stream_key), *bounds, *commands.policy(ref_policy))

    async def trim_acknowledged(self, stream_key: Key, approximate: bool = True) -> int:
        """Removes the messages that every group has read and acknowledged; gives how many. No group: removes none.

        On any server. A group that nobody reads keeps everything from where it stands.
        """
        key = commands.key_bytes(stream_key)
        return (await trimmer.trim(self._router(), key, approximate=approximate)).removed

    def keep_trimmed(
        self,
        keys: Iterable[Key],
        every_s: float = 1.0,
        maxlen: int | None = None,
        max_age_s: float | None = None,
        approximate: bool = True,
        dead_after_s: float = 60.0,
    ) -> AcknowledgedTrimmer:
        """Removes what every group has acknowledged, in the background: `async with client.keep_trimmed(keys): ...`.

        Args and errors are those of `AcknowledgedTrimmer`. Closing the client ends it too.
        """
        return AcknowledgedTrimmer(
            self._router,
            keys,
            every_s=every_s,
            maxlen=maxlen,
            max_age_s=max_age_s,
            approximate=approximate,
            dead_after_s=dead_after_s,
        )

    # -- topics ----------------------------------------------------------------------------------------------------

    async def balanced_topic(self, name: str, partitions: int, *, retention: Retention | None = None) -> Topic:
        """A topic whose partitions are spread evenly over the primaries of a cluster, the same for everybody who asks.

        The first who asks chooses, and records the choice at `{name}:placement`. On one server the topic is
        `Topic(name, partitions)`, and nothing is recorded. `retention` is that of `Topic`.

        Raises:
            MessagingValueError: if the name or the number can't be, or the topic is recorded with another number.
            redis.exceptions.RedisError: if the server can't be asked.
        """
        return replace(await balanced_topic(self._router(), name, partitions), retention=retention)

    @overload
    def producer(self, topic: Topic | str, **options: Unpack[ProducerOptions]) -> Producer[bytes]: ...

    @overload
    def producer(
        self, topic: Topic | str, *, codec: Codec[Value], **options: Unpack[ProducerOptions]
    ) -> Producer[Value]: ...

    def producer(
        self, topic: Topic | str, *, codec: Codec[Any] | None = None, **options: Unpack[ProducerOptions]
    ) -> Producer[Any]:
        """Sends to a topic: `async with client.producer(topic) as producer: ...`.

        Args:
            topic: where to; a name is a topic of one partition.
            codec: makes bytes of values; without one they are bytes.
            options: those of `ProducerSettings`.

        Raises:
            MessagingValueError: if one of them can't be.
        """
        settings = _settings(ProducerSettings, options, "client.producer()")
        return Producer(self._router, topic, checked_codec(codec), settings)

    @overload
    def consumer(
        self, topic: Topic | str, group: str, name: str | None = None, **options: Unpack[ConsumerOptions]
    ) -> Consumer[bytes]: ...

    @overload
    def consumer(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Value],
        **options: Unpack[ConsumerOptions],
    ) -> Consumer[Value]: ...

    def consumer(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Any] | None = None,
        **options: Unpack[ConsumerOptions],
    ) -> Consumer[Any]:
        """A member of a group on all partitions of a topic: `async with client.consumer("orders", "billing") as c:`.

        `topic` is a `Topic`, or the name of one with a single partition; values are bytes without a `codec`. All
        arguments and errors are those of `Consumer` and `ConsumerSettings`. Close it before this client.
        """
        settings = _settings(ConsumerSettings, options, "client.consumer()")
        return Consumer(self._router, topic, group, name, codec=checked_codec(codec), settings=settings)

    @overload
    def runner(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        handler: Callable[[Message[bytes]], Coroutine[Any, Any, object]] | None = None,
        **options: Unpack[RunnerOptions],
    ) -> Runner[bytes]: ...

    @overload
    def runner(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Value],
        handler: Callable[[Message[Value]], Coroutine[Any, Any, object]] | None = None,
        **options: Unpack[RunnerOptions],
    ) -> Runner[Value]: ...

    def runner(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Any] | None = None,
        handler: Callable[[Message[Any]], Coroutine[Any, Any, object]] | None = None,
        **options: Unpack[RunnerOptions],
    ) -> Runner[Any]:
        """Handles the messages of a topic with a function of yours, as a member of a group; see `Runner`.

        Args:
            topic: which; a name is a topic of one partition.
            group: name of the group; it is made where it is not there.
            name: of this member; None for one that nobody else has.
            codec: makes values of bytes; without one they are bytes.
            handler: `async def handler(message)`; without it, `Runner.handler` decorates one.
            options: those of `RunnerSettings`.

        Raises:
            MessagingValueError: if one of them can't be.
        """
        settings = _settings(RunnerSettings, options, "client.runner()")
        runner = Runner(self._router, topic, group, name, checked_codec(codec), settings)
        if handler is not None:
            runner.handler(handler)
        return runner

    async def lag(self, topic: Topic | str, group: Key) -> Lag:
        """How far a group is behind on a topic, and whether that is exact; for observers, who need not be in it.

        A partition without the group, or without a stream, has a lag of 0 that is not exact.

        Raises:
            MessagingValueError: if an argument can't be.
            redis.exceptions.RedisError: if a server can't be asked.
        """
        streams = topic_of(topic).keys
        member = observer(self._router(), key_bytes(group, "group"))
        await member.router.discover()
        return await read_lag(member, [Partition(number, key) for number, key in enumerate(streams)])

    def dead_letters(self, topic: Topic | str) -> DeadLetters:
        """The messages of a topic that were given up: to look at, to send again, to throw away.

        Raises:
            MessagingValueError: if `topic` is no name of one.
        """
        return DeadLetters(self._router, topic)

    @overload
    def delayed(self, topic: Topic | str) -> DelayedMessages[bytes]: ...

    @overload
    def delayed(self, topic: Topic | str, *, codec: Codec[Value]) -> DelayedMessages[Value]: ...

    def delayed(self, topic: Topic | str, *, codec: Codec[Any] | None = None) -> DelayedMessages[Any]:
        """Sends messages to a topic that come later; `codec` is None for values of bytes.

        Raises:
            MessagingValueError: if `topic` is no name of one.
        """
        return DelayedMessages(self._router, topic, checked_codec(codec))

    # -- ways to the server ----------------------------------------------------------------------------------------

    def _range(self, name: str, key: Key, first: Id, last: Id, count: int | None) -> Awaitable[list[Any]]:
        words: list[Argument] = [commands.key_bytes(key), commands.one_id(first), commands.one_id(last)]
        if commands.number("count", count, 1) is not None:
            words += ["COUNT", count]  # type: ignore[list-item]  # not None here
        return self._execute(name, *words, shape=ReplyDecoder.entries)

    async def _execute(
        self,
        name: str,
        *words: Argument,
        shape: Callable[[ReplyDecoder, Any], Any] = ReplyDecoder.tree,
        key: bytes | None = None,
        once: bool = False,
        **options: Any,
    ) -> Any:
        """One rare command, as bytes; without a `key` its first word tells its server. Repeated unless `once`."""
        router = self._router()
        where = commands.key_bytes(words[0] if key is None else key)  # type: ignore[arg-type]  # the first is the key
        return shape(ReplyDecoder(router.decodes), await router.execute(where, name, *words, once=once, **options))


Settings = TypeVar("Settings", bound=ProducerSettings | ConsumerSettings)


def _settings(kind: type[Settings], options: Mapping[str, Any], of: str) -> Settings:
    known = {field.name for field in fields(kind)}
    for name in options:
        if name not in known:
            more = {"codec", "handler"} if kind is RunnerSettings else {"codec"}
            raise unknown_option(name, {*known, *more}, of, ours=WAYS_OUT[of].get(name.lower(), ""))
    return kind(**options)
