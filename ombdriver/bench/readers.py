"""All consumers of one worker: when they read, pause and end, and what they have been given together.

Knows subscribers and the driver's seam; no order, report or process.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

from ombdriver.bench.driver import DriverConsumer
from ombdriver.bench.subscriber import Subscriber, start
from ombdriver.bench.worker_report import Arrived

EARLY_S = 0.001
"""uvloop's timers are whole milliseconds, and may come so much early."""


class Readers:
    """The consumers of a worker, each with its subscriber.

    Args:
        failed: is told the error of one that ends with one.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._subscribers: list[Subscriber] = []
        self._consumers: list[DriverConsumer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._beginning: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Readers {self._subscribers}>"

    def add(self, consumer: DriverConsumer, subscriber: Subscriber) -> None:
        """One more; it does not read yet."""
        self._consumers.append(consumer)
        self._subscribers.append(subscriber)

    # -- their course ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """All of them read from now on."""
        for subscriber, consumer in zip(self._subscribers, self._consumers, strict=True):
            self._tasks.append(start(subscriber, consumer, self._failed))

    def start_at(self, at_ns: int) -> None:
        """They read from that time on the monotonic clock on, unless they do already."""
        if not self._tasks and self._consumers:
            lead_s = (at_ns - time.monotonic_ns()) / 1e9
            self._beginning = asyncio.get_running_loop().call_later(max(0.0, lead_s), self.start)

    def pause(self) -> None:
        """They stop reading once a read brings nothing; what was read is booked and acknowledged by then."""
        for subscriber in self._subscribers:
            subscriber.pause()

    def resume_at(self, at_ns: int) -> None:
        """They read again, not before that time on the monotonic clock."""
        left_s = max(0.0, (at_ns - time.monotonic_ns()) / 1e9 + EARLY_S)
        asyncio.get_running_loop().call_later(left_s, self._resume)

    def _resume(self) -> None:
        for subscriber in self._subscribers:
            subscriber.resume()

    def leave(self) -> None:
        """They end after the read that is under way."""
        if self._beginning is not None:
            self._beginning.cancel()
        for subscriber in self._subscribers:
            subscriber.leave()

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
        for subscriber in self._subscribers:
            await asyncio.sleep(0)
            subscriber.fold()
        await asyncio.sleep(0)

    @property
    def reading(self) -> int:
        """How many have not paused."""
        return sum(not subscriber.paused for subscriber in self._subscribers)

    @property
    def strangers(self) -> int:
        """Messages that were not of this run."""
        return sum(subscriber.strangers for subscriber in self._subscribers)

    def received(self) -> Mapping[str, int]:
        """Messages per subscription."""
        received: Counter[str] = Counter()
        for subscriber in self._subscribers:
            received[subscriber.subscription] += subscriber.received
        return received

    def empty_reads(self) -> Mapping[str, int]:
        """Reads that brought nothing, one after the other and until now: the fewest of a subscription's consumers."""
        empty: dict[str, int] = {}
        for subscriber in self._subscribers:
            name = subscriber.subscription
            empty[name] = min(subscriber.empty_reads, empty.get(name, subscriber.empty_reads))
        return empty

    def take_probes(self) -> frozenset[tuple[str, int, int]]:
        """(subscription, producer, partition) of each probe that has come since the last call."""
        return frozenset((each.subscription, *probe) for each in self._subscribers for probe in each.take_probes())

    def take_arrived(self) -> list[tuple[str, Arrived]]:
        """What each consumer was given since the last call: its subscription and the runs."""
        return [(subscriber.subscription, subscriber.ledger.take()) for subscriber in self._subscribers]
