"""`Consumer`: one member of a group on all partitions of a topic; at least once, acknowledged by hand.

Knows its users: starting, handing out, pausing, closing. What is open between start and close is a `Session`.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar
from uuid import uuid4

from redis.exceptions import RedisError

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.topic import Topic, topic_of
from ombdriver.messaging.topics.codec import Codec
from ombdriver.messaging.topics.consumer.config import ConsumerSettings, ConsumerStatistics
from ombdriver.messaging.topics.consumer.group import GroupMember, ensure_group, member_name
from ombdriver.messaging.topics.consumer.lag import Lag, read_lag
from ombdriver.messaging.topics.consumer.message import Message
from ombdriver.messaging.topics.consumer.offsets import Offset, resolve
from ombdriver.messaging.topics.consumer.partition import Partition
from ombdriver.messaging.topics.consumer.receive_buffer import ReceiveBuffer
from ombdriver.messaging.topics.consumer.session import Session
from ombdriver.messaging.transport.per_loop import HomeLoop
from ombdriver.messaging.transport.retry import is_loss
from ombdriver.messaging.transport.router import Router

Value = TypeVar("Value")


class Consumer(Generic[Value]):
    """Reads a topic as a member of a group: each message goes to one member, until it is acknowledged.

    Made by `MQClient.consumer`. `async with` starts and closes it; `async for message in consumer` never ends before.
    Every message is delivered at least once: after a crash, a lost connection, a failover, it comes again unless its
    acknowledgement was answered. What comes again is in `Message.delivery_count`.

    A message that was handed out stays with this consumer until it is settled, however long that takes: its leases are
    renewed as long as its event loop runs and reaches the server. What members leave that die, or are closed, is taken
    over by the others of the group after the visibility time-out, or at once.

    Args:
        router: gives the connections of the client.
        topic: which.
        group: name of the group; it is created on each partition where it does not exist.
        name: of this member, used by one consumer at a time; None for one that nobody else has, which is removed from
            the group by closing, unless messages are pending for it.
        codec: makes values of bytes.
        settings: see `ConsumerSettings`.
        maintenance: renew leases, and take over what others left; a runner does so by itself.

    Attributes:
        topic: as given.
        group: as given.
        name: its name in the group.
        codec: as given.

    Raises:
        MessagingValueError: if an argument can't be.
    """

    def __init__(
        self,
        router: Callable[[], Router],
        topic: Topic | str,
        group: str,
        name: str | None = None,
        *,
        codec: Codec[Value],
        settings: ConsumerSettings,
        maintenance: bool = True,
    ) -> None:
        self.topic = topic_of(topic)
        self.group, self._is_ephemeral = group, name is None
        self.name = name if name is not None else f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self.codec = codec
        self._settings = settings
        self._maintenance = maintenance
        self._names = commands.key_bytes(group, "group"), member_name(self.name)
        self._find_router = router
        self._partitions = [Partition(number, key) for number, key in enumerate(self.topic.keys)]
        self._buffer = ReceiveBuffer()
        self._statistics = ConsumerStatistics()
        self._home: HomeLoop | None = None
        self._session: Session | None = None
        self._closing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closing else "open" if self._session else "not started"
        return f"<Consumer {self.topic.name!r} group={self.group!r} name={self.name!r} {state}>"

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Creates the group where it does not exist, and begins to read. A second call does nothing.

        From then on it belongs to the event loop that runs: in another one, all but `statistics` raises MessagingError.

        Raises:
            ClosedError: if this consumer, or its client, was closed.
            redis.exceptions.RedisError: if the server can't be reached, or refuses.
        """
        self._check_home()
        if self._closing is not None:
            raise ClosedError("the consumer was closed; make a new one")
        if self._session is not None:
            return
        router = self._find_router()
        await router.discover()
        member = GroupMember(
            router, *self._names, self._is_ephemeral, self._settings.visibility_timeout_ms, self._statistics
        )
        await ensure_group(member, self._partitions, resolve(self._settings.start))
        if self._session is None and self._closing is None:  # not started or closed meanwhile
            self._home = HomeLoop()
            self._session = Session(
                member, self._partitions, self._buffer, self.codec, self._settings, maintenance=self._maintenance
            )

    async def close(self) -> None:
        """Stops reading, releases what was not handed out, sends the acknowledgements, and waits for their replies.

        What was handed out stays pending, and may still be acknowledged while the client is open. A second call waits
        for the first one; a call that is cancelled does not stop the closing.
        """
        self._check_home()
        if self._closing is None:
            self._buffer.close()
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- messages --------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[Value]:
        buffer = self._buffer
        if buffer.wants_turn:
            await buffer.give_turn()
        while not buffer.ready or (buffer.may_have_uncounted and buffer.has_uncounted(1)):
            if not await self._wait():
                raise StopAsyncIteration
            await self._begin(1)
        return buffer.pop()

    async def getone(self) -> Message[Value]:
        """The next message; waits for it. A call that is cancelled takes no message with it.

        Raises:
            ClosedError: if the consumer is closed, or gets closed meanwhile.
            redis.exceptions.RedisError: what the server refuses, such as a missing permission; the consumer goes on.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise ClosedError("the consumer was closed; make a new one") from None

    async def getmany(self, timeout_ms: int | None = None, max_records: int | None = None) -> list[Message[Value]]:
        """The messages that are there, in order of arrival; waits for the first of them.

        Args:
            timeout_ms: how long to wait at most, then `[]`; None for as long as it takes, 0 not to wait.
            max_records: how many at most; None for all that is buffered.

        Raises:
            redis.exceptions.RedisError: as `getone`.
        """
        self._check_home()
        commands.number("timeout_ms", timeout_ms, 0)
        commands.number("max_records", max_records, 1)
        buffer = self._buffer
        await buffer.give_turn()
        while True:
            if not buffer.ready:
                try:
                    async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                        if not await self._wait():
                            raise ClosedError("the consumer was closed; make a new one")
                except TimeoutError:
                    return []
            await self._begin(max_records)
            messages = buffer.take(max_records)
            if messages or timeout_ms is not None:
                return messages

    def _check_home(self) -> None:
        if self._home is not None:
            self._home.check(self)

    async def _wait(self) -> bool:
        self._check_home()
        if self._session is None and self._closing is None:
            raise ClosedError("the consumer was not started; use it with `async with`, or await start()")
        return await self._buffer.wait()

    async def _begin(self, count: int | None) -> None:
        """Has the server count the deliveries of the first `count` messages that are ready, all of them with None."""
        while self._session is not None and self._buffer.has_uncounted(count):
            try:
                await self._session.begin(count)
            except RedisError as error:
                is_end = isinstance(error, ClosedError) and self._closing is not None  # nothing is handed out any more
                if not is_loss(error) and not is_end:
                    raise

    async def flush(self) -> None:
        """Returns when the server has answered all acknowledgements made so far.

        They are sent again while connections get lost or the server refuses what passes by itself (it loads, it fails
        over), so this takes as long as that does.

        Raises:
            redis.exceptions.ResponseError: if the server refuses them otherwise, as for a permission that is missing;
                they are kept, and sent again.
        """
        self._check_home()
        if self._session is not None:
            await self._session.acks.flush()

    # -- where it reads --------------------------------------------------------------------------------------------

    def pause(self, *partitions: int) -> None:
        """Stops reading and handing out these partitions; all without arguments. Leases are renewed all the same.

        A read that is under way may still bring messages of them; they are kept until `resume`.

        Raises:
            MessagingValueError: if the topic has no such partition.
        """
        self._buffer.pause(self._some(partitions))

    def resume(self, *partitions: int) -> None:
        """Goes on with these partitions; all without arguments.

        Raises:
            MessagingValueError: if the topic has no such partition.
        """
        chosen = self._some(partitions)
        if self._session is not None:
            self._session.resume(chosen)
        else:
            self._buffer.resume(chosen)

    async def seek(self, position: Offset, *partitions: int) -> None:
        """Sets where the whole group stands on these partitions, all without arguments: what is delivered next.

        All members read on from there. Going back, what was delivered since comes again, handled or not, save what this
        consumer has in hand. Going forward, what is passed over is not delivered any more; what is buffered here of it
        is acknowledged.

        Args:
            position: see `offsets.Offset`.
            partitions: numbers.

        Raises:
            MessagingValueError: if the topic has no such partition, or it is no position.
            ClosedError: if the consumer is not open, or is closed meanwhile; some partitions may have been set.
            redis.exceptions.RedisError: if a server refuses, or can't be reached; some partitions may have been set.
        """
        offset = resolve(position)
        await self._open_session().seek(self._some(partitions), offset)

    async def lag(self) -> Lag:
        """How far the whole group is behind, and whether that is exact.

        Raises:
            ClosedError: if the consumer was closed.
            redis.exceptions.RedisError: if a server can't be asked.
        """
        return await read_lag(self._open_session().member, self._partitions)

    def _open_session(self) -> Session:
        if self._session is None or self._closing is not None:
            raise ClosedError("the consumer is not open; use it with `async with`")
        self._check_home()
        return self._session

    def _some(self, numbers: Sequence[int]) -> Sequence[Partition]:
        for number in numbers:
            self.topic.key(number)  # refuses what the topic does not have
        return [self._partitions[number] for number in numbers] if numbers else self._partitions

    def statistics(self) -> ConsumerStatistics:
        """The statistics of this moment."""
        return replace(
            self._statistics,
            buffered=self._buffer.buffered + sum(len(each.paused_buffer) for each in self._partitions),
            held=sum(len(each.leased) for each in self._partitions),
            unanswered=self._session.acks.unanswered if self._session else 0,
        )
