"""Consumes through the messaging library's `Runner`, as a program does that is built on the library.

Each consumer is a client of its own, with a Runner for each of its topics. A handler hands its message to the harness,
and returns when the harness has acknowledged it: reads, leases, replay, take-over and acknowledgements are the
Runner's, and are what is measured. What handlers have begun since the last call is one batch.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ombdriver.bench.drivers.api import Batch, OnAcknowledged
from ombdriver.bench.drivers.redis_streams.consumer import AFTER_A_LOSS, CLOSE_TIMEOUT_S
from ombdriver.bench.drivers.redis_streams.control import may_pass
from ombdriver.bench.drivers.redis_streams.errors import Endpoint, with_way_out
from ombdriver.bench.drivers.redis_streams.options import StreamOptions
from ombdriver.errors import DriverError
from ombdriver.messaging import Message, MQClient, RetryPolicy, Runner, Topic
from ombdriver.messaging.errors import RedisError
from ombdriver.messaging.streams.entry_ids import is_after
from ombdriver.messaging.topics.runner.config import RunnerOptions
from ombdriver.messaging.transport.retry import RetryBudget, is_loss

CONFIRM_EVERY_S = 0.005
"""Seconds between two looks whether acknowledgements are confirmed: a Runner tells how many are, and not when."""


class HandedOver:
    """Messages that handlers have begun, and wait with.

    Attributes:
        payloads: of the messages, in the order in which their handlers began.
        settled: done when the harness has acknowledged all of them. The handlers wait for this one together.
    """

    __slots__ = ("payloads", "settled")

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class RunnerConsumer:
    """A member of a group on all partitions of some topics (`api.KillableConsumer`).

    It begins to read with the first `receive`.

    Args:
        options: of the driver; `runner_concurrency` is how many handlers each Runner has at work at most.
        server: how messages name the server.
        topics: what it reads.
        group: the group's name.
        name: the consumer's name.
    """

    def __init__(
        self, options: StreamOptions, server: Endpoint, topics: Sequence[Topic], group: str, name: str
    ) -> None:
        self._server, self._topics, self._group, self._name = server, tuple(topics), group, name
        self._client = MQClient(redis_url=options.url, **options.client_options)
        self._options: RunnerOptions = {
            "concurrency": options.runner_concurrency,
            "block_ms": options.block_ms,
            # A consumer may be killed as often as a workload says; what it had is not to be given up for that.
            "retry": RetryPolicy(max_deliveries=None),
            "drain_timeout_s": CLOSE_TIMEOUT_S,
        }
        if options.reclaim_ms:
            self._options["visibility_timeout_ms"] = options.reclaim_ms
        self._block_s = options.block_ms / 1000
        self._runners: list[Runner[bytes]] = []
        self._running: list[asyncio.Task[None]] = []
        self._new: HandedOver | None = None
        self._again: HandedOver | None = None
        self._last: dict[str, bytes] = {}
        self._news = asyncio.Event()
        self._returned = 0
        self._unconfirmed: deque[tuple[int, OnAcknowledged]] = deque()
        self._looking: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._closing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<RunnerConsumer {self._name} of {self._group} on {len(self._topics)} topics>"

    # -- what a Runner does ----------------------------------------------------------------------------------------

    async def _run(self, topic: Topic) -> None:
        """Runs a Runner on `topic` until it is stopped; one that can't begin yet is made anew until it can."""
        budget = RetryBudget(lambda _: True, AFTER_A_LOSS)
        while not self._is_closed:
            runner = self._client.runner(topic, self._group, self._name, handler=self._handle, **self._options)
            self._runners.append(runner)
            try:
                await runner.run(signals=False)
                break
            except RedisError as error:
                self._runners.remove(runner)
                if not (is_loss(error) or may_pass(error)):
                    raise
                await budget.allows(error)

    async def _handle(self, message: Message[bytes]) -> None:
        """Hands a message over. One that is not new may have been delivered by a consumer that is gone, or not."""
        entry_id, last = message.id.encode(), self._last.get(message.stream)
        is_new = message.delivery_count == 1 and (last is None or is_after(entry_id, last))
        if is_new:
            self._last[message.stream] = entry_id
            handed_over = self._new = self._new or HandedOver()
        else:
            handed_over = self._again = self._again or HandedOver()
        handed_over.payloads.append(next(iter(message.fields.values()), b""))
        self._news.set()
        await handed_over.settled

    # -- what the harness asks for ---------------------------------------------------------------------------------

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`. A message arrives when it is taken, so that it is never told too early."""
        if self._is_closed:
            raise DriverError("the consumer was closed")
        if not self._running:
            self._running = [asyncio.get_running_loop().create_task(self._run(topic)) for topic in self._topics]
            for task in self._running:
                task.add_done_callback(lambda _: self._news.set())
        if (batch := self._take()) is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._block_s):
                    await self._news.wait()
            batch = self._take()
        return batch

    def _take(self) -> Batch | None:
        """The messages that are there; those that are not new go first, in a batch of their own.

        Raises:
            DriverError: if a Runner has ended, and was not to.
        """
        for task in self._running:
            if task.done() and not self._is_closed:
                error = None if task.cancelled() else task.exception()
                why = "it has ended" if error is None else with_way_out(error, self._server)
                raise DriverError(f"group {self._group} can't be read: {why}") from error
        taken, claimed = self._again or self._new, self._again is not None
        if claimed:
            self._again = None
        else:
            self._new = None
        if self._new is None:
            self._news.clear()
        return None if taken is None else Batch(taken.payloads, time.monotonic_ns(), taken, claimed=claimed)

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`: the handlers return, and the Runner acknowledges.

        `done` is called `CONFIRM_EVERY_S` late at most, when as many acknowledgements are confirmed as were given.
        """
        handed_over = batch.receipt
        assert isinstance(handed_over, HandedOver)
        if handed_over.settled.done():  # its handlers were cancelled
            return
        handed_over.settled.set_result(None)
        self._returned += len(handed_over.payloads)
        self._unconfirmed.append((self._returned, done))
        self._look_later()

    def _look_later(self) -> None:
        if self._looking is None and self._unconfirmed and not self._is_closed:
            self._looking = asyncio.get_running_loop().call_later(CONFIRM_EVERY_S, self._look)

    def _look(self) -> None:
        """Tells which acknowledgements are confirmed by now."""
        self._looking = None
        found = [runner.statistics().consumer for runner in self._runners]
        confirmed = sum(each.acknowledged + each.late_acknowledgements for each in found)
        now_ns = time.monotonic_ns()
        while self._unconfirmed and self._unconfirmed[0][0] <= confirmed:
            self._unconfirmed.popleft()[1](now_ns)
        self._look_later()

    def statistics(self) -> Mapping[str, int]:
        """What its Runners have counted so far, by the names of the driver's counters."""
        found: Counter[str] = Counter()
        for runner in self._runners:
            done = runner.statistics()
            consumer = done.consumer
            found["claimed"] += done.reclaimed
            found["reconnects"] += consumer.reconnects
            found["lostReplies"] += consumer.lost_replies
            found["earlyReads"] += consumer.early_reads
            found["groupsMade"] += consumer.groups_made
        return found

    # -- the end ---------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """See `api.KillableConsumer.abandon`: the connections go first, so that nothing is released or acknowledged."""
        self._end()
        self._unconfirmed.clear()
        self._closing = asyncio.ensure_future(self._break_off())

    def _end(self) -> None:
        self._is_closed = True
        self._news.set()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _break_off(self) -> None:
        await self._client.aclose()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def aclose(self) -> None:
        """See `api.DriverConsumer.aclose`; what the harness has not taken is left to others."""
        if self._closing is None:
            self._end()
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for runner in self._runners:
            runner.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=2 * CLOSE_TIMEOUT_S)
        self._look()
        await self._break_off()
