"""How long a consumer is at work on each message, to model slow ones. The numbers are pure; `Working` waits by them.

Work is done message after message, after the arrival and before the acknowledgement, so that one consumer handles
1 / mean messages per second at most.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ombdriver.bench.units import shown

Spread = Literal["constant", "exponential"]

_UNITS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s)(?:\s+(constant|exponential))?")
WORK_PATTERN = r"^\d+(\.\d+)?\s*(us|ms|s)(\s+(constant|exponential))?$"
MOST_NS = 60 * 10**9
SLICE_S = 0.1
"""A consumer that is at work looks so often whether it is to leave."""
LEAST_NS = 1_000_000
"""Less work than that is put together: a loop's timers are no finer."""
MOST_AHEAD_NS = 20_000_000
"""How much of a wait that took too long is taken off later ones."""


@dataclass(frozen=True, slots=True)
class ConsumerWork:
    """The time that a message takes.

    Attributes:
        mean_ns: on average, in nanoseconds.
        spread: whether each message takes that, or an exponentially distributed time of that mean.
    """

    mean_ns: int
    spread: Spread = "constant"

    @classmethod
    def parse(cls, text: object) -> "ConsumerWork":
        """Reads `1ms`, `250us`, `2ms exponential`.

        Raises:
            ValueError: if it is not that, or out of range.
        """
        parts = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
        if parts is None:
            raise ValueError(f"{shown(text)} is not a time per message; write it as 1ms, 250us or 2ms exponential")
        mean_ns = round(float(parts[1]) * _UNITS[parts[2]])
        if not 1_000 <= mean_ns <= MOST_NS:
            raise ValueError(f"{shown(text)} is out of range; write 1us to 60s")
        return cls(mean_ns, "exponential" if parts[3] == "exponential" else "constant")

    def __str__(self) -> str:
        unit = next(unit for unit in ("s", "ms", "us") if self.mean_ns >= _UNITS[unit])
        told = f"{self.mean_ns / _UNITS[unit]:.6g}{unit}"
        return told if self.spread == "constant" else f"{told} {self.spread}"


class Working:
    """One consumer at work.

    Args:
        work: how long each message takes.
        seed: of its distribution; consumers have different ones.
        clock: nanoseconds that only grow.
    """

    def __init__(self, work: ConsumerWork, seed: tuple[int, ...], clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._work, self._clock = work, clock
        self._chance = np.random.default_rng(seed)
        self._owed_ns = 0

    def __repr__(self) -> str:
        return f"<Working {self._work}>"

    def time_of(self, messages: int) -> int:
        """How long so many messages take, in nanoseconds."""
        if self._work.spread == "constant":
            return messages * self._work.mean_ns
        return round(float(self._chance.gamma(messages, self._work.mean_ns)))  # a sum of exponential times

    async def do(self, messages: int, leaving: Callable[[], bool]) -> None:
        """Is at work on so many messages; ends early when `leaving` says so.

        What a wait takes too long is taken off the next ones, so that the mean holds.
        """
        self._owed_ns = max(self._owed_ns, -MOST_AHEAD_NS) + self.time_of(messages)
        while self._owed_ns >= LEAST_NS and not leaving():
            began_ns = self._clock()
            await asyncio.sleep(min(self._owed_ns / 1e9, SLICE_S))
            self._owed_ns -= self._clock() - began_ns
