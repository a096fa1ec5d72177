"""The producing side of a worker: what is due is stamped and sent by batch, replies are recorded by batch.

Nothing per message is a task, a future or a timer. The schedule is never re-based and no debt forgiven: what can't be
sent in time is sent late, and recorded as delay, in two parts. *Blocked* is the time in which there was no room for it,
and is the system's back-pressure; all the rest is *schedule lag*, and ours. Knows the schedule, the stamp and the
driver's seam; the clock, the pacer and what held this process up are given.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ombdriver.bench.drivers.api import DriverProducer
from ombdriver.bench.load.message import STAMP, KeySource, PayloadPool, with_checksum
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonStripe
from ombdriver.bench.load.schedule import Stripe
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import SentReport
from ombdriver.bench.worker.in_flight import Flow, InFlightBatches, SentBatch
from ombdriver.bench.worker.pacer import Pacer, wake_at
from ombdriver.bench.worker.room import RoomWaits

MOST_PER_BATCH = 64
"""So many messages of a partition share one actual send time, so that stamping and packing do not count as service."""
MOST_PER_TURN = 4096
"""Messages sent before replies and other callbacks of the loop get a turn."""
PROBES_PER_TURN = 512
"""Probes sent before replies get a turn: of ten thousand partitions, all of them would be a burst of many megabytes."""
MOST_UNSENT_SAMPLES = 50_000
"""Samples that stand for the messages never sent, however many these are."""
PROBE_SEQUENCE = 2**64 - 1


class Sender:
    """One producer of the plan: its flows, its keys, and how many messages it may send now.

    Args:
        index: its number in the plan.
        flows: the numbers of its flows, by partition.
        keys: gives the keys of its messages; None when they have none.
        max_in_flight: messages that it may have without a reply; None leaves that to the driver.

    Attributes:
        handle: the driver's producer; set once it is made.
        in_flight: takes the replies; set by the publisher.
    """

    def __init__(self, index: int, flows: Sequence[int], keys: KeySource | None, max_in_flight: int | None) -> None:
        self.index = index
        self.keys = keys
        self.flows = [Flow(number) for number in flows]
        self._max_in_flight = max_in_flight
        self._unanswered = 0
        self._on_room: Callable[[], None] | None = None
        self.handle: DriverProducer = None  # type: ignore[assignment]
        self.in_flight: InFlightBatches = None  # type: ignore[assignment]

    def on_replies(
        self, partition: int, _first: int, count: int, error: Exception | None, time_ns: int, answer: object
    ) -> None:
        """See `drivers.api.OnReplies`."""
        self.in_flight.on_replies(self.flows[partition], count, error, time_ns, answer)
        self._unanswered -= count
        if self._on_room is not None:
            asyncio.get_running_loop().call_soon(self._on_room)
            self._on_room = None

    def room(self) -> int:
        """How many messages may be sent now."""
        room = self.handle.room()
        return room if self._max_in_flight is None else min(room, self._max_in_flight - self._unanswered)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn, when it is worth to ask for room again."""
        if self.handle.room() > 0:
            self._on_room = callback
        else:
            self.handle.when_room(callback)

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """Hands messages to the driver."""
        self._unanswered += len(payloads)
        self.handle.send(partition, payloads, keys)


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
        recorder: takes the samples.
        clock: the monotonic clock, in nanoseconds.
        make_pacer: makes what wakes the publisher.
        held_up_ns: for how long this process could not run though it wanted to, since its start.

    Attributes:
        in_flight: what was sent, and its replies.
        sent: messages sent, probes among them.
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
        held_up_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._run, self._senders, self._producers_total = run, senders, producers_total
        self._flows = [flow for sender in senders for flow in sender.flows]
        self._pool, self._recorder, self._clock = pool, recorder, clock
        self.in_flight = InFlightBatches(recorder)
        for sender in senders:
            sender.in_flight = self.in_flight
        self._pacer = make_pacer(self._on_wake)
        self._loop = asyncio.get_running_loop()
        self._stripe: Stripe | PoissonStripe = self._empty_stripe()
        self._next = 0  # the stripe's next message to send
        self._waits, self._held_up_ns = RoomWaits(), held_up_ns
        self._probes: list[tuple[Sender, int]] = []
        self.sent = 0

    def __repr__(self) -> str:
        return f"<Publisher {self._next} of {self._next + self.unsent} sent, {self.unanswered} in flight>"

    @property
    def unanswered(self) -> int:
        """Messages sent, probes among them, whose reply has not come."""
        return self.sent - self.in_flight.replied

    @property
    def unsent(self) -> int:
        """Messages of the current phase not sent yet, due or not (of random arrivals about so many), and probes."""
        return self._stripe.remaining(self._next) + len(self._probes)

    @property
    def overdue(self) -> int:
        """Messages of the current phase that are due and not sent."""
        return self._stripe.due(self._clock()) - self._next

    def take_report(self) -> SentReport:
        """What the ledger has to know of what was sent, since this was last called."""
        return self.in_flight.take_report(self._flows)

    # -- phases ----------------------------------------------------------------------------------------------------

    def _make_stripe(self, phase: Phase) -> Stripe | PoissonStripe:
        return phase.stripe(self._producers_total, [sender.index for sender in self._senders])

    def _empty_stripe(self) -> Stripe | PoissonStripe:
        return self._make_stripe(Phase(-1, "none", 0, 0, 1))

    def begin_phase(self, phase: Phase) -> None:
        """Starts the schedule of `phase`; the one before must be sent or stopped."""
        self.in_flight.begin_phase(self._clock())
        self._stripe = self._make_stripe(phase)
        self._next = 0
        self._waits = RoomWaits()
        self._pacer.arm(phase.start_ns)

    def extend_phase(self, phase: Phase) -> None:
        """The phase under way ends later, at the end of `phase`; what has been sent of it stays as it was."""
        self._stripe = self._make_stripe(phase)
        self._on_wake()

    def stop_sending(self) -> None:
        """Ends the schedule now. What is due and was not sent stands in the family `unsent`, as (now - intended).

        Of very many, evenly spaced ones stand for their neighbours; the count stays exact.
        """
        self._on_wake()  # what has become due since the last wake-up is still sent
        now_ns, stripe = self._clock(), self._stripe
        due = stripe.due(now_ns)
        if due > self._next:
            step = -(-(due - self._next) // MOST_UNSENT_SAMPLES)
            samples = range(self._next, due, step)
            intended = np.array(stripe.intended_of(samples), np.int64)
            repeats = np.full(len(samples), step, np.int64)
            repeats[-1] = due - samples[-1]
            self._recorder.record(None, intended, {"unsent": now_ns - intended}, repeats)
        self._stripe, self._next = self._empty_stripe(), 0

    def finish(self) -> None:
        """Ends the schedule, and waits for no reply any longer."""
        self.stop_sending()
        self.in_flight.finish(self._flows, self._clock())

    def hold_trimming(self, hold: bool) -> None:
        """While `hold` is set, sending trims nothing."""
        for sender in self._senders:
            sender.handle.keep_everything(hold)

    async def aclose(self) -> None:
        """Ends the pacer and the producers."""
        self._pacer.close()
        self._probes.clear()
        for sender in self._senders:
            await sender.handle.aclose()

    # -- probes ----------------------------------------------------------------------------------------------------

    def send_probes(self) -> None:
        """Sends one message outside of every phase to each partition of each producer's topic; not all at once."""
        self._probes = [(sender, at) for sender in reversed(self._senders) for at in reversed(range(len(sender.flows)))]
        self._send_next_probes()

    def _send_next_probes(self) -> None:
        for _ in range(min(PROBES_PER_TURN, len(self._probes))):
            sender, partition = self._probes[-1]
            if sender.handle.room() <= 0:
                sender.handle.when_room(self._send_next_probes)
                return
            del self._probes[-1]
            self._send_to(sender, partition, [0], None, is_probe=True)
        if self._probes:
            self._loop.call_soon(self._send_next_probes)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _on_wake(self) -> None:
        now_ns = self._clock()
        stripe, limit = self._stripe, self._next + MOST_PER_TURN
        if self._waits.since_ns is not None or not stripe.remaining(self._next):
            return
        due = stripe.due(now_ns)
        at = self._next
        while at < due and at < limit:
            room = self._room(at, due)
            if room <= 0:
                self._next = at
                self._waits.begin(self._clock(), self._held_up_ns())
                self._senders[stripe.producer(at)].when_room(self._on_room)
                return
            end = min(at + MOST_PER_BATCH, due, at + room)
            self._send(at, end)
            at = end
        self._next = at
        if at < due:
            self._loop.call_soon(self._on_wake)
        elif (next_ns := stripe.intended_or_none(at)) is not None:
            self._pacer.arm(wake_at(next_ns, now_ns))

    def _room(self, start: int, due: int) -> int:
        """How many messages may be sent from `start` on: up to a producer without room, whose turn it is then."""
        senders = self._senders
        if len(senders) == 1:
            return senders[0].room()
        least = MOST_PER_BATCH
        for at, producer in enumerate(self._stripe.producers_of(start, min(start + MOST_PER_BATCH, due)), start=start):
            room = senders[producer].room()
            if room <= 0:
                return min(least, at - start)
            least = min(least, room)
        return least

    def _on_room(self) -> None:
        if self._waits.since_ns is not None:
            self._waits.end(self._clock(), self._held_up_ns())
            self._on_wake()

    def _send(self, start: int, end: int) -> None:
        for producer, intended in self._stripe.by_producer(start, end):
            self._send_from(self._senders[producer], intended)

    def _send_from(self, sender: Sender, intended: Sequence[int]) -> None:
        keys = None if sender.keys is None else sender.keys.keys(len(intended))
        partitions = sender.handle.route(len(intended), keys)
        if partitions is None:
            self._send_to(sender, 0, intended, keys)
            return
        chosen: dict[int, list[int]] = {}
        for at, partition in enumerate(partitions):
            chosen.setdefault(partition, []).append(at)
        for partition, places in chosen.items():
            some_keys = None if keys is None else [keys[at] for at in places]
            self._send_to(sender, partition, [intended[at] for at in places], some_keys)

    def _send_to(
        self,
        sender: Sender,
        partition: int,
        intended: Sequence[int],
        keys: Sequence[bytes] | None,
        is_probe: bool = False,
    ) -> None:
        flow, pack, run, producer = sender.flows[partition], STAMP.pack, self._run, sender.index
        sequence = PROBE_SEQUENCE if is_probe else flow.sequence
        bodies = self._pool.next_bodies(len(intended))
        sequences = range(sequence, sequence + len(intended))
        sent_ns = self._clock()  # as late as can be: what is done before is delay, what comes after is service
        payloads = [
            pack(due_ns, sent_ns, run, producer, partition, 0, number) + body
            for due_ns, number, body in zip(intended, sequences, bodies, strict=True)
        ]
        if self._pool.checksums:
            payloads = [with_checksum(payload) for payload in payloads]
        if not is_probe:
            flow.sequence += len(intended)
        flow.batches.append(SentBatch(intended, sent_ns, None if is_probe else self._waits.blocked(intended), is_probe))
        self.sent += len(intended)
        sender.send(partition, payloads, keys)
