"""An in-process loopback: what the harness itself costs, with no server and no socket.

A message is handed to every subscription when it is sent, and acknowledged in the next turn of the loop. There is room
while no subscription has more than `MAX_IN_FLIGHT` messages to take: nothing else bounds the queues. Producers and
consumers must share a process, so the plan gives such a run one worker; topics that nobody created come into being on
first use, since the harness creates them from another process.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.drivers.api import Batch, OnAcknowledged, OnReplies, TopicSpec
from ombdriver.bench.drivers.sample import TopicPartition
from ombdriver.errors import DriverError

MAX_IN_FLIGHT = 10_000
MAX_BATCH = 500
BLOCK_S = 1.0


@dataclass(slots=True)
class _Queue:
    """What one subscription of one topic has not been given yet, and what it has not acknowledged."""

    waiting: deque[bytes] = field(default_factory=deque)
    pending: int = 0
    readers: list["MemoryConsumer"] = field(default_factory=list)


class Broker:
    """The topics of one process."""

    def __init__(self) -> None:
        self.topics: dict[str, dict[str, _Queue]] = {}
        self._waiting: list[tuple[MemoryProducer, Callable[[], None]]] = []

    def queue(self, topic: str, subscription: str) -> _Queue:
        """The queue of `subscription`, made if there is none."""
        return self.topics.setdefault(topic, {}).setdefault(subscription, _Queue())

    def longest(self, topic: str) -> int:
        """Messages that the slowest subscription of `topic` has not taken."""
        return max((len(queue.waiting) for queue in self.topics.get(topic, {}).values()), default=0)

    def taken(self) -> None:
        """There may be room again, since messages were taken or acknowledged: producers that have some are called."""
        waiting, self._waiting = self._waiting, []
        for producer, callback in waiting:
            self.call_when_room(producer, callback)

    def call_when_room(self, producer: "MemoryProducer", callback: Callable[[], None]) -> None:
        """See `api.DriverProducer.when_room`."""
        if producer.room() > 0:
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._waiting.append((producer, callback))

    def publish(self, topic: str, payloads: Sequence[bytes]) -> None:
        """Gives `payloads` to every subscription of `topic`."""
        for queue in self.topics.get(topic, {}).values():
            queue.waiting.extend(payloads)
            for reader in queue.readers:
                reader.wake()


class MemoryProducer:
    """Sends to one topic (`api.DriverProducer`)."""

    def __init__(self, broker: Broker, topic: TopicSpec, on_replies: OnReplies) -> None:
        self._broker, self._topic, self._on_replies = broker, topic, on_replies
        self._loop = asyncio.get_running_loop()
        self._sent = [0] * topic.partitions
        self._next = 0
        self._in_flight: list[tuple[int, int, int]] = []
        self._held = 0

    def route(self, count: int, keys: Sequence[bytes] | None) -> Sequence[int] | None:
        """Round robin without keys; with keys, by a hash of the key."""
        partitions = self._topic.partitions
        if partitions == 1:
            return None
        if keys is not None:
            return [sum(key) % partitions for key in keys]
        first, self._next = self._next, (self._next + count) % partitions
        return [(first + at) % partitions for at in range(count)]

    def room(self) -> int:
        """See `api.DriverProducer.room`."""
        return MAX_IN_FLIGHT - max(self._held, self._broker.longest(self._topic.name))

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """See `api.DriverProducer.send`."""
        if not self._in_flight:
            self._loop.call_soon(self._acknowledge)
        self._broker.publish(self._topic.name, payloads)
        self._in_flight.append((partition, self._sent[partition], len(payloads)))
        self._sent[partition] += len(payloads)
        self._held += len(payloads)

    def _acknowledge(self) -> None:
        now_ns = time.monotonic_ns()
        answered, self._in_flight, self._held = self._in_flight, [], 0
        for partition, first, count in answered:
            self._on_replies(partition, first, count, None, now_ns, None)
        self._broker.taken()

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `api.DriverProducer.when_room`."""
        self._broker.call_when_room(self, callback)

    def shared_room(self) -> str:
        """See `api.DriverProducer.shared_room`: of the queues of its topic."""
        return self._topic.name

    def keep_everything(self, keep: bool) -> None:
        """Nothing is ever trimmed here."""

    async def aclose(self) -> None:
        """What is in flight is acknowledged now."""
        self._acknowledge()


class MemoryConsumer:
    """Reads some topics as a member of one subscription (`api.DriverConsumer`)."""

    def __init__(self, broker: Broker, queues: Sequence[_Queue]) -> None:
        self._broker, self._queues = broker, queues
        self._woken = asyncio.Event()
        self._closed = False
        for queue in queues:
            queue.readers.append(self)

    def wake(self) -> None:
        """There may be something to take."""
        self._woken.set()

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`."""
        if self._closed:
            raise DriverError("the consumer was closed")
        payloads: list[bytes] = []
        for queue in self._queues:
            taken = [queue.waiting.popleft() for _ in range(min(len(queue.waiting), MAX_BATCH - len(payloads)))]
            queue.pending += len(taken)
            payloads += taken
        if payloads:
            self._broker.taken()
            await asyncio.sleep(0)  # the others of this loop get their turn, as a socket would give it to them
            return Batch(payloads, time.monotonic_ns(), payloads)
        self._woken.clear()
        try:
            await asyncio.wait_for(self._woken.wait(), BLOCK_S)
        except TimeoutError:
            return None
        return None if self._closed else await self.receive()

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`."""
        done(time.monotonic_ns())
        left = len(batch.payloads)
        for queue in self._queues:
            taken = min(left, queue.pending)
            queue.pending -= taken
            left -= taken

    async def aclose(self) -> None:
        """Ends a read under way."""
        self._closed = True
        self._woken.set()
        for queue in self._queues:
            queue.readers.remove(self)


class MemoryDriver:
    """The loopback (`api.Driver`)."""

    def __init__(self) -> None:
        self._broker = Broker()
        self._created: list[TopicSpec] = []

    async def create_topics(self, topics: Sequence[TopicSpec], subscriptions: Sequence[str]) -> None:
        """See `api.Driver.create_topics`."""
        for topic in topics:
            if topic.name in self._broker.topics:
                raise DriverError(f"memory: topic {topic.name} exists already")
        for topic in topics:
            self._broker.topics[topic.name] = {subscription: _Queue() for subscription in subscriptions}
            self._created.append(topic)

    async def create_producer(self, topic: TopicSpec, on_replies: OnReplies) -> MemoryProducer:
        """See `api.Driver.create_producer`."""
        return MemoryProducer(self._broker, topic, on_replies)

    async def create_consumer(
        self,
        topics: Sequence[TopicSpec],
        subscription: str,
        name: str,
        partitions: Sequence[int] | None = None,
    ) -> MemoryConsumer:
        """See `api.Driver.create_consumer`; partitions share a queue, so they can't be dealt out."""
        assert partitions is None  # `Setup` refuses it
        return MemoryConsumer(self._broker, [self._broker.queue(topic.name, subscription) for topic in topics])

    async def backlog(self, topics: Sequence[TopicSpec], subscription: str) -> int:
        """See `api.Driver.backlog`."""
        queues = [self._broker.queue(topic.name, subscription) for topic in topics]
        return sum(len(queue.waiting) + queue.pending for queue in queues)

    def inspector(self) -> None:
        """Nothing is kept once it was received, and what was not received is waiting."""

    async def describe(self) -> Mapping[str, object]:
        """There is no server."""
        return {"engine": "memory"}

    async def observe(self, streams: Sequence[TopicPartition]) -> None:
        """There is no server."""

    async def delete_created(self) -> int:
        """See `api.Driver.delete_created`."""
        deleted = sum(topic.partitions for topic in self._created)
        for topic in self._created:
            self._broker.topics.pop(topic.name, None)
        self._created.clear()
        return deleted

    def statistics(self) -> Mapping[str, int]:
        """Nothing can fail here."""
        return {}

    async def aclose(self) -> None:
        """Nothing to close."""


async def open_driver(options: Mapping[str, object]) -> MemoryDriver:
    """A loopback of its own (`api.DriverFactory`)."""
    return MemoryDriver()
