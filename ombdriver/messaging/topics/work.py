"""One message that a runner has in hand, and how far its delivery is. No I/O."""

import asyncio
from collections.abc import Hashable
from enum import Enum
from typing import Any

from ombdriver.messaging.topics.message import Message


class State(Enum):
    """How far a delivery is."""

    UNCOUNTED = "it is to be counted when it begins"
    COUNTED = "the server has counted it, and it has not begun"
    BEGUN = "the handler has it, or had it"


COUNTED, UNCOUNTED, BEGUN = State.COUNTED, State.UNCOUNTED, State.BEGUN


class Work:
    """One message in hand. Every message gets one, so what is the same for most is kept by the class.

    Attributes:
        message: what the handler is given.
        lane: see `lanes.Laned`.
        rank: see `lanes.Laned`.
        state: of its delivery.
        taken_over: it was not read but reclaimed, or was due.
        busy: a handler has it, or what comes before and after is done with it.
        reason: why it was given up, once it was; until the server has taken that in.
        error: what its last failure said.
        timer: of its retry.
    """

    taken_over = False
    busy = False
    reason: str | None = None
    error = ""
    timer: asyncio.TimerHandle | None = None

    def __init__(self, message: Message[Any], lane: Hashable | None, rank: tuple[int, int], state: State) -> None:
        self.message, self.lane, self.rank, self.state = message, lane, rank, state

    def __repr__(self) -> str:
        return f"<Work {self.message!r} {self.state.name}{' busy' if self.busy else ''}>"
