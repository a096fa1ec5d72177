"""The sending half of the ledger: what became of every sequence number that was sent, by lane. Pure, on numpy.

Replies of a lane come in order, so two numbers tell of most messages: how many were attempted, and how many of these
have been replied to. Only what was not acknowledged is held besides, as spans over all lanes.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from ombdriver.bench.ledger.spans import Spans, below, of_runs
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import Answered

CHECKPOINT = 1000
"""Of every so many sends of a lane, one is kept with what the system called it."""
_THIN = 64

Checkpoint = tuple[int, object]
"""(sequence, what the system answered when it took that message)."""


class Published:
    """What was sent on all lanes of a run.

    Args:
        lanes: how many there are.

    Attributes:
        attempted: shape (lanes,), messages sent.
        replied: shape (lanes,), of these, messages that have a reply.
        failed: what is not there (`lanes`): refused, or never sent.
        indeterminate: what may be there or not: no reply came.
    """

    def __init__(self, lanes: int) -> None:
        self.attempted = np.zeros(lanes, np.int64)
        self.replied = np.zeros(lanes, np.int64)
        self.failed = self.indeterminate = Spans()
        self._checkpoints: dict[int, list[Checkpoint]] = {}

    def take(self, answered: Answered) -> None:
        """Adds the report of one worker."""
        lanes, attempted, replied = answered.lanes.T
        self.attempted[lanes] = attempted
        self.replied[lanes] = replied
        self.failed |= of_runs(answered.failed)
        self.indeterminate |= of_runs(answered.indeterminate)
        for lane, sequence, answer in answered.checkpoints:
            self._checkpoints.setdefault(lane, []).append((sequence, answer))

    def acknowledged(self) -> Spans:
        """What the system said it holds."""
        return below(self.replied) - self.failed - self.indeterminate

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def forget(self, reached: Int64s) -> None:
        """Drops the checkpoints that nobody will ask for: all but one below `reached` (shape (lanes,)) of each lane."""
        for lane, held in self._checkpoints.items():
            if len(held) > _THIN:
                del held[: max(0, bisect_left(held, int(reached[lane]), key=_sequence) - 1)]

    def checkpoints(self, lane: int) -> Sequence[Checkpoint]:
        """Those of `lane` that are kept, by rising sequence."""
        return self._checkpoints.get(lane, ())

    def around(self, lane: int, first: int, end: int) -> tuple[object | None, object | None]:
        """The answers to the nearest checkpoints at or below `first`, and at or above `end` - 1; None without one."""
        held = self.checkpoints(lane)
        below = bisect_left(held, first + 1, key=_sequence) - 1
        above = bisect_left(held, end - 1, key=_sequence)
        return (held[below][1] if below >= 0 else None), (held[above][1] if above < len(held) else None)


def _sequence(checkpoint: Checkpoint) -> int:
    return checkpoint[0]
