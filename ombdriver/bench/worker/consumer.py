"""The consuming side of a worker: batches are received, acknowledged and recorded whole.

Stamps are only cut off and kept while batches come in; they are read with numpy, thousands at once. Knows the stamp and
the driver's seam; no command, report or process.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np

from ombdriver.bench.drivers.api import Batch, DriverConsumer, KillableConsumer
from ombdriver.bench.ledger.received import DeliveryRecorder
from ombdriver.bench.load.flow import Flows, is_probe
from ombdriver.bench.load.host_clock import SAME_HOST, HostClock
from ombdriver.bench.load.message import STAMP, STAMP_DTYPE, count_corrupt
from ombdriver.bench.load.processing_time import ProcessingTime
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import OF_OTHER_HOSTS, Recorder
from ombdriver.bench.metrics.report import ReceivedReport
from ombdriver.errors import DriverError

FLUSH_AT = 4096
"""Messages gathered before they are recorded."""

TIMER_EARLY_S = 0.001
"""uvloop's timers are whole milliseconds, and may come so much early."""

LONGEST_WAIT_S = 0.1
"""A consumer that processes messages looks so often whether it is to stop."""
LEAST_WAIT_NS = 1_000_000
"""Processing times below that are put together: a loop's timers are no finer."""
TURN_NS, WAIT_NS = 1_000_000, 50_000_000
"""Messages whose processing takes no longer than that have their turn at once, and are waited for together."""
MOST_AHEAD_NS = 20_000_000
"""How much of a wait that took too long is taken off later ones."""


class SimulatedProcessing:
    """Waits as long as one consumer would process its messages.

    Args:
        processing_time: how long each message takes.
        seed: of its distribution; consumers have different ones.
        clock: nanoseconds that only grow.

    Attributes:
        mean_ns: how long a message takes on average.
        at_once: so many messages have their turn at the same time.
        per_wait: so many are waited for together, each in its turn.
    """

    def __init__(
        self,
        processing_time: ProcessingTime,
        seed: tuple[int, ...],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._processing_time, self._clock = processing_time, clock
        self.mean_ns = processing_time.mean_ns
        self.at_once = max(1, TURN_NS // self.mean_ns)
        self.per_wait = max(1, WAIT_NS // self.mean_ns)
        self._random = np.random.default_rng(seed)
        self._left_ns = 0

    def __repr__(self) -> str:
        return f"<SimulatedProcessing {self._processing_time}>"

    def now_ns(self) -> int:
        """The time."""
        return self._clock()

    def time_of(self, messages: int) -> int:
        """How long so many messages take, in nanoseconds."""
        if self._processing_time.spread == "constant":
            return messages * self._processing_time.mean_ns
        return round(float(self._random.gamma(messages, self._processing_time.mean_ns)))  # a sum of exponential times

    async def process(self, messages: int, stopping: Callable[[], bool]) -> None:
        """Waits for so many messages; ends early when `stopping` says so.

        What a wait takes too long is taken off the next ones, so that the mean holds.
        """
        self._left_ns = max(self._left_ns, -MOST_AHEAD_NS) + self.time_of(messages)
        while self._left_ns >= LEAST_WAIT_NS and not stopping():
            began_ns = self._clock()
            await asyncio.sleep(min(self._left_ns / 1e9, LONGEST_WAIT_S))
            self._left_ns -= self._clock() - began_ns


class Receiver:
    """Receives and records what one consumer is given.

    Args:
        flows: of this run; any other message is foreign.
        subscription: the group's name.
        recorder: takes the samples.
        processing: what it does with each message before that is acknowledged; None for nothing.
        checksums: whether messages carry a checksum, which is to be verified.
        shared_topics: whether others send to these topics too. Their messages have no stamp: they are counted by the
            time at which they came, and nothing else is known of them.
        host_clock: of this host; stamps are of the run's clock.
        counted: the numbers of the producers whose messages have latencies here; None for all. Of the others it is
            counted that they came, by the interval in which they were intended.

    Attributes:
        subscription: as given.
        deliveries: which messages came, for the ledger.
        received: messages, each entry once.
        foreign: messages that were not of this run; none with shared topics.
        empty_reads: reads that brought nothing, one after the other and until now.
        host_clock: as given; another one may be set.
    """

    def __init__(
        self,
        flows: Flows,
        subscription: str,
        recorder: Recorder,
        processing: SimulatedProcessing | None = None,
        *,
        checksums: bool = False,
        shared_topics: bool = False,
        host_clock: HostClock = SAME_HOST,
        counted: Sequence[int] | None = None,
    ) -> None:
        self.host_clock = host_clock
        self._is_counted: np.typing.NDArray[np.bool_] | None = None
        if counted is not None:
            self._is_counted = np.zeros(flows.producers, np.bool_)
            self._is_counted[list(counted)] = True
        self._flows, self.subscription, self._recorder = flows, subscription, recorder
        self._processing, self._checksums, self._shared_topics = processing, checksums, shared_topics
        self._stamps: list[bytes] = []
        self._counts: list[int] = []
        self._arrivals_ns: list[int] = []
        self._redelivered: list[int] = []
        self._claimed: list[bool] = []
        self._acknowledged: list[tuple[int, int, int]] = []
        self._gathered = 0
        self._in_turn: tuple[bytes, Sequence[int], bool] | None = None  # stamps, which came before, whether claimed
        self._stopping = False
        self._pausing = False
        self._resumed: asyncio.Event | None = None
        self.deliveries = DeliveryRecorder(flows.count)
        self._probes: set[tuple[int, int]] = set()
        self.received = 0
        self.foreign = 0
        self.empty_reads = 0

    def __repr__(self) -> str:
        return f"<Receiver {self.subscription}: {self.received} received>"

    async def run(self, consumer: DriverConsumer) -> None:
        """Receives, records and acknowledges until `stop`; the read under way is never cut short."""
        size = STAMP.size
        while not self._stopping:
            try:
                batch = await consumer.receive()
            except DriverError:
                if self._stopping:  # closed under the read, which is how a read that waits ends
                    return
                raise
            if batch is None:
                self.empty_reads += 1
                if self._pausing:
                    await self._wait_for_resume()
                continue
            self.empty_reads = 0
            if self._checksums:
                self.deliveries.add_corrupt(count_corrupt(batch.payloads, self._flows.run))
            again: Sequence[int] = ()
            stamps = b"".join([payload[:size] for payload in batch.payloads])
            count = len(batch.payloads)
            if len(stamps) != size * count or batch.again:
                stamps, count, again = self._stamps_of_irregular(batch)
            if self._processing is None:
                self._take(stamps, count, again, batch.arrival_ns, claimed=batch.claimed)
            else:
                in_turn = (stamps, again, batch.claimed) if stamps else None
                await self._take_in_turn(self._processing, in_turn, batch.arrival_ns)
            consumer.acknowledge(batch, partial(self._on_acknowledged, batch.arrival_ns, count))
            if self._gathered >= FLUSH_AT:
                self.flush()

    def _take(self, stamps: bytes, count: int, again: Sequence[int], at_ns: int, *, claimed: bool) -> None:
        """Messages have come at `at_ns`; those at the places `again` had come before, those `claimed` may have."""
        if again:
            self._redelivered += [self._gathered + place for place in again]
        self._stamps.append(stamps)
        self._counts.append(count)
        self._arrivals_ns.append(at_ns)
        self._claimed.append(claimed)
        self.received += count
        self._gathered += count

    async def _take_in_turn(
        self, processing: SimulatedProcessing, in_turn: tuple[bytes, Sequence[int], bool] | None, arrival_ns: int
    ) -> None:
        """A message that waits in its batch for those before it comes when it is its turn; when stopping, at once."""
        self._in_turn, now_ns = in_turn, arrival_ns
        while self._in_turn is not None:
            count = min(processing.per_wait, len(self._in_turn[0]) // STAMP.size)
            for begin in range(0, count, processing.at_once):
                self._take_next(min(processing.at_once, count - begin), now_ns + begin * processing.mean_ns)
            await processing.process(count, lambda: self._stopping)
            now_ns = processing.now_ns()

    def _take_next(self, count: int, at_ns: int) -> None:
        """It is the turn of the next `count` messages of the batch."""
        if self._in_turn is None:
            return
        stamps, again, claimed = self._in_turn
        size = count * STAMP.size
        now = [at for at in again if at < count]
        self._take(stamps[:size], len(stamps[:size]) // STAMP.size, now, at_ns, claimed=claimed)
        later = [at - count for at in again if at >= count]
        self._in_turn = (stamps[size:], later, claimed) if len(stamps) > size else None

    def _stamps_of_irregular(self, batch: Batch) -> tuple[bytes, int, Sequence[int]]:
        """Of a batch with messages too short for a stamp, or with entries that were delivered before; which these are.

        Those without a stamp are counted as foreign.
        """
        stamped = [
            (at, payload[: STAMP.size]) for at, payload in enumerate(batch.payloads) if len(payload) >= STAMP.size
        ]
        self._count_foreign([batch.arrival_ns], [len(batch.payloads) - len(stamped)])
        again = frozenset(batch.again)
        places = [place for place, (at, _) in enumerate(stamped) if at in again]
        return b"".join([stamp for _, stamp in stamped]), len(stamped), places

    def _count_foreign(self, times: Sequence[int] | Int64s, counts: Sequence[int] | Int64s) -> None:
        """Counts messages that are not of this run: `counts[i]` of them at `times[i]` ns."""
        if not self._shared_topics:
            self.foreign += int(sum(counts))
            return
        self._recorder.count("foreign", self.subscription, times, counts)
        if not self._flows.producers:  # then there is nothing else to receive
            self._recorder.count("received", self.subscription, times, counts)

    def _on_acknowledged(self, arrival_ns: int, count: int, time_ns: int) -> None:
        self._acknowledged.append((arrival_ns, time_ns, count))

    # -- pausing and stopping --------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether nothing is read, and everything that was read is recorded."""
        return self._resumed is not None

    def pause(self) -> None:
        """Reads on until a read brings nothing, and then no more: so nothing that a driver has asked for is held."""
        self._pausing = True

    def resume(self) -> None:
        """Reads again."""
        self._pausing = False
        if self._resumed is not None:
            self._resumed.set()

    async def _wait_for_resume(self) -> None:
        self._resumed = asyncio.Event()
        await self._resumed.wait()
        self._resumed = None

    def crash(self) -> None:
        """`run` was cancelled: what waits for its turn has not come, and `run` may be called again."""
        self._in_turn = self._resumed = None

    def stop(self) -> None:
        """Ends `run` after the read that is under way; what waits for its turn has been delivered, and comes now."""
        self._stopping = True
        if self._processing is not None and self._in_turn is not None:
            self._take_next(len(self._in_turn[0]), self._processing.now_ns())
        self.resume()

    # -- recording -------------------------------------------------------------------------------------------------

    @property
    def recorded(self) -> int:
        """Of the messages received, those that metrics and deliveries have too: a report tells all three alike."""
        return self.received - self._gathered

    def take_probes(self) -> set[tuple[int, int]]:
        """(producer, partition) of each probe that has come since the last call."""
        taken, self._probes = self._probes, set()
        return taken

    def flush(self) -> None:
        """Records what has arrived and was acknowledged so far."""
        if self._acknowledged:
            arrived, acknowledged, counts = np.array(self._acknowledged, np.int64).T
            self._acknowledged.clear()
            self._recorder.record(None, arrived, {"consumerAck": acknowledged - arrived}, counts)
        if self._gathered:
            stamps = np.frombuffer(b"".join(self._stamps), STAMP_DTYPE)
            counts = np.array(self._counts)
            arrived = np.repeat(np.array(self._arrivals_ns), counts)
            claimed = np.repeat(np.array(self._claimed), counts) if any(self._claimed) else None
            redelivered = None
            if self._redelivered:
                redelivered = np.zeros(len(stamps), np.bool_)
                redelivered[self._redelivered] = True
            self._record(stamps, arrived, redelivered, claimed)
        self._stamps.clear()
        self._counts.clear()
        self._arrivals_ns.clear()
        self._redelivered.clear()
        self._claimed.clear()
        self._gathered = 0

    def _record(
        self,
        stamps: "np.typing.NDArray[np.void]",
        arrived: Int64s,
        redelivered: "np.typing.NDArray[np.bool_] | None",
        claimed: "np.typing.NDArray[np.bool_] | None",
    ) -> None:
        own, probes = self._flows.owns(stamps), is_probe(stamps)
        if not own.all() or probes.any():
            foreign = int(len(stamps) - np.count_nonzero(own))
            self._count_foreign(arrived[~own], np.ones(foreign, np.int64))
            self.received -= foreign
            of_probes = stamps[own & probes]
            self._probes |= set(zip(of_probes["producer"].tolist(), of_probes["partition"].tolist(), strict=True))
            kept = own & ~probes
            stamps, arrived = stamps[kept], arrived[kept]
            redelivered = None if redelivered is None else redelivered[kept]
            claimed = None if claimed is None else claimed[kept]
        # Which of those that were claimed have come before, the ledger finds out.
        before = redelivered if claimed is None else claimed if redelivered is None else claimed | redelivered
        self.deliveries.add(self._flows.numbers(stamps), stamps["sequence"].astype(np.int64), before)
        if redelivered is not None:  # the same entry once more counts once
            self.received -= int(np.count_nonzero(redelivered))
            stamps, arrived = stamps[~redelivered], arrived[~redelivered]
        self._recorder.count("received", self.subscription, arrived, np.ones(len(arrived), np.int64))
        intended = self.host_clock.stamps_from_run(stamps["intended_ns"])
        sent = self.host_clock.stamps_from_run(stamps["sent_ns"])
        if self._is_counted is not None:
            here = self._is_counted[stamps["producer"]]
            self._recorder.count_intended(OF_OTHER_HOSTS, self.subscription, intended[~here])
            intended, sent, arrived = intended[here], sent[here], arrived[here]
        latencies = {"endToEnd": arrived - sent, "endToEndResponse": arrived - intended}
        self._recorder.record(self.subscription, intended, latencies)


class Consumers:
    """The consumers of a worker: when they read, pause and stop, and what they have been given together.

    Args:
        failed: is called with the error of one that fails.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._receivers: list[Receiver] = []
        self._consumers: list[DriverConsumer] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._down: set[int] = set()
        self._restarting: dict[int, asyncio.Task[None]] = {}
        self._start_timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Consumers {self._receivers}>"

    def add(self, consumer: DriverConsumer, receiver: Receiver) -> None:
        """One more; it does not read yet."""
        self._consumers.append(consumer)
        self._receivers.append(receiver)

    # -- reading, pausing, stopping --------------------------------------------------------------------------------

    def start(self) -> None:
        """All of them read from now on, each in a task."""
        for place in range(len(self._receivers)):
            if place not in self._down:
                self._read(place)

    def _read(self, place: int) -> None:
        task = asyncio.get_running_loop().create_task(self._receivers[place].run(self._consumers[place]))
        task.add_done_callback(self._on_end)
        self._tasks[place] = task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def start_at(self, at_ns: int) -> None:
        """They read from that time on the monotonic clock on, unless they do already."""
        if not self._tasks and self._consumers:
            lead_s = (at_ns - time.monotonic_ns()) / 1e9
            self._start_timer = asyncio.get_running_loop().call_later(max(0.0, lead_s), self.start)

    def crash(self, places: Iterable[int]) -> None:
        """Some of them end at once, and acknowledge nothing more."""
        for place in {*places} - self._down:
            if (restarting := self._restarting.pop(place, None)) is not None:
                restarting.cancel()
            if (task := self._tasks.pop(place, None)) is not None:
                task.cancel()
            self._receivers[place].crash()
            cast(KillableConsumer, self._consumers[place]).abandon()  # where there are others, no fault asks for it
            self._down.add(place)

    def restart(self, places: Iterable[int], create: Callable[[int], Awaitable[DriverConsumer]]) -> None:
        """Those of them that have crashed read again, by new consumers of the same names."""
        for place in self._down & {*places}:
            task = asyncio.get_running_loop().create_task(self._restart(place, create))
            task.add_done_callback(self._on_end)
            self._restarting[place] = task

    async def _restart(self, place: int, create: Callable[[int], Awaitable[DriverConsumer]]) -> None:
        self._consumers[place] = await create(place)
        self._down.discard(place)
        self._restarting.pop(place, None)
        self._read(place)

    def pause(self) -> None:
        """They stop reading once a read brings nothing; what was read is recorded and acknowledged by then."""
        for receiver in self._receivers:
            receiver.pause()

    def resume_at(self, at_ns: int) -> None:
        """They read again, not before that time on the monotonic clock."""
        left_s = max(0.0, (at_ns - time.monotonic_ns()) / 1e9 + TIMER_EARLY_S)
        asyncio.get_running_loop().call_later(left_s, self._resume)

    def _resume(self) -> None:
        for receiver in self._receivers:
            receiver.resume()

    def stop(self) -> None:
        """They end after the read that is under way."""
        if self._start_timer is not None:
            self._start_timer.cancel()
        for receiver in self._receivers:
            receiver.stop()

    async def close_consumers(self) -> None:
        """Ends reads under way, and has acknowledgements answered."""
        await self._end_restarts()
        await asyncio.gather(*(consumer.aclose() for consumer in self._consumers))
        self._consumers.clear()

    async def _end_restarts(self) -> None:
        restarting, self._restarting = [*self._restarting.values()], {}
        for task in restarting:
            task.cancel()
        await asyncio.gather(*restarting, return_exceptions=True)

    async def aclose(self) -> None:
        """Ends everything."""
        await self._end_restarts()
        for consumer in self._consumers:
            await consumer.aclose()
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def set_clock(self, host_clock: HostClock) -> None:
        """How this host's clock stands to the run's from now on; what came before is recorded first."""
        for receiver in self._receivers:
            receiver.flush()
            receiver.host_clock = host_clock

    # -- what they have been given ---------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Records all of it, with a turn for the loop after each consumer's: with ten groups, recording all of them at
        once held up what arrived meanwhile by some milliseconds.
        """
        for receiver in self._receivers:
            await asyncio.sleep(0)
            receiver.flush()
        await asyncio.sleep(0)

    def flush_at_once(self) -> None:
        """Records all of it now."""
        for receiver in self._receivers:
            receiver.flush()

    @property
    def active(self) -> int:
        """How many have not paused."""
        return sum(not receiver.paused for receiver in self._receivers)

    @property
    def foreign(self) -> int:
        """Messages that were not of this run."""
        return sum(receiver.foreign for receiver in self._receivers)

    def received(self) -> Mapping[str, int]:
        """Messages per subscription, of those that are recorded."""
        received: Counter[str] = Counter()
        for receiver in self._receivers:
            received[receiver.subscription] += receiver.recorded
        return received

    def empty_reads(self) -> Mapping[str, int]:
        """Reads that brought nothing, one after the other and until now: the fewest of a subscription's consumers."""
        empty: dict[str, int] = {}
        for receiver in self._receivers:
            name = receiver.subscription
            empty[name] = min(receiver.empty_reads, empty.get(name, receiver.empty_reads))
        return empty

    def take_probes(self) -> frozenset[tuple[str, int, int]]:
        """(subscription, producer, partition) of each probe that has come since the last call."""
        return frozenset((each.subscription, *probe) for each in self._receivers for probe in each.take_probes())

    def take_reports(self) -> list[tuple[str, ReceivedReport]]:
        """What each consumer was given since the last call, with its subscription."""
        return [(receiver.subscription, receiver.deliveries.take()) for receiver in self._receivers]
