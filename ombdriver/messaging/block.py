"""Many commands booked as one: the driver's way through a channel, where nothing per message is a future."""

from collections.abc import Callable
from typing import Any

Sink = Callable[[int, int, int, Exception | None, int, Any], None]
"""`sink(token, first, count, error, time_ns, last)`: `count` replies of a block arrived, from index `first` on.

`last` is what the last of them said; None with an `error`.
"""


class Block:
    """Commands that left together and whose replies are counted, not dispatched one by one."""

    __slots__ = ("first", "left", "sink", "token")

    def __init__(self, sink: Sink, token: int, first: int, count: int) -> None:
        self.sink, self.token, self.first, self.left = sink, token, first, count

    def report(self, count: int, error: Exception | None, time_ns: int, last: Any) -> None:
        """Tells the sink of the next `count` replies."""
        first = self.first
        self.first = first + count
        self.sink(self.token, first, count, error, time_ns, last)
