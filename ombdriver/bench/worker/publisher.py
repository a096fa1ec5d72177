"""The producing side of a worker: what is due is stamped and sent by block, replies are booked by block.

Knows the schedule, the stamp and the driver's seam; the clock and the pacer are given. Nothing per message is a task,
a future or a timer. The schedule is never re-based and no debt forgiven: what can't be sent in time is sent late, and
told as delay, in two parts. *Schedule lag* is from due until this worker looked, and is ours; *blocked* is from there
until it was sent, and is the system's back-pressure.

One producer of the plan: its flows, its keys, and how many messages it may send now.

Knows the driver's seam; no schedule, stamp or clock.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ombdriver.bench.drivers.api import DriverProducer
from ombdriver.bench.load.message import STAMP, KeySource, PayloadPool, with_checksum
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonStripe
from ombdriver.bench.load.profile import constant
from ombdriver.bench.load.schedule import ConstantSchedule, ProfileSchedule, Stripe
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import SentReport
from ombdriver.bench.worker.in_flight import AS_INTENDED, Flow, InFlightBatches, SentBatch
from ombdriver.bench.worker.pacer import Pacer


class Sender:
    """One producer.

    Args:
        index: its number in the plan.
        flows: the numbers of its flows, by partition.
        keys: gives the keys of its messages; None when they have none.
        max_in_flight: messages that it may have without a reply; None leaves that to the driver.

    Attributes:
        handle: the driver's producer; set once it is made.
        acknowledgements: books the replies; set by the publisher.
    """

    def __init__(self, index: int, flows: Sequence[int], keys: KeySource | None, max_in_flight: int | None) -> None:
        self.index = index
        self.keys = keys
        self.flows = [Flow(number) for number in flows]
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._on_room: Callable[[], None] | None = None
        self.handle: DriverProducer = None  # type: ignore[assignment]
        self.acknowledgements: InFlightBatches = None  # type: ignore[assignment]

    def on_replies(
        self, partition: int, _first: int, count: int, error: Exception | None, time_ns: int, answer: object
    ) -> None:
        """The driver's report (`driver.OnReplies`)."""
        self.acknowledgements.take(self.flows[partition], count, error, time_ns, answer)
        self._in_flight -= count
        if self._on_room is not None:
            asyncio.get_running_loop().call_soon(self._on_room)
            self._on_room = None

    def room(self) -> int:
        """How many messages may be sent now."""
        room = self.handle.room()
        return room if self._max_in_flight is None else min(room, self._max_in_flight - self._in_flight)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn, when it is worth to ask for room again."""
        if self.handle.room() > 0:
            self._on_room = callback
        else:
            self.handle.when_room(callback)

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """Hands messages to the driver."""
        self._in_flight += len(payloads)
        self.handle.send(partition, payloads, keys)


CHUNK = 64
"""So many messages of a partition share one actual send time, so that stamping and packing is not told as service."""
TURN = 4096
"""Messages sent before replies and other callbacks of the loop get a turn."""
PROBES = 512
"""Probes sent before replies get a turn: of ten thousand partitions, all of them would be a burst of many megabytes."""
WAKE_NS = 250_000
"""Wake-ups are at least this far apart, so that the pacer leaves the server its core. At 10,000 msg/s a worker took
0.34 of one, with a mean delay of 153 µs; with 200 µs it was 0.40 and 127 µs."""
UNSENT_POINTS = 50_000
"""Samples that tell of the messages never sent, however many these are."""
PROBE_SEQUENCE = 2**64 - 1


class MakePacer(Protocol):
    """Makes the pacer that calls `callback`."""

    def __call__(self, callback: Callable[[], None]) -> Pacer: ...  # noqa: D102


class Publisher:
    """Sends the messages of a worker's producers when they are due.

    Args:
        run: the run's number in the stamp.
        senders: the worker's producers, by rising index.
        producers_total: how many producers the whole run has.
        pool: gives the bodies of the messages.
        book: takes the figures.
        clock: the monotonic clock, in nanoseconds.
        make_ticker: makes what wakes the publisher.
    """

    def __init__(
        self,
        run: int,
        senders: Sequence[Sender],
        producers_total: int,
        pool: PayloadPool,
        recorder: Recorder,
        clock: Callable[[], int],
        make_pacer: MakePacer,
    ) -> None:
        self._run, self._senders, self._producers_total = run, senders, producers_total
        self._lanes = [flow for sender in senders for flow in sender.flows]
        self._pool, self._recorder, self._clock = pool, recorder, clock
        self.acknowledgements = InFlightBatches(recorder)
        for sender in senders:
            sender.acknowledgements = self.acknowledgements
        self._pacer = make_pacer(self._tick)
        self._loop = asyncio.get_running_loop()
        self._stripe: Stripe | PoissonStripe = self._nothing()
        self._next = 0
        self._looked = 0
        self._looks: deque[tuple[int, int]] = deque()
        self._waiting = False
        self._probes: list[tuple[Sender, int]] = []
        self.sent = 0

    def __repr__(self) -> str:
        return f"<Publisher {self._next} of {self._next + self.unsent} sent, {self.in_flight} in flight>"

    @property
    def in_flight(self) -> int:
        """Messages sent, probes among them, whose reply has not come."""
        return self.sent - self.acknowledgements.replied

    @property
    def unsent(self) -> int:
        """Messages of the current phase not sent yet, due or not (of random arrivals about so many), and probes."""
        return self._stripe.left(self._next) + len(self._probes)

    @property
    def overdue(self) -> int:
        """Messages of the current phase that are due and not sent."""
        return self._stripe.due(self._clock()) - self._next

    def _make_stripe(self, phase: Phase) -> Stripe | PoissonStripe:
        mine = tuple(sender.index for sender in self._senders)
        if phase.poisson is not None:
            profile = phase.profile or constant(phase.rate, phase.duration_ns)
            return PoissonStripe(phase.start_ns, profile, phase.poisson, mine, phase.name)
        if phase.profile is not None:
            return Stripe(ProfileSchedule(phase.start_ns, phase.profile), self._producers_total, mine)
        return Stripe(ConstantSchedule(phase.start_ns, phase.rate, phase.duration_ns), self._producers_total, mine)

    def _nothing(self) -> Stripe | PoissonStripe:
        """The stripe of a phase without a message."""
        return self._make_stripe(Phase(-1, "none", 0, 0, 1))

    def begin(self, phase: Phase) -> None:
        """Starts the schedule of `phase`; the one before must be sent or halted."""
        self._stripe = self._make_stripe(phase)
        self._next = self._looked = 0
        self._looks.clear()
        self._waiting = False
        self._pacer.arm(phase.start_ns)

    def prolong(self, phase: Phase) -> None:
        """The phase under way ends later, as `phase` tells; what has been sent of it stays as it was."""
        self._stripe = self._make_stripe(phase)
        self._tick()

    def probe(self) -> None:
        """Sends one message outside of every phase to each partition of each producer's topic; not all at once."""
        self._probes = [(sender, at) for sender in reversed(self._senders) for at in reversed(range(len(sender.flows)))]
        self._send_probes()

    def _send_probes(self) -> None:
        for _ in range(min(PROBES, len(self._probes))):
            sender, partition = self._probes[-1]
            if sender.handle.room() <= 0:
                sender.handle.when_room(self._send_probes)
                return
            del self._probes[-1]
            self._send_to(sender, partition, [0], None, AS_INTENDED, PROBE_SEQUENCE)
        if self._probes:
            self._loop.call_soon(self._send_probes)

    def keep_everything(self, keep: bool) -> None:
        """See `driver.DriverProducer.keep_everything`, for all producers."""
        for sender in self._senders:
            sender.handle.keep_everything(keep)

    def halt(self) -> None:
        """Ends the schedule now. What is due and was not sent stands in the family `unsent`, as (now - intended).

        Of very many, evenly spaced ones stand for their neighbours; the count stays exact.
        """
        self._tick()  # what has become due since the last wake-up was not overlooked
        now_ns, stripe = self._clock(), self._stripe
        due = stripe.due(now_ns)
        if due > self._next:
            step = -(-(due - self._next) // UNSENT_POINTS)
            told = range(self._next, due, step)
            intended = np.array(stripe.intended_some(told), np.int64)
            repeats = np.full(len(told), step, np.int64)
            repeats[-1] = due - told[-1]
            self._recorder.latencies(None, intended, {"unsent": now_ns - intended}, repeats)
        self._stripe, self._next = self._nothing(), 0
        self._looks.clear()

    def conclude(self) -> None:
        """Ends the schedule, and waits for no reply any longer."""
        self.halt()
        self.acknowledgements.conclude(self._lanes, self._clock())

    def answered(self) -> SentReport:
        """What the ledger has to know of what was sent, since this was last called."""
        return self.acknowledgements.answered(self._lanes)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_ns = self._clock()
        stripe, limit = self._stripe, self._next + TURN
        if self._waiting or not stripe.left(self._next):
            return
        due = stripe.due(now_ns)
        if due > self._looked:
            self._looks.append((due, now_ns))
            self._looked = due
        at = self._next
        while at < due and at < limit:
            room = self._room(at, due)
            if room <= 0:
                self._next, self._waiting = at, True
                self._senders[stripe.producer(at)].when_room(self._on_room)
                return
            upto, looked_ns = self._looks[0]
            end = min(at + CHUNK, upto, at + room)
            self._send(at, end, looked_ns)
            if end == upto:
                self._looks.popleft()
            at = end
        self._next = at
        if at < due:
            self._loop.call_soon(self._tick)
        elif (next_ns := stripe.when(at)) is not None:
            self._pacer.arm(max(next_ns, now_ns + WAKE_NS))

    def _room(self, start: int, due: int) -> int:
        """How many messages may be sent from `start` on: up to a producer without room, whose turn it is then."""
        senders = self._senders
        if len(senders) == 1:
            return senders[0].room()
        least = CHUNK
        for at, producer in enumerate(self._stripe.turns(start, min(start + CHUNK, due)), start=start):
            room = senders[producer].room()
            if room <= 0:
                return min(least, at - start)
            least = min(least, room)
        return least

    def _on_room(self) -> None:
        if not self._waiting:
            return
        self._waiting = False
        # Whatever has become due meanwhile was not overlooked: there was no room for it.
        due = self._stripe.due(self._clock())
        if due > self._looked:
            self._looks.append((due, AS_INTENDED))
            self._looked = due
        self._tick()

    def _send(self, start: int, end: int, looked_ns: int) -> None:
        for producer, intended in self._stripe.dealt(start, end):
            self._send_from(self._senders[producer], intended, looked_ns)

    def _send_from(self, sender: Sender, intended: Sequence[int], looked_ns: int) -> None:
        keys = None if sender.keys is None else sender.keys.keys(len(intended))
        partitions = sender.handle.route(len(intended), keys)
        if partitions is None:
            self._send_to(sender, 0, intended, keys, looked_ns)
            return
        chosen: dict[int, list[int]] = {}
        for at, partition in enumerate(partitions):
            chosen.setdefault(partition, []).append(at)
        for partition, places in chosen.items():
            some_keys = None if keys is None else [keys[at] for at in places]
            self._send_to(sender, partition, [intended[at] for at in places], some_keys, looked_ns)

    def _send_to(
        self,
        sender: Sender,
        partition: int,
        intended: Sequence[int],
        keys: Sequence[bytes] | None,
        looked_ns: int,
        probe: int | None = None,
    ) -> None:
        flow, pack, run, producer = sender.flows[partition], STAMP.pack, self._run, sender.index
        sequence = flow.sequence if probe is None else probe
        bodies = self._pool.next_bodies(len(intended))
        sequences = range(sequence, sequence + len(intended))
        sent_ns = self._clock()  # as late as can be: what is done before is delay, what comes after is service
        payloads = [
            pack(due_ns, sent_ns, run, producer, partition, 0, number) + body
            for due_ns, number, body in zip(intended, sequences, bodies, strict=True)
        ]
        if self._pool.checksums:
            payloads = [with_checksum(payload) for payload in payloads]
        if probe is None:
            flow.sequence += len(intended)
        flow.blocks.append(SentBatch(intended, sent_ns, looked_ns, probe is not None))
        self.sent += len(intended)
        sender.send(partition, payloads, keys)

    async def aclose(self) -> None:
        """Ends the pacer and the producers."""
        self._pacer.close()
        self._probes.clear()
        for sender in self._senders:
            await sender.handle.aclose()
