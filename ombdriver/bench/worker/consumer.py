"""The consuming side of a worker: batches are taken, acknowledged and booked whole.

Knows the stamp and the driver's seam. Stamps are only cut off and kept while batches come in; they are read with
numpy, thousands at once.

All consumers of one worker: when they read, pause and end, and what they have been given together.

Knows subscribers and the driver's seam; no order, report or process.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ombdriver.bench.drivers.api import Batch, DriverConsumer
from ombdriver.bench.ledger.received import DeliveryRecorder
from ombdriver.bench.ledger.spans import SEQUENCES
from ombdriver.bench.load.message import STAMP, STAMP_DTYPE, count_corrupt
from ombdriver.bench.load.processing_time import ProcessingTime
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import ReceivedReport
from ombdriver.errors import DriverError

FOLD = 4096
"""Samples gathered before they are folded into histograms."""


SLICE_S = 0.1
"""A consumer that is at work looks so often whether it is to leave."""
LEAST_NS = 1_000_000
"""Less work than that is put together: a loop's timers are no finer."""
MOST_AHEAD_NS = 20_000_000
"""How much of a wait that took too long is taken off later ones."""


class SimulatedProcessing:
    """One consumer at work.

    Args:
        work: how long each message takes.
        seed: of its distribution; consumers have different ones.
        clock: nanoseconds that only grow.
    """

    def __init__(
        self, work: ProcessingTime, seed: tuple[int, ...], clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._work, self._clock = work, clock
        self._chance = np.random.default_rng(seed)
        self._owed_ns = 0

    def __repr__(self) -> str:
        return f"<SimulatedProcessing {self._work}>"

    def time_of(self, messages: int) -> int:
        """How long so many messages take, in nanoseconds."""
        if self._work.spread == "constant":
            return messages * self._work.mean_ns
        return round(float(self._chance.gamma(messages, self._work.mean_ns)))  # a sum of exponential times

    async def do(self, messages: int, leaving: Callable[[], bool]) -> None:
        """Is at work on so many messages; ends early when `leaving` says so.

        What a wait takes too long is taken off the next ones, so that the mean holds.
        """
        self._owed_ns = max(self._owed_ns, -MOST_AHEAD_NS) + self.time_of(messages)
        while self._owed_ns >= LEAST_NS and not leaving():
            began_ns = self._clock()
            await asyncio.sleep(min(self._owed_ns / 1e9, SLICE_S))
            self._owed_ns -= self._clock() - began_ns


@dataclass(frozen=True, slots=True)
class OwnMessages:
    """What may come: anything else is a stranger; or, on topics of others, theirs.

    Attributes:
        run: the run's number in the stamp.
        producers: how many producers the run has.
        partitions: partitions of a topic, so that a flow is `producer * partitions + partition`.
        checksums: whether messages carry a checksum, which is to be looked at.
        others: whether others send to these topics too. Their messages have no stamp: they are counted by the time at
            which they came, and that is all there is to know of them.
    """

    run: int
    producers: int
    partitions: int
    checksums: bool = False
    others: bool = False


class Receiver:
    """What one consumer is given.

    Args:
        expected: what may come.
        subscription: the group's name.
        book: takes the figures.
        working: what it does with each message before that is acknowledged; None for nothing.
    """

    def __init__(
        self, expected: OwnMessages, subscription: str, recorder: Recorder, working: SimulatedProcessing | None = None
    ) -> None:
        self._working = working
        self._expected, self.subscription, self._recorder = expected, subscription, recorder
        self._stamps: list[bytes] = []
        self._counts: list[int] = []
        self._arrivals: list[int] = []
        self._again: list[int] = []
        self._confirmed: list[tuple[int, int, int]] = []
        self._held = 0
        self._leaving = False
        self._pausing = False
        self._resumed: asyncio.Event | None = None
        self.ledger = DeliveryRecorder(expected.producers * expected.partitions)
        self._probed: set[tuple[int, int]] = set()
        self.received = 0
        self.strangers = 0
        self.empty_reads = 0

    def __repr__(self) -> str:
        return f"<Receiver {self.subscription}: {self.received} received>"

    async def consume(self, consumer: DriverConsumer) -> None:
        """Receives, books and acknowledges until `leave`; the read under way is never cut short."""
        size = STAMP.size
        while not self._leaving:
            try:
                batch = await consumer.receive()
            except DriverError:
                if self._leaving:  # closed under the read, which is how a read that waits ends
                    return
                raise
            if batch is None:
                self.empty_reads += 1
                if self._pausing:
                    await self._rest()
                continue
            self.empty_reads = 0
            if self._expected.checksums:
                self.ledger.add_corrupt(count_corrupt(batch.payloads, self._expected.run))
            stamps = b"".join([payload[:size] for payload in batch.payloads])
            count = len(batch.payloads)
            if len(stamps) != size * count or batch.again:
                stamps, count = self._take_unusual(batch)
            self._stamps.append(stamps)
            self._counts.append(count)
            self._arrivals.append(batch.arrival_ns)
            self.received += count
            self._held += count
            if self._working is not None:
                await self._working.do(count, lambda: self._leaving)
            consumer.acknowledge(batch, partial(self._acknowledged, batch.arrival_ns, count))
            if self._held >= FOLD:
                self.fold()

    def _take_unusual(self, batch: Batch) -> tuple[bytes, int]:
        """The stamps of a batch with somebody else's messages, too short for a stamp, or with entries not new."""
        whole = [(at, payload[: STAMP.size]) for at, payload in enumerate(batch.payloads) if len(payload) >= STAMP.size]
        self._count_strangers([batch.arrival_ns], [len(batch.payloads) - len(whole)])
        again = frozenset(batch.again)
        self._again += [self._held + place for place, (at, _) in enumerate(whole) if at in again]
        return b"".join([stamp for _, stamp in whole]), len(whole)

    @property
    def paused(self) -> bool:
        """Whether nothing is read, and nothing that was read is not booked."""
        return self._resumed is not None

    def pause(self) -> None:
        """Reads on until a read brings nothing, and then no more: so nothing that a driver has asked for is held."""
        self._pausing = True

    def resume(self) -> None:
        """Reads again."""
        self._pausing = False
        if self._resumed is not None:
            self._resumed.set()

    async def _rest(self) -> None:
        self._resumed = asyncio.Event()
        await self._resumed.wait()
        self._resumed = None

    def _count_strangers(self, times: Sequence[int] | Int64s, counts: Sequence[int] | Int64s) -> None:
        """Counts messages that are not of this run, as `Recorder.tally` does."""
        if not self._expected.others:
            self.strangers += int(sum(counts))
            return
        self._recorder.tally("others", self.subscription, times, counts)
        if not self._expected.producers:  # then there is nothing else to receive
            self._recorder.tally("received", self.subscription, times, counts)

    def take_probes(self) -> set[tuple[int, int]]:
        """(producer, partition) of each probe that has come since the last call."""
        taken, self._probed = self._probed, set()
        return taken

    def leave(self) -> None:
        """Ends `consume` after the read that is under way."""
        self._leaving = True
        self.resume()

    def _acknowledged(self, arrival_ns: int, count: int, time_ns: int) -> None:
        self._confirmed.append((arrival_ns, time_ns, count))

    def fold(self) -> None:
        """Brings what has arrived and was acknowledged so far into the book and the ledger."""
        if self._confirmed:
            arrived, confirmed, counts = np.array(self._confirmed, np.int64).T
            self._confirmed.clear()
            self._recorder.latencies(None, arrived, {"consumerAck": confirmed - arrived}, counts)
        if self._held:
            stamps = np.frombuffer(b"".join(self._stamps), STAMP_DTYPE)
            arrived = np.repeat(np.array(self._arrivals), np.array(self._counts))
            again = None
            if self._again:
                again = np.zeros(len(stamps), np.bool_)
                again[self._again] = True
            self._book_arrivals(stamps, arrived, again)
        self._stamps.clear()
        self._counts.clear()
        self._arrivals.clear()
        self._again.clear()
        self._held = 0

    def _book_arrivals(
        self,
        stamps: "np.typing.NDArray[np.void]",
        arrived: "np.typing.NDArray[np.int64]",
        again: "np.typing.NDArray[np.bool_] | None",
    ) -> None:
        expected = self._expected
        ours = (stamps["run"] == expected.run) & (stamps["producer"] < expected.producers)
        ours &= stamps["partition"] < expected.partitions
        probes = ours & (stamps["intended_ns"] == 0)
        ours &= probes | (stamps["sequence"] < SEQUENCES)
        if not ours.all() or probes.any():
            strangers = int(len(stamps) - np.count_nonzero(ours))
            self._count_strangers(arrived[~ours], np.ones(strangers, np.int64))
            self.received -= strangers
            self._probed |= set(
                zip(stamps["producer"][probes].tolist(), stamps["partition"][probes].tolist(), strict=True)
            )
            kept = ours & ~probes
            stamps, arrived = stamps[kept], arrived[kept]
            again = None if again is None else again[kept]
        flows = stamps["producer"].astype(np.int64) * expected.partitions + stamps["partition"]
        self.ledger.add(flows, stamps["sequence"].astype(np.int64), again)
        if again is not None:  # the same entry once more is no delivery
            self.received -= int(np.count_nonzero(again))
            stamps, arrived = stamps[~again], arrived[~again]
        intended = stamps["intended_ns"]
        families = {"endToEnd": arrived - stamps["sent_ns"], "endToEndResponse": arrived - intended}
        self._recorder.latencies(self.subscription, intended, families)
        self._recorder.tally("received", self.subscription, arrived, np.ones(len(arrived), np.int64))


def start(receiver: Receiver, consumer: DriverConsumer, failed: Callable[[BaseException], None]) -> asyncio.Task[None]:
    """The task in which `receiver` consumes; `failed` is told if it ends with an error."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    task = asyncio.get_running_loop().create_task(receiver.consume(consumer))
    task.add_done_callback(ended)
    return task


EARLY_S = 0.001
"""uvloop's timers are whole milliseconds, and may come so much early."""


class Consumers:
    """The consumers of a worker, each with its subscriber.

    Args:
        failed: is told the error of one that ends with one.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._receivers: list[Receiver] = []
        self._consumers: list[DriverConsumer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._beginning: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Consumers {self._receivers}>"

    def add(self, consumer: DriverConsumer, receiver: Receiver) -> None:
        """One more; it does not read yet."""
        self._consumers.append(consumer)
        self._receivers.append(receiver)

    # -- their course ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """All of them read from now on."""
        for receiver, consumer in zip(self._receivers, self._consumers, strict=True):
            self._tasks.append(start(receiver, consumer, self._failed))

    def start_at(self, at_ns: int) -> None:
        """They read from that time on the monotonic clock on, unless they do already."""
        if not self._tasks and self._consumers:
            lead_s = (at_ns - time.monotonic_ns()) / 1e9
            self._beginning = asyncio.get_running_loop().call_later(max(0.0, lead_s), self.start)

    def pause(self) -> None:
        """They stop reading once a read brings nothing; what was read is booked and acknowledged by then."""
        for receiver in self._receivers:
            receiver.pause()

    def resume_at(self, at_ns: int) -> None:
        """They read again, not before that time on the monotonic clock."""
        left_s = max(0.0, (at_ns - time.monotonic_ns()) / 1e9 + EARLY_S)
        asyncio.get_running_loop().call_later(left_s, self._resume)

    def _resume(self) -> None:
        for receiver in self._receivers:
            receiver.resume()

    def leave(self) -> None:
        """They end after the read that is under way."""
        if self._beginning is not None:
            self._beginning.cancel()
        for receiver in self._receivers:
            receiver.leave()

    async def close_consumers(self) -> None:
        """Ends reads under way, and has acknowledgements answered."""
        await asyncio.gather(*(consumer.aclose() for consumer in self._consumers))
        self._consumers.clear()

    async def aclose(self) -> None:
        """Ends everything."""
        for consumer in self._consumers:
            await consumer.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what they have been given ---------------------------------------------------------------------------------

    async def fold(self) -> None:
        """Brings all of it into the book and the ledgers, with a turn for the loop after each consumer's: with ten
        groups, folding all of them at once held up what arrived meanwhile by some milliseconds.
        """
        for receiver in self._receivers:
            await asyncio.sleep(0)
            receiver.fold()
        await asyncio.sleep(0)

    @property
    def reading(self) -> int:
        """How many have not paused."""
        return sum(not receiver.paused for receiver in self._receivers)

    @property
    def strangers(self) -> int:
        """Messages that were not of this run."""
        return sum(receiver.strangers for receiver in self._receivers)

    def received(self) -> Mapping[str, int]:
        """Messages per subscription."""
        received: Counter[str] = Counter()
        for receiver in self._receivers:
            received[receiver.subscription] += receiver.received
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

    def take_arrived(self) -> list[tuple[str, ReceivedReport]]:
        """What each consumer was given since the last call: its subscription and the runs."""
        return [(receiver.subscription, receiver.ledger.take()) for receiver in self._receivers]
