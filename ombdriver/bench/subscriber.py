"""The consuming side of a worker: batches are taken, acknowledged and booked whole.

Knows the stamp and the driver's seam. Stamps are only cut off and kept while batches come in; they are read with
numpy, thousands at once.
"""

import asyncio
from collections.abc import Callable

import numpy as np

from ombdriver.bench.driver import DriverConsumer
from ombdriver.bench.figures import Book
from ombdriver.bench.payload import STAMP, STAMP_DTYPE
from ombdriver.errors import DriverError

FOLD = 4096
"""Samples gathered before they are folded into histograms."""


class Subscriber:
    """The consumers that a worker holds of one subscription.

    Args:
        run: the run's number in the stamp; messages of another run are strangers.
        subscription: the group's name.
        book: takes the figures.
    """

    def __init__(self, run: int, subscription: str, book: Book) -> None:
        self._run, self.subscription, self._book = run, subscription, book
        self._stamps: list[bytes] = []
        self._counts: list[int] = []
        self._arrivals: list[int] = []
        self._held = 0
        self._leaving = False
        self.probed: set[tuple[int, int]] = set()
        self.received = 0
        self.strangers = 0

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
                continue
            payloads = batch.payloads
            stamps = b"".join([payload[:size] for payload in payloads])
            count = len(payloads)
            if len(stamps) != size * count:  # somebody else's, too short for a stamp
                whole = [payload[:size] for payload in payloads if len(payload) >= size]
                self.strangers += count - len(whole)
                stamps, count = b"".join(whole), len(whole)
            self._stamps.append(stamps)
            self._counts.append(count)
            self._arrivals.append(batch.arrival_ns)
            self.received += count
            self._held += count
            consumer.acknowledge(batch)
            if self._held >= FOLD:
                self.fold()

    def leave(self) -> None:
        """Ends `consume` after the read that is under way."""
        self._leaving = True

    def fold(self) -> None:
        """Brings what has arrived so far into the book."""
        if not self._held:
            self._counts.clear()
            self._arrivals.clear()
            self._stamps.clear()
            return
        stamps = np.frombuffer(b"".join(self._stamps), STAMP_DTYPE)
        arrived = np.repeat(np.array(self._arrivals), np.array(self._counts))
        ours = stamps["run"] == self._run
        probes = ours & (stamps["intended_ns"] == 0)
        if not ours.all() or probes.any():
            strangers = int(len(stamps) - np.count_nonzero(ours))
            self.strangers += strangers
            self.received -= strangers
            self.probed |= set(
                zip(stamps["producer"][probes].tolist(), stamps["partition"][probes].tolist(), strict=True)
            )
            kept = ours & ~probes
            stamps, arrived = stamps[kept], arrived[kept]
        intended = stamps["intended_ns"]
        families = {"endToEnd": arrived - stamps["sent_ns"], "endToEndResponse": arrived - intended}
        self._book.latencies(self.subscription, intended, families)
        self._book.tally("received", self.subscription, arrived, np.ones(len(arrived), np.int64))
        self._stamps.clear()
        self._counts.clear()
        self._arrivals.clear()
        self._held = 0


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
