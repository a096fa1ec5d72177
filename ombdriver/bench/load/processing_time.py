"""How long a consumer is at work on each message, to model slow ones. Pure.

Work is done message after message, after the arrival and before the acknowledgement, so that one consumer handles
1 / mean messages per second at most. `worker.consumer.SimulatedProcessing` waits by it.
"""

import re
from dataclasses import dataclass
from typing import Literal

from ombdriver.bench.units import quoted

Spread = Literal["constant", "exponential"]

_UNITS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_FORM = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(us|ms|s)(?:\s+(constant|exponential))?")
PROCESSING_TIME_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?\s*(us|ms|s)(\s+(constant|exponential))?$"
MOST_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class ProcessingTime:
    """The time that a message takes.

    Attributes:
        mean_ns: on average, in nanoseconds.
        spread: whether each message takes that, or an exponentially distributed time of that mean.
    """

    mean_ns: int
    spread: Spread = "constant"

    @classmethod
    def parse(cls, text: object) -> "ProcessingTime":
        """Reads `1ms`, `250us`, `2ms exponential`.

        Raises:
            ValueError: if it is not that, or out of range.
        """
        parts = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
        if parts is None:
            raise ValueError(f"{quoted(text)} is not a time per message; write it as 1ms, 250us or 2ms exponential")
        mean_ns = round(float(parts[1]) * _UNITS[parts[2]])
        if not 1_000 <= mean_ns <= MOST_NS:
            raise ValueError(f"{quoted(text)} is out of range; write 1us to 60s")
        return cls(mean_ns, "exponential" if parts[3] == "exponential" else "constant")

    def __str__(self) -> str:
        unit = next(unit for unit in ("s", "ms", "us") if self.mean_ns >= _UNITS[unit])
        text = f"{self.mean_ns / _UNITS[unit]:.6g}{unit}"
        return text if self.spread == "constant" else f"{text} {self.spread}"
