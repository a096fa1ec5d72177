"""A send queue: the producers that share one room for what is in flight, and their next messages in order of due time.

A producer without room holds up those of its queue, which could not send either, and no others. The messages are not
stored: a queue is a part of the schedule and a cursor in it. Knows what a sender has room for; sends nothing. The clock
is given.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence

from ombdriver.bench.load.batched import BatchedStripe
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonStripe
from ombdriver.bench.load.schedule import Stripe
from ombdriver.bench.worker.room import RoomWaits
from ombdriver.bench.worker.sender import Sender


class SendQueue:
    """The producers of a worker that share one room; their messages leave in the order in which they are due.

    Args:
        number: its place among the worker's queues.
        senders: its producers, by rising index.
        phase: whose messages it sends.
        producers_total: how many producers the whole run has.
        batch_ns: its producers send in batches, one at the beginning of each interval of that length; 0 for none.

    Attributes:
        stripe: their part of the schedule.
        next: the stripe's next message to send.
        leaving: messages of it that leave in this turn of the loop.
        waits: the times in which there was no room.
        on_room: called once there may be room again; set by the publisher.
    """

    __slots__ = ("_batch_ns", "_producers_total", "leaving", "next", "number", "on_room", "senders", "stripe", "waits")

    stripe: Stripe | PoissonStripe | BatchedStripe
    on_room: Callable[[], None]

    def __init__(
        self, number: int, senders: Sequence[Sender], phase: Phase, producers_total: int, batch_ns: int
    ) -> None:
        self.number, self.senders, self._producers_total, self._batch_ns = number, senders, producers_total, batch_ns
        self.next, self.leaving, self.waits = sum(sender.ahead for sender in senders), 0, RoomWaits()
        self.follow(phase)

    def __repr__(self) -> str:
        return f"<SendQueue of {len(self.senders)} producers, {self.next} of {self.next + self.remaining()} sent>"

    def follow(self, phase: Phase) -> None:
        """Its messages are those of `phase`; those that it has sent are the first of them."""
        stripe = phase.stripe(self._producers_total, [sender.index for sender in self.senders])
        self.stripe = BatchedStripe(stripe, phase.start_ns, self._batch_ns) if self._batch_ns else stripe

    def remaining(self) -> int:
        """Messages not sent yet, due or not; of random arrivals about so many."""
        return self.stripe.remaining(self.next)

    def overdue(self, now_ns: int) -> int:
        """Messages that are due and not sent."""
        return self.stripe.due(now_ns) - self.next

    def room(self, end: int) -> int:
        """How many messages before `end` may be sent: up to a producer without room, whose turn it is then."""
        senders, start = self.senders, self.next
        if len(senders) == 1:
            return senders[0].room()
        least = end - start
        for at, producer in enumerate(self.stripe.producers_of(start, end)):
            room = senders[producer].room()
            if room <= 0:
                return min(least, at)
            least = min(least, room)
        return least


def send_queues(senders: Iterable[Sender], phase: Phase, producers_total: int, batch_ns: int = 0) -> list[SendQueue]:
    """The queues of `senders`, which come by rising index; the other arguments are those of a `SendQueue`."""
    together: dict[Hashable, list[Sender]] = {}
    for sender in senders:
        together.setdefault(sender.shared_room(), []).append(sender)
    return [SendQueue(number, some, phase, producers_total, batch_ns) for number, some in enumerate(together.values())]
