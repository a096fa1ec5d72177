"""The producing side of a worker: what is due is stamped and sent by batch, replies are recorded by batch.

Nothing per message is a task, a future or a timer. The schedule is never re-based and no debt forgiven: what can't be
sent in time is sent late, and recorded as delay, in two parts. *Blocked* is the time in which there was no room for it,
and is the system's back-pressure; all the rest is *schedule lag*, and ours. Without room, the producers of one send
queue wait, and no others. Knows the schedule, the stamp and the driver's seam; the clock, the pacer and what held this
process up are given.
"""

import asyncio
from array import array
from collections.abc import Callable, Collection, Sequence
from functools import partial
from heapq import heapify, heappop, heappush, heapreplace
from typing import Protocol

import numpy as np

from ombdriver.bench.load.host_clock import SAME_HOST, HostClock
from ombdriver.bench.load.message import STAMP, PayloadPool, with_checksum
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import SentReport
from ombdriver.bench.worker.in_flight import FLUSH_AT, InFlightBatches, SentBatch
from ombdriver.bench.worker.pacer import Pacer
from ombdriver.bench.worker.pacing import Pacing
from ombdriver.bench.worker.send_queue import SendQueue, send_queues
from ombdriver.bench.worker.sender import Sender

MOST_PER_BATCH = 64
"""So many messages of a partition share one actual send time, so that stamping and packing do not count as service."""
MOST_PER_TURN = 4096
"""Messages sent before replies and other callbacks of the loop get a turn."""
PROBES_PER_TURN = 512
"""Probes sent before replies get a turn: of ten thousand partitions, all of them would be a burst of many megabytes."""
MOST_UNSENT_SAMPLES = 50_000
"""Samples that stand for the messages never sent, however many these are."""
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
        recorder: takes the samples.
        clock: the monotonic clock, in nanoseconds.
        make_pacer: makes what wakes the publisher.
        pacing: decides when.
        held_up_ns: for how long this process could not run though it wanted to, since its start.
        batch_ns: producers send in batches, one at the beginning of each interval of that length; 0 for none.
        host_clock: of this host; stamps are of the run's clock.

    Attributes:
        in_flight: what was sent, and its replies.
        sent: messages sent, probes among them.
        host_clock: as given; another one may be set.
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
        pacing: Pacing,
        held_up_ns: Callable[[], int] = lambda: 0,
        batch_ns: int = 0,
        host_clock: HostClock = SAME_HOST,
    ) -> None:
        self.host_clock = host_clock
        self._run, self._senders, self._producers_total = run, senders, producers_total
        self._flows = [flow for sender in senders for flow in sender.flows]
        self._pool, self._recorder, self._clock = pool, recorder, clock
        self.in_flight = InFlightBatches(recorder)
        for sender in senders:
            sender.in_flight = self.in_flight
        self._pacer = make_pacer(self._on_wake)
        self._loop = asyncio.get_running_loop()
        self._pacing, self._held_up_ns, self._batch_ns = pacing, held_up_ns, batch_ns
        self._writes, self._writes_due = array("q"), array("q")  # how many messages each had, when its first was due
        self._queues: list[SendQueue] = []
        self._due_heap: list[tuple[int, int, SendQueue]] = []  # those with room, by their next message
        self._goes_on = False  # in the next turn of the loop
        self._probes: list[tuple[Sender, int]] = []
        self.sent = 0

    def __repr__(self) -> str:
        return f"<Publisher {self.sent} sent, {self.unsent} to send, {self.unanswered} in flight>"

    @property
    def unanswered(self) -> int:
        """Messages sent, probes among them, whose reply has not come."""
        return self.sent - self.in_flight.replied

    @property
    def unsent(self) -> int:
        """Messages of the current phase not sent yet, due or not (of random arrivals about so many), and probes."""
        return sum(queue.remaining() for queue in self._queues) + len(self._probes)

    @property
    def overdue(self) -> int:
        """Messages of the current phase that are due and not sent."""
        now_ns = self._clock()
        late = [queue for queue in self._queues if queue.waits.since_ns is not None]
        late += [queue for due_ns, _, queue in self._due_heap if due_ns <= now_ns]
        return sum(queue.overdue(now_ns) for queue in late)

    def take_report(self) -> SentReport:
        """What the ledger has to know of what was sent, since this was last called."""
        return self.in_flight.take_report(self._flows)

    # -- phases ----------------------------------------------------------------------------------------------------

    def begin_phase(self, phase: Phase) -> None:
        """Starts the schedule of `phase`; the one before must be sent or stopped."""
        self.in_flight.begin_phase(self._clock())
        self._end_queues()
        self._queues = send_queues(self._senders, phase, self._producers_total, self._batch_ns)
        for sender in self._senders:
            sender.ahead = 0
        for queue in self._queues:
            queue.on_room = partial(self._on_room, queue)
        self._fill_heap()
        self._pacer.arm(phase.start_ns)

    def extend_phase(self, phase: Phase) -> None:
        """The phase under way ends later, at the end of `phase`; what has been sent of it stays as it was."""
        for queue in self._queues:
            queue.follow(phase)
        self._fill_heap()
        self._on_wake()

    def _fill_heap(self) -> None:
        queues = [queue for queue in self._queues if queue.waits.since_ns is None]
        each = [(queue.stripe.intended_or_none(queue.next), queue.number, queue) for queue in queues]
        self._due_heap = [(due_ns, number, queue) for due_ns, number, queue in each if due_ns is not None]
        heapify(self._due_heap)

    def _end_queues(self) -> None:
        for queue in self._queues:
            queue.waits.end(self._clock(), self._held_up_ns())  # its producer may call back yet
        self._queues, self._due_heap = [], []

    def stop_sending(self) -> None:
        """Ends the schedule now. What is due and was not sent stands in the family `unsent`, as (now - intended).

        Of very many, evenly spaced ones stand for their neighbours; the count stays exact.
        """
        self._on_wake()  # what has become due since the last wake-up is still sent
        now_ns = self._clock()
        step = max(1, -(-sum(queue.overdue(now_ns) for queue in self._queues) // MOST_UNSENT_SAMPLES))
        for queue in self._queues:
            which = range(queue.next, queue.stripe.due(now_ns))
            self._recorder.record_waiting("unsent", queue.stripe.intended_of, which, now_ns, step)
        self._end_queues()

    def finish(self) -> None:
        """Ends the schedule, and waits for no reply any longer."""
        self.stop_sending()
        self.in_flight.finish(self._flows, self._clock())

    def give_up(self, error: Exception) -> None:
        """No reply comes any more: all that is in flight has met `error`."""
        now_ns = self._clock()
        for flow in self._flows:
            if count := sum(batch.count - batch.replied for batch in flow.batches):
                self.in_flight.on_replies(flow, count, error, now_ns)

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

    def send_probes(self, wanted: Collection[tuple[int, int]] | None = None) -> None:
        """Sends one message outside of every phase to each partition of each producer's topic; not all at once.

        Args:
            wanted: (producer, partition) of those that are meant; None for all.
        """
        going, each = bool(self._probes), ((s, at) for s in self._senders for at in range(len(s.flows)))
        chosen = [(sender, at) for sender, at in each if wanted is None or (sender.index, at) in wanted]
        self._probes = chosen[::-1] + self._probes
        if not going:
            self._send_next_probes()

    def _send_next_probes(self) -> None:
        for _ in range(min(PROBES_PER_TURN, len(self._probes))):
            sender, partition = self._probes[-1]
            if sender.handle.room() <= 0:
                sender.handle.when_room(self._send_next_probes)
                return
            del self._probes[-1]
            self._send_to(None, sender, partition, [0], None)
        if self._probes:
            self._loop.call_soon(self._send_next_probes)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _on_wake(self) -> None:
        now_ns = self._clock()
        due_heap, left = self._due_heap, MOST_PER_TURN
        leaving: list[tuple[int, SendQueue]] = []
        of_queue, due = None, 0  # so many messages of that queue are due
        while due_heap and due_heap[0][0] <= now_ns and left > 0:
            due_ns, number, queue = due_heap[0]
            start, stripe = queue.next, queue.stripe
            after_ns = None
            if queue is not of_queue:
                after_ns = stripe.intended_or_none(start + 1)
                is_last = after_ns is None or after_ns > now_ns
                of_queue, due = queue, start + 1 if is_last else stripe.due(now_ns)
            end = min(start + MOST_PER_BATCH, due)
            room = queue.room(end)
            if room <= 0:
                heappop(due_heap)
                queue.waits.begin(self._clock(), self._held_up_ns())
                queue.senders[stripe.producer(start)].when_room(queue.on_room)
                continue
            end = min(end, start + room)
            left -= end - start
            if not queue.leaving:
                leaving.append((due_ns, queue))
            queue.leaving += end - start
            queue.next = end
            queue.waits.forget(due_ns)
            stripe.forget(start)
            if end == start + 1:
                after_ns = after_ns or stripe.intended_or_none(end)
                self._send_from(queue, queue.senders[stripe.producer(start)], [due_ns])
            else:
                after_ns = stripe.intended_or_none(end)
                for producer, intended in stripe.by_producer(start, end):
                    self._send_from(queue, queue.senders[producer], intended)
            if after_ns is None:
                heappop(due_heap)
            else:
                heapreplace(due_heap, (after_ns, number, queue))
        for due_ns, queue in leaving:
            self._writes_due.append(due_ns)
            self._writes.append(queue.leaving)
            queue.leaving = 0
        if len(self._writes) >= FLUSH_AT:
            self._flush_writes()
        if left <= 0:
            self._go_on()
        elif due_heap:
            self._pacer.arm(self._pacing.wake_at(due_heap[0][0], now_ns, MOST_PER_TURN - left))

    def _flush_writes(self) -> None:
        sizes, due = np.frombuffer(self._writes, np.int64), np.frombuffer(self._writes_due, np.int64)
        self._recorder.record(None, due, {"messagesPerWrite": sizes})
        self._writes, self._writes_due = array("q"), array("q")

    def flush(self) -> None:
        """Records what has been sent and answered so far."""
        self.in_flight.flush()
        if self._writes:
            self._flush_writes()

    def _go_on(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._on_next_turn)

    def _on_next_turn(self) -> None:
        self._goes_on = False
        self._on_wake()

    def _on_room(self, queue: SendQueue) -> None:
        if queue.waits.since_ns is not None:
            queue.waits.end(self._clock(), self._held_up_ns())
            if (next_ns := queue.stripe.intended_or_none(queue.next)) is not None:
                heappush(self._due_heap, (next_ns, queue.number, queue))
            self._on_wake()

    def _send_from(self, queue: SendQueue, sender: Sender, intended: Sequence[int]) -> None:
        keys = None if sender.keys is None else sender.keys.keys(len(intended))
        partitions = sender.handle.route(len(intended), keys)
        if partitions is None:
            self._send_to(queue, sender, 0, intended, keys)
            return
        chosen: dict[int, list[int]] = {}
        for at, partition in enumerate(partitions):
            chosen.setdefault(partition, []).append(at)
        for partition, places in chosen.items():
            some_keys = None if keys is None else [keys[at] for at in places]
            self._send_to(queue, sender, partition, [intended[at] for at in places], some_keys)

    def _send_to(
        self,
        queue: SendQueue | None,
        sender: Sender,
        partition: int,
        intended: Sequence[int],
        keys: Sequence[bytes] | None,
    ) -> None:
        """Sends messages of a queue, or a probe, which stands in none."""
        flow, pack, run, producer = sender.flows[partition], STAMP.pack, self._run, sender.index
        sequence = PROBE_SEQUENCE if queue is None else flow.sequence
        bodies = self._pool.next_bodies(len(intended))
        sequences = range(sequence, sequence + len(intended))
        sent_ns = self._clock()  # as late as can be: what is done before is delay, what comes after is service
        due, leaves_ns = intended, sent_ns
        if (offset_ns := self.host_clock.offset_ns) and queue is not None:  # of a probe 0 stays 0
            due, leaves_ns = [due_ns + offset_ns for due_ns in intended], sent_ns + offset_ns
        payloads = [
            pack(due_ns, leaves_ns, run, producer, partition, 0, number) + body
            for due_ns, number, body in zip(due, sequences, bodies, strict=True)
        ]
        if self._pool.checksums:
            payloads = [with_checksum(payload) for payload in payloads]
        if queue is None:
            flow.batches.append(SentBatch(intended, sent_ns, is_probe=True))
        else:
            flow.sequence += len(intended)
            blocked = queue.waits.blocked(intended)
            if blocked is None:
                flow.batches.append(SentBatch(intended, sent_ns))
            elif len(blocked) == 1:
                flow.batches.append(SentBatch(intended, sent_ns, blocked[0][1:]))
            else:
                at = 0
                for count, first_ns, last_ns in blocked:
                    flow.batches.append(SentBatch(intended[at : at + count], sent_ns, (first_ns, last_ns)))
                    at += count
        self.sent += len(intended)
        sender.send(partition, payloads, keys)
