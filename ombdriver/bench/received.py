"""The receiving half of the ledger: which sequence numbers reached one subscription, by lane. Pure, on numpy.

All that a lane has brought up to some number is told by that number, the lane's *mark*. Only lanes with a gap hold
spans besides; so memory follows the number of gaps, not the length of the run.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from ombdriver.bench.arrivals import Arrived
from ombdriver.bench.published import by_lane
from ombdriver.bench.recorder import Int64s
from ombdriver.bench.spans import Spans


class Received:
    """What one subscription has received, united over its consumers.

    Args:
        lanes: how many lanes the run has.

    Attributes:
        marks: shape (lanes,): every sequence below it has arrived.
        again: messages that came once more, by an entry that was not new.
        anew: messages that came once more, by a new entry.
        late: messages below the next expected sequence of the consumer that got them, repetitions among them.
        corrupt: messages whose checksum did not fit.
    """

    def __init__(self, lanes: int) -> None:
        self.marks = np.zeros(lanes, np.int64)
        self.again = self.anew = self.late = self.corrupt = 0
        self._gapped: dict[int, Spans] = {}
        self._highest = np.zeros(lanes, np.int64)
        self._examined = np.zeros(lanes, np.int64)
        self._floors: dict[int, list[tuple[int, int]]] = {}

    def __repr__(self) -> str:
        return f"<Received {int(self.marks.sum())} up to the marks, gaps on {len(self._gapped)} lanes>"

    def take(self, arrived: Arrived) -> None:
        """Adds what one consumer reports."""
        runs = self._take_in_order(arrived.runs)
        self.anew += self._unite(runs)
        self.again += self._unite(arrived.again)
        self.late += arrived.late
        self.corrupt += arrived.corrupt

    def _take_in_order(self, runs: Int64s) -> Int64s:
        """Brings the marks forward by the runs that begin right at them; returns the others."""
        lanes, firsts, counts = runs.T
        occurs = np.bincount(lanes, minlength=len(self.marks))
        in_order = (occurs[lanes] == 1) & (firsts == self.marks[lanes])
        if self._gapped:
            in_order &= ~np.isin(lanes, list(self._gapped))
        self.marks[lanes[in_order]] += counts[in_order]
        rest: Int64s = runs[~in_order]
        return rest

    def _unite(self, runs: Int64s) -> int:
        """Adds `runs`, whatever they are; returns how many of their messages had come before."""
        repeated = int(runs[:, 2].sum())
        for lane, spans in by_lane(runs):
            before = self.of(lane)
            after = before | spans
            repeated -= len(after) - len(before)
            self._hold(lane, after)
        return repeated

    def _hold(self, lane: int, spans: Spans) -> None:
        pairs = spans.pairs
        starts_at_0 = bool(len(pairs)) and pairs[0, 0] == 0
        self.marks[lane] = pairs[0, 1] if starts_at_0 else 0
        if len(pairs) > starts_at_0:
            self._gapped[lane] = spans
        else:
            self._gapped.pop(lane, None)

    def of(self, lane: int) -> Spans:
        """Every sequence of `lane` that has arrived."""
        held = self._gapped.get(lane)
        return Spans.of([(0, int(self.marks[lane]))]) if held is None else held

    @property
    def gapped(self) -> Iterable[int]:
        """The lanes of which something arrived beyond a gap."""
        return self._gapped.keys()

    # -- gaps ------------------------------------------------------------------------------------------------------

    def _ends(self) -> Int64s:
        """One past the greatest sequence of each lane that has arrived."""
        ends = self.marks.copy()
        for lane, spans in self._gapped.items():
            ends[lane] = spans.end
        return ends

    def new_gaps(self) -> Iterator[tuple[int, Spans]]:
        """Gaps that were there when this was called last and still are, by lane, each once.

        A gap of one report may be filled by the next one, from another consumer.
        """
        for lane, spans in self._gapped.items():
            first, end = int(self._examined[lane]), int(self._highest[lane])
            gaps = Spans.of([(first, end)]) - spans
            if gaps:
                yield lane, gaps
        self._examined = np.maximum(self._examined, self._highest)
        self._highest = self._ends()

    def note_floor(self, lane: int, floor: int) -> None:
        """Notes that now, with the gaps of `lane` just found, the system still holds nothing below `floor`."""
        self._floors.setdefault(lane, []).append((int(self._examined[lane]), floor))

    def trimmed(self, lane: int, missing: Spans, floor: int) -> Spans:
        """Of `missing`, what was cut off: below the floor when the gap was found.

        Args:
            lane: the lane.
            missing: its sequences that never came.
            floor: for those after the last gap that was looked at.
        """
        found, start = Spans(), 0
        for end, at_the_time in [*self._floors.get(lane, ()), (missing.end, floor)]:
            found |= missing & Spans.of([(start, max(start, min(end, at_the_time)))])
            start = max(start, end)
        return found
