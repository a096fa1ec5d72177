"""The sending half of the ledger: what became of every sequence number that was sent, by flow. Pure, on numpy.

Replies of a flow come in order, so two numbers stand for most messages: how many were sent, and how many of these have
a reply. Only what was not acknowledged is held besides, as spans over all flows. Knows no subscription.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from ombdriver.bench.ledger.spans import Spans, below, of_ranges
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import SentReport

CHECKPOINT_EVERY = 1000
"""Of every so many messages of a flow, one is kept with what the system answered."""
MOST_CHECKPOINTS = 64
"""Of a flow, before those that nobody will ask for are dropped."""

Checkpoint = tuple[int, object]
"""(sequence number, what the system answered when it took that message)."""


class SentLedger:
    """What was sent on all flows of a run.

    Args:
        flows: how many there are.

    Attributes:
        sent: shape (flows,), messages sent.
        replied: shape (flows,), of these, messages that have a reply.
        failed: messages that are not there: refused, or never sent.
        indeterminate: messages that may be there or not: no reply came.
    """

    def __init__(self, flows: int) -> None:
        self.sent = np.zeros(flows, np.int64)
        self.replied = np.zeros(flows, np.int64)
        self.failed = self.indeterminate = Spans()
        self._checkpoints: dict[int, list[Checkpoint]] = {}

    def add(self, report: SentReport) -> None:
        """Adds the report of one worker."""
        flows, sent, replied = report.flows.T
        self.sent[flows] = sent
        self.replied[flows] = replied
        self.failed |= of_ranges(report.failed)
        self.indeterminate |= of_ranges(report.indeterminate)
        for flow, sequence, answer in report.checkpoints:
            self._checkpoints.setdefault(flow, []).append((sequence, answer))

    def acknowledged(self) -> Spans:
        """What the system said it holds."""
        return below(self.replied) - self.failed - self.indeterminate

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def drop_checkpoints(self, received: Int64s) -> None:
        """Drops all but one of those below `received` (shape (flows,)) of each flow: nobody will ask for them."""
        for flow, kept in self._checkpoints.items():
            if len(kept) > MOST_CHECKPOINTS:
                del kept[: max(0, bisect_left(kept, int(received[flow]), key=_sequence) - 1)]

    def checkpoints(self, flow: int) -> Sequence[Checkpoint]:
        """Those of `flow` that are kept, by rising sequence number."""
        return self._checkpoints.get(flow, ())

    def around(self, flow: int, first: int, end: int) -> tuple[object | None, object | None]:
        """The answers to the nearest checkpoints at or below `first`, and at or above `end` - 1; None without one."""
        kept = self.checkpoints(flow)
        lower = bisect_left(kept, first + 1, key=_sequence) - 1
        upper = bisect_left(kept, end - 1, key=_sequence)
        return (kept[lower][1] if lower >= 0 else None), (kept[upper][1] if upper < len(kept) else None)


def _sequence(checkpoint: Checkpoint) -> int:
    return checkpoint[0]
