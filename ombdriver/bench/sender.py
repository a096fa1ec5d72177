"""One producer of the plan: its lanes, its keys, and how many messages it may send now.

Knows the driver's seam; no schedule, stamp or clock.
"""

import asyncio
from collections.abc import Callable, Sequence

from ombdriver.bench.acknowledgements import Acknowledgements, Lane
from ombdriver.bench.driver import DriverProducer
from ombdriver.bench.payload import KeySource


class Sender:
    """One producer.

    Args:
        index: its number in the plan.
        lanes: the numbers of its lanes, by partition.
        keys: gives the keys of its messages; None when they have none.
        max_in_flight: messages that it may have without a reply; None leaves that to the driver.

    Attributes:
        handle: the driver's producer; set once it is made.
        acknowledgements: books the replies; set by the publisher.
    """

    def __init__(self, index: int, lanes: Sequence[int], keys: KeySource | None, max_in_flight: int | None) -> None:
        self.index = index
        self.keys = keys
        self.lanes = [Lane(number) for number in lanes]
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._on_room: Callable[[], None] | None = None
        self.handle: DriverProducer = None  # type: ignore[assignment]
        self.acknowledgements: Acknowledgements = None  # type: ignore[assignment]

    def on_replies(
        self, partition: int, _first: int, count: int, error: Exception | None, time_ns: int, answer: object
    ) -> None:
        """The driver's report (`driver.OnReplies`)."""
        self.acknowledgements.take(self.lanes[partition], count, error, time_ns, answer)
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
