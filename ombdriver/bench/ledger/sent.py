"""The sending half of the ledger: what became of every sequence number that was sent, by flow. Pure, on numpy.

Replies of a flow come in order, so two numbers tell of most messages: how many were attempted, and how many of these
have been replied to. Only what was not acknowledged is held besides, as spans over all flows.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from ombdriver.bench.ledger.spans import Spans, below, of_runs
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import SentReport

CHECKPOINT = 1000
"""Of every so many sends of a flow, one is kept with what the system called it."""
_THIN = 64

Checkpoint = tuple[int, object]
"""(sequence, what the system answered when it took that message)."""


class SentLedger:
    """What was sent on all flows of a run.

    Args:
        flows: how many there are.

    Attributes:
        attempted: shape (flows,), messages sent.
        replied: shape (flows,), of these, messages that have a reply.
        failed: what is not there (`flows`): refused, or never sent.
        indeterminate: what may be there or not: no reply came.
    """

    def __init__(self, flows: int) -> None:
        self.attempted = np.zeros(flows, np.int64)
        self.replied = np.zeros(flows, np.int64)
        self.failed = self.indeterminate = Spans()
        self._checkpoints: dict[int, list[Checkpoint]] = {}

    def take(self, answered: SentReport) -> None:
        """Adds the report of one worker."""
        flows, attempted, replied = answered.flows.T
        self.attempted[flows] = attempted
        self.replied[flows] = replied
        self.failed |= of_runs(answered.failed)
        self.indeterminate |= of_runs(answered.indeterminate)
        for flow, sequence, answer in answered.checkpoints:
            self._checkpoints.setdefault(flow, []).append((sequence, answer))

    def acknowledged(self) -> Spans:
        """What the system said it holds."""
        return below(self.replied) - self.failed - self.indeterminate

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def forget(self, reached: Int64s) -> None:
        """Drops the checkpoints that nobody will ask for: all but one below `reached` (shape (flows,)) of each flow."""
        for flow, held in self._checkpoints.items():
            if len(held) > _THIN:
                del held[: max(0, bisect_left(held, int(reached[flow]), key=_sequence) - 1)]

    def checkpoints(self, flow: int) -> Sequence[Checkpoint]:
        """Those of `flow` that are kept, by rising sequence."""
        return self._checkpoints.get(flow, ())

    def around(self, flow: int, first: int, end: int) -> tuple[object | None, object | None]:
        """The answers to the nearest checkpoints at or below `first`, and at or above `end` - 1; None without one."""
        held = self.checkpoints(flow)
        below = bisect_left(held, first + 1, key=_sequence) - 1
        above = bisect_left(held, end - 1, key=_sequence)
        return (held[below][1] if below >= 0 else None), (held[above][1] if above < len(held) else None)


def _sequence(checkpoint: Checkpoint) -> int:
    return checkpoint[0]
