"""`MQClient`: manages streams, and opens producers, consumers, runners and dead letters of topics."""

from typing import Any, Unpack, overload

from ombdriver.messaging.streams.client import StreamClient
from ombdriver.messaging.streams.commands import Key, key_bytes
from ombdriver.messaging.streams.topic import Topic
from ombdriver.messaging.topics.codec import BytesCodec, Codec, Value
from ombdriver.messaging.topics.consumer.config import ConsumerOptions, ConsumerSettings
from ombdriver.messaging.topics.consumer.consumer import Consumer
from ombdriver.messaging.topics.consumer.group import observer
from ombdriver.messaging.topics.consumer.lag import Lag, read_lag
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.producer.config import ProducerOptions, ProducerSettings
from ombdriver.messaging.topics.producer.producer import Producer
from ombdriver.messaging.topics.recovery.dead_letters import DeadLetters
from ombdriver.messaging.topics.recovery.delayed import DelayedMessages
from ombdriver.messaging.topics.runner.config import RunnerOptions, RunnerSettings
from ombdriver.messaging.topics.runner.runner import Runner


class MQClient(StreamClient):
    """Manages and queries streams, and opens producers, consumers and runners of topics.

    Clients with the same `redis_name` share connections within an event loop, until `RedisPool.close_redis`. A client
    with only a URL has its own, and closes them. A `redis_pool` lends its settings, and is never closed.
    It may be made outside of an event loop; connections are made on first use, anew in each loop.

    Args:
        redis_name: name under which connections are shared.
        redis_url: `redis://`, `rediss://` or `unix://`, with user, password and db; `redis+cluster://` with seeds, or
            `redis+sentinel://` with Sentinels and the master's name (rediss+… with TLS).
        redis_pool: a redis.asyncio client, a RedisCluster or one of Sentinel.master_for too; wins over the other two.
        kwargs: as for `redis.asyncio.Redis.from_url`; `decode_responses` is True unless given.

    Raises:
        MessagingError: if none of the three is given, or `redis_name` alone names nothing that is open.
        MessagingValueError: if an argument can't be, or the name stands for another connection already.
    """

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
        settings = ProducerSettings(**options)
        return Producer(self._router, topic, BytesCodec() if codec is None else codec, settings)

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
        settings = ConsumerSettings(**options)
        codec = BytesCodec() if codec is None else codec
        return Consumer(self._router, topic, group, name, codec=codec, settings=settings)

    @overload
    def runner(
        self, topic: Topic | str, group: str, name: str | None = None, **options: Unpack[RunnerOptions]
    ) -> Runner[bytes]: ...

    @overload
    def runner(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Value],
        **options: Unpack[RunnerOptions],
    ) -> Runner[Value]: ...

    def runner(
        self,
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Any] | None = None,
        **options: Unpack[RunnerOptions],
    ) -> Runner[Any]:
        """Handles the messages of a topic with a function of yours, as a member of a group; see `Runner`.

        Args:
            topic: which; a name is a topic of one partition.
            group: name of the group; it is made where it is not there.
            name: of this member; None for one that nobody else has.
            codec: makes values of bytes; without one they are bytes.
            options: those of `RunnerSettings`.

        Raises:
            MessagingValueError: if one of them can't be.
        """
        settings = RunnerSettings(**options)
        return Runner(self._router, topic, group, name, BytesCodec() if codec is None else codec, settings)

    async def lag(self, topic: Topic | str, group: Key) -> Lag:
        """How far a group is behind on a topic, and whether that is exact; for observers, who need not be in it.

        A partition without the group, or without a stream, has a lag of 0 that is not exact.

        Raises:
            MessagingValueError: if an argument can't be.
            redis.exceptions.RedisError: if a server can't be asked.
        """
        streams = (Topic(topic) if isinstance(topic, str) else topic).keys
        member = observer(self._router(), key_bytes(group, "group"))
        await member.router.discover()
        return await read_lag(member, [Partition(number, key) for number, key in enumerate(streams)])

    def dead_letters(self, topic: Topic | str) -> DeadLetters:
        """The messages of a topic that were given up: to look at, to send again, to throw away.

        Raises:
            MessagingValueError: if `topic` is no name of one.
        """
        return DeadLetters(self._router, topic)

    def delayed(self, topic: Topic | str, *, codec: Codec[Any] | None = None) -> DelayedMessages:
        """Sends messages to a topic that come later; `codec` is None for values of bytes.

        Raises:
            MessagingValueError: if `topic` is no name of one.
        """
        return DelayedMessages(self._router, topic, BytesCodec() if codec is None else codec)
