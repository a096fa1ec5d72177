"""Partitions of one producer that have something to send go together: in one turn, and one write for each server."""

import asyncio
from collections import deque
from collections.abc import Callable

from ombdriver.messaging.channel import Channel

Go = Callable[[], Channel | None]
"""Has a partition send what it has; gives the channel that it was put on, unless nothing was."""


class Departures:
    """What goes in the next turn of the loop, so that all of this turn goes together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: deque[Go] = deque()

    def add(self, go: Go) -> None:
        """Has `go` called in the next turn."""
        if not self._due:
            self._loop.call_soon(self._depart)
        self._due.append(go)

    def _depart(self) -> None:
        """Writes at once: to leave that to the end of this turn would cost who waits for one message another turn."""
        used: list[Channel] = []
        try:
            while self._due:
                channel = self._due.popleft()()
                if channel is not None and channel not in used:
                    used.append(channel)
        finally:
            if self._due:  # one of them has failed
                self._loop.call_soon(self._depart)
            for channel in used:
                channel.flush()
