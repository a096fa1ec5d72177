"""Sequences of all lanes in one set: a lane's numbers are lifted above those of the lanes before it. Pure, on numpy.

A *lane* is what one producer sends to one partition, as a number (`plan.Plan.lane`). So one sweep over spans does for
thousands of lanes what it does for one.
"""

import numpy as np

from ombdriver.bench.recorder import Int64s
from ombdriver.bench.spans import Spans

SEQUENCES = 1 << 44
"""Sequence numbers are below this, so that a lane and a sequence fit into one integer."""


def stretches(lanes: Int64s, firsts: Int64s, ends: Int64s) -> Spans:
    """The set of the sequences from `firsts[i]` up to, not including, `ends[i]` of `lanes[i]`; where there are any."""
    some = ends > firsts
    lifted = lanes[some] * SEQUENCES
    return Spans.of(np.stack((lifted + firsts[some], lifted + ends[some]), axis=1))


def of_runs(runs: Int64s) -> Spans:
    """The set of runs: shape (n, 3), lane, first sequence, count."""
    lanes, firsts, counts = runs.T
    return stretches(lanes, firsts, firsts + counts)


def below(ends: Int64s) -> Spans:
    """The set of the sequences of each lane below `ends[lane]`."""
    return stretches(np.arange(len(ends)), np.zeros(len(ends), np.int64), ends)


def between(firsts: Int64s, ends: Int64s) -> Spans:
    """The set of the sequences of each lane from `firsts[lane]` up to, not including, `ends[lane]`."""
    return stretches(np.arange(len(ends)), firsts, ends)


def joined(by_lane: dict[int, Spans]) -> Spans:
    """One set out of the sets of single lanes."""
    parts = [spans.pairs + lane * SEQUENCES for lane, spans in by_lane.items()]
    return Spans.of(np.concatenate(parts)) if parts else Spans()


def split(spans: Spans) -> dict[int, Spans]:
    """The set of each lane that is in `spans`, not lifted."""
    if not spans:
        return {}
    of_pair = spans.pairs[:, 0] // SEQUENCES
    lanes, starts = np.unique(of_pair, return_index=True)
    parts = np.split(spans.pairs - (of_pair * SEQUENCES)[:, None], starts[1:])
    return {lane: Spans(part) for lane, part in zip(lanes.tolist(), parts, strict=True)}


def ends_of(spans: Spans, lanes: int) -> Int64s:
    """One past the greatest sequence of each lane; 0 where there is none. Shape (lanes,)."""
    ends = np.zeros(lanes, np.int64)
    of_pair = spans.pairs[:, 0] // SEQUENCES
    ends[of_pair] = spans.pairs[:, 1] - of_pair * SEQUENCES  # pairs ascend: the last one of a lane stays
    return ends


def marks_of(spans: Spans, lanes: int) -> Int64s:
    """The lowest sequence of each lane that is missing. Shape (lanes,)."""
    marks = np.zeros(lanes, np.int64)
    of_pair = spans.pairs[:, 0] // SEQUENCES
    from_0 = spans.pairs[:, 0] == of_pair * SEQUENCES
    marks[of_pair[from_0]] = (spans.pairs[:, 1] - of_pair * SEQUENCES)[from_0]
    return marks
