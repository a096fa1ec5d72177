"""What a consumer has been given, in few words: runs of sequence numbers by lane, and how many came out of order.

Pure, on numpy, by thousands of messages at once. The parent unites the runs of all consumers of a subscription; see
`ledger`.
"""

import numpy as np

from ombdriver.bench.lanes import SEQUENCES
from ombdriver.bench.recorder import Int64s
from ombdriver.bench.worker_report import NO_RUNS, Arrived


class Arrivals:
    """Gathers what one consumer is given.

    Args:
        lanes: how many lanes the run has.
    """

    def __init__(self, lanes: int) -> None:
        self._expected = np.zeros(lanes, np.int64)
        self._runs: list[Int64s] = []
        self._again: list[Int64s] = []
        self._late = self._corrupt = 0

    def add(self, lanes: Int64s, sequences: Int64s, again: "np.typing.NDArray[np.bool_] | None") -> None:
        """Books messages in their order of arrival.

        Args:
            lanes: shape (n,).
            sequences: shape (n,), each below `SEQUENCES`.
            again: shape (n,), which of them came of an entry that was not new; None when none did.
        """
        runs = runs_of(lanes, sequences)
        self._late += count_late(runs, self._expected)
        if again is None:
            self._runs.append(runs)
        else:
            self._again.append(runs_of(lanes[again], sequences[again]))
            self._runs.append(runs_of(lanes[~again], sequences[~again]))

    def add_corrupt(self, count: int) -> None:
        """Counts messages whose checksum did not fit."""
        self._corrupt += count

    def take(self) -> Arrived:
        """What has come since the last call."""
        arrived = Arrived(joined(self._runs), joined(self._again), self._late, self._corrupt)
        self._runs, self._again = [], []
        self._late = self._corrupt = 0
        return arrived


def runs_of(lanes: Int64s, sequences: Int64s) -> Int64s:
    """The runs (`Arrived.runs`) of messages in their order of arrival."""
    if not len(lanes):
        return NO_RUNS
    is_one_lane = lanes[0] == lanes[-1] and bool((lanes == lanes[0]).all())
    if not is_one_lane:
        order = np.argsort(lanes, kind="stable")
        lanes, sequences = lanes[order], sequences[order]
    breaks = sequences[1:] != sequences[:-1] + 1
    if not is_one_lane:
        breaks |= lanes[1:] != lanes[:-1]
    starts = np.flatnonzero(breaks) + 1
    if not len(starts):  # the usual case: nothing is missing
        return np.array([[lanes[0], sequences[0], len(lanes)]], np.int64)
    starts = np.concatenate(([0], starts))
    counts = np.diff(starts, append=len(lanes))
    return np.stack((lanes[starts], sequences[starts], counts), axis=1)


def joined(parts: list[Int64s]) -> Int64s:
    """All runs of `parts`, which followed each other; runs that go on where the one before ended become one."""
    if len(parts) < 2:
        return parts[0] if parts else NO_RUNS
    runs = np.concatenate(parts)
    if not len(runs):
        return NO_RUNS
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    lanes, firsts, counts = runs.T
    goes_on = (lanes[1:] == lanes[:-1]) & (firsts[1:] == firsts[:-1] + counts[:-1])
    starts = np.flatnonzero(np.concatenate(([True], ~goes_on)))
    return np.stack((lanes[starts], firsts[starts], np.add.reduceat(counts, starts)), axis=1)


def count_late(runs: Int64s, expected: Int64s) -> int:
    """How many messages of `runs` (of one consumer, by lane) were below the next expected sequence of their lane.

    Args:
        runs: as `runs_of` gives them.
        expected: the next expected sequence of each lane; it is brought forward.
    """
    if not len(runs):
        return 0
    if len(runs) == 1:
        lane, first, count = map(int, runs[0])
        due_now = int(expected[lane])
        expected[lane] = max(due_now, first + count)
        return min(max(due_now - first, 0), count)
    lanes, firsts, counts = runs.T
    is_first = np.concatenate(([True], lanes[1:] != lanes[:-1]))
    floor = (np.cumsum(is_first) - 1) * SEQUENCES  # lifts each lane above the ones before, so that one sweep does all
    highest = np.maximum.accumulate(np.maximum(firsts + counts, expected[lanes]) + floor)
    before = np.concatenate(([0], highest[:-1])) - floor
    due = np.maximum(before, expected[lanes])
    late = int(np.clip(due - firsts, 0, counts).sum())
    is_last = np.concatenate((is_first[1:], [True]))
    expected[lanes[is_last]] = (highest - floor)[is_last]
    return late
