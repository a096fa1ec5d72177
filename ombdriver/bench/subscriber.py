"""The consuming side of a worker: batches are taken, acknowledged and booked whole.

Knows the stamp and the driver's seam. Stamps are only cut off and kept while batches come in; they are read with
numpy, thousands at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ombdriver.bench.arrivals import Arrivals
from ombdriver.bench.consumer_work import Working
from ombdriver.bench.driver import Batch, DriverConsumer
from ombdriver.bench.figures import Book
from ombdriver.bench.lanes import SEQUENCES
from ombdriver.bench.payload import STAMP, STAMP_DTYPE, count_corrupt
from ombdriver.bench.recorder import Int64s
from ombdriver.errors import DriverError

FOLD = 4096
"""Samples gathered before they are folded into histograms."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What may come: anything else is a stranger; or, on topics of others, theirs.

    Attributes:
        run: the run's number in the stamp.
        producers: how many producers the run has.
        partitions: partitions of a topic, so that a lane is `producer * partitions + partition`.
        checksums: whether messages carry a checksum, which is to be looked at.
        others: whether others send to these topics too. Their messages have no stamp: they are counted by the time at
            which they came, and that is all there is to know of them.
    """

    run: int
    producers: int
    partitions: int
    checksums: bool = False
    others: bool = False


class Subscriber:
    """What one consumer is given.

    Args:
        expected: what may come.
        subscription: the group's name.
        book: takes the figures.
        working: what it does with each message before that is acknowledged; None for nothing.
    """

    def __init__(self, expected: Expected, subscription: str, book: Book, working: Working | None = None) -> None:
        self._working = working
        self._expected, self.subscription, self._book = expected, subscription, book
        self._stamps: list[bytes] = []
        self._counts: list[int] = []
        self._arrivals: list[int] = []
        self._again: list[int] = []
        self._confirmed: list[tuple[int, int, int]] = []
        self._held = 0
        self._leaving = False
        self._pausing = False
        self._resumed: asyncio.Event | None = None
        self.ledger = Arrivals(expected.producers * expected.partitions)
        self._probed: set[tuple[int, int]] = set()
        self.received = 0
        self.strangers = 0
        self.empty_reads = 0

    def __repr__(self) -> str:
        return f"<Subscriber {self.subscription}: {self.received} received>"

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
        """Counts messages that are not of this run, as `Book.tally` does."""
        if not self._expected.others:
            self.strangers += int(sum(counts))
            return
        self._book.tally("others", self.subscription, times, counts)
        if not self._expected.producers:  # then there is nothing else to receive
            self._book.tally("received", self.subscription, times, counts)

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
            self._book.latencies(None, arrived, {"consumerAck": confirmed - arrived}, counts)
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
        lanes = stamps["producer"].astype(np.int64) * expected.partitions + stamps["partition"]
        self.ledger.add(lanes, stamps["sequence"].astype(np.int64), again)
        if again is not None:  # the same entry once more is no delivery
            self.received -= int(np.count_nonzero(again))
            stamps, arrived = stamps[~again], arrived[~again]
        intended = stamps["intended_ns"]
        families = {"endToEnd": arrived - stamps["sent_ns"], "endToEndResponse": arrived - intended}
        self._book.latencies(self.subscription, intended, families)
        self._book.tally("received", self.subscription, arrived, np.ones(len(arrived), np.int64))


def start(
    subscriber: Subscriber, consumer: DriverConsumer, failed: Callable[[BaseException], None]
) -> asyncio.Task[None]:
    """The task in which `subscriber` consumes; `failed` is told if it ends with an error."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    task = asyncio.get_running_loop().create_task(subscriber.consume(consumer))
    task.add_done_callback(ended)
    return task
