"""One producer of the plan, as the publisher sees it: what it may send now, and where its replies go.

Knows the driver's seam and its own limit; no schedule, stamp or clock.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence

from ombdriver.bench.drivers.api import DriverProducer
from ombdriver.bench.load.message import KeySource
from ombdriver.bench.worker.in_flight import Flow, InFlightBatches


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
        ahead: messages of the next phase that another process has sent in its place.
    """

    def __init__(self, index: int, flows: Sequence[int], keys: KeySource | None, max_in_flight: int | None) -> None:
        self.index = index
        self.keys = keys
        self.flows = [Flow(number) for number in flows]
        self._max_in_flight = max_in_flight
        self._unanswered = 0
        self.ahead = 0
        self._on_room: Callable[[], None] | None = None
        self.handle: DriverProducer = None  # type: ignore[assignment]
        self.in_flight: InFlightBatches = None  # type: ignore[assignment]

    def go_on(self, flow: Flow, sent: int, of_phase: int) -> None:
        """Another process has sent so many messages of a flow, the last ones of them in the phase under way."""
        flow.sequence = flow.replied = flow.next_checkpoint = sent
        self.ahead += of_phase

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

    def shared_room(self) -> Hashable:
        """What its room is of: senders that give equal values have it together."""
        if self._max_in_flight is not None:
            return self
        tells = getattr(self.handle, "shared_room", None)
        return self if tells is None else tells()

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
