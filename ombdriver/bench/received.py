"""The receiving half of the ledger: which messages reached one subscription, on all lanes. Pure, on numpy.

One set of spans over all lanes (`lanes`): a pair of numbers for each lane while nothing is missing, and another one for
each gap; so memory follows the number of gaps, not the length of the run, and a poll is a few sweeps, however many
lanes and consumers it tells of.
"""

from collections.abc import Sequence

import numpy as np

from ombdriver.bench.lanes import below, between, ends_of, marks_of, of_runs
from ombdriver.bench.recorder import Int64s
from ombdriver.bench.spans import Spans
from ombdriver.bench.worker_report import Arrived


class Received:
    """What one subscription has received, united over its consumers.

    Args:
        lanes: how many lanes the run has.

    Attributes:
        spans: every message that has arrived.
        ends: shape (lanes,): one past the greatest sequence that has arrived.
        again: messages that came once more, by an entry that was not new.
        anew: messages that came once more, by a new entry.
        late: messages below the next expected sequence of the consumer that got them, repetitions among them.
        corrupt: messages whose checksum did not fit.
    """

    def __init__(self, lanes: int) -> None:
        self.spans = Spans()
        self.ends = np.zeros(lanes, np.int64)
        self.again = self.anew = self.late = self.corrupt = 0
        self._seen_before = np.zeros(lanes, np.int64)
        self._examined = np.zeros(lanes, np.int64)
        self._gaps = self._judged = self._cut = Spans()

    def __repr__(self) -> str:
        return f"<Received {len(self.spans)} in {len(self.spans.pairs)} stretches>"

    def take(self, arrived: Sequence[Arrived]) -> None:
        """Adds what the consumers report."""
        self.anew += self._unite([each.runs for each in arrived])
        self.again += self._unite([each.again for each in arrived])
        self.late += sum(each.late for each in arrived)
        self.corrupt += sum(each.corrupt for each in arrived)

    def _unite(self, parts: Sequence[Int64s]) -> int:
        """Adds runs; returns how many of their messages had come before, or come twice in them."""
        runs = np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)
        if not len(runs):
            return 0
        before = len(self.spans)
        self.spans |= of_runs(runs)
        self.ends = ends_of(self.spans, len(self.ends))
        return int(runs[:, 2].sum()) - (len(self.spans) - before)

    def marks(self) -> Int64s:
        """The lowest sequence of each lane that has not arrived. Shape (lanes,)."""
        return marks_of(self.spans, len(self.ends))

    # -- gaps ------------------------------------------------------------------------------------------------------

    def new_gaps(self, acknowledged: Spans) -> Spans:
        """Acknowledged messages that were overtaken before this was called last, and still have not come; each once.

        A gap of one report may be filled by the next one, from another consumer.
        """
        self._gaps = (between(self._examined, self._seen_before) & acknowledged) - self.spans
        self._examined = self._seen_before
        self._seen_before = self.ends
        return self._gaps

    def judge(self, floors: Int64s) -> None:
        """Notes that the system now holds nothing below `floors` (shape (lanes,)), for the gaps found last."""
        self._judged |= self._gaps
        self._cut |= self._gaps & below(floors)

    def trimmed(self, gone: Spans, floors: Int64s) -> Spans:
        """Of what is gone, what was cut off: below the floor when its gap was found, or else below `floors` now."""
        return (gone & self._cut) | ((gone - self._judged) & below(floors))
