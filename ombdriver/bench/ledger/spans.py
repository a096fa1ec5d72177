"""Sets of sequence numbers as spans: a flow of which nothing is missing is one pair of numbers, whatever its length.

One set holds the sequence numbers of all flows of a run, those of flow f shifted by `f * SEQUENCES`, so that one sweep
does for thousands of flows what it does for one. Knows numbers only. Pure, on numpy.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ombdriver.bench.load.flow import SEQUENCES
from ombdriver.bench.metrics.histogram import Int64s

Mask = np.typing.NDArray[np.bool_]
_EMPTY = np.zeros((0, 2), np.int64)


class Spans:
    """An immutable set of integers: 16 bytes for each span without a gap; an operation sweeps over the ends of both.

    Attributes:
        pairs: shape (n, 2): first, and one past the last, of each span; ascending, apart from each other.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Int64s = _EMPTY) -> None:
        self.pairs = pairs

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int]] | Int64s) -> "Spans":
        """From spans (first, one past the last) in any order, which may overlap, touch or be empty."""
        given = np.array(pairs, np.int64).reshape(-1, 2)
        return cls(given)._swept(cls(), lambda here, _: here)

    def __repr__(self) -> str:
        return f"<Spans {', '.join(f'{first}-{end}' for first, end in self.pairs[:4].tolist())}, {len(self)} in all>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and np.array_equal(self.pairs, other.pairs)

    __hash__ = None  # type: ignore[assignment]  # an array is no key

    def __len__(self) -> int:
        """How many numbers are in the set."""
        return int((self.pairs[:, 1] - self.pairs[:, 0]).sum())

    def __or__(self, other: "Spans") -> "Spans":
        return self._swept(other, np.logical_or)

    def __and__(self, other: "Spans") -> "Spans":
        return self._swept(other, np.logical_and)

    def __sub__(self, other: "Spans") -> "Spans":
        return self._swept(other, lambda mine, theirs: mine & ~theirs)

    @property
    def end(self) -> int:
        """One past the greatest number; 0 of an empty set."""
        return int(self.pairs[-1, 1]) if len(self.pairs) else 0

    def contains(self, numbers: Int64s) -> Mask:
        """For each of `numbers`, whether it is in the set."""
        if not len(self.pairs):
            return np.zeros(len(numbers), np.bool_)
        at = np.searchsorted(self.pairs[:, 0], numbers, side="right") - 1
        held: Mask = (at >= 0) & (numbers < self.pairs[at, 1])
        return held

    def _swept(self, other: "Spans", wanted: Callable[[Mask, Mask], Mask]) -> "Spans":
        """The numbers for which `wanted(in self, in other)` holds; it must not hold for (False, False)."""
        mine, theirs = self.pairs, other.pairs
        points = np.concatenate((mine.T.ravel(), theirs.T.ravel()))
        if not len(points):
            return Spans()
        steps = np.ones(len(points), np.int64)
        steps[len(mine) : 2 * len(mine)] = steps[2 * len(mine) + len(theirs) :] = -1
        order = np.argsort(points, kind="stable")
        points = points[order]
        is_mine = order < 2 * len(mine)
        covered = wanted(
            np.cumsum(np.where(is_mine, steps[order], 0)) > 0, np.cumsum(np.where(is_mine, 0, steps[order])) > 0
        )
        covered = covered[np.append(points[1:] != points[:-1], True)]  # of several steps at a point the last counts
        points = points[np.append(points[1:] != points[:-1], True)]
        edges = np.flatnonzero(np.diff(covered, prepend=False))
        return Spans(points[edges].reshape(-1, 2))


# -- the sequence numbers of all flows in one set ----------------------------------------------------------------------


def _of_flows(flows: Int64s, firsts: Int64s, ends: Int64s) -> Spans:
    """The sequence numbers of `flows[i]` from `firsts[i]` up to, not including, `ends[i]`; where there are any."""
    some = ends > firsts
    shift = flows[some] * SEQUENCES
    return Spans.of(np.stack((shift + firsts[some], shift + ends[some]), axis=1))


def of_ranges(ranges: Int64s) -> Spans:
    """The set of `ranges`: shape (n, 3), flow, first sequence number, count."""
    flows, firsts, counts = ranges.T
    return _of_flows(flows, firsts, firsts + counts)


def below(ends: Int64s) -> Spans:
    """The sequence numbers of each flow below `ends[flow]`."""
    return _of_flows(np.arange(len(ends)), np.zeros(len(ends), np.int64), ends)


def between(firsts: Int64s, ends: Int64s) -> Spans:
    """The sequence numbers of each flow from `firsts[flow]` up to, not including, `ends[flow]`."""
    return _of_flows(np.arange(len(ends)), firsts, ends)


def join_flows(by_flow: dict[int, Spans]) -> Spans:
    """One set out of the sets of single flows."""
    parts = [spans.pairs + flow * SEQUENCES for flow, spans in by_flow.items()]
    return Spans.of(np.concatenate(parts)) if parts else Spans()


def split_flows(spans: Spans) -> dict[int, Spans]:
    """The set of each flow that is in `spans`, by its number."""
    if not spans:
        return {}
    of_pair = spans.pairs[:, 0] // SEQUENCES
    flows, starts = np.unique(of_pair, return_index=True)
    parts = np.split(spans.pairs - (of_pair * SEQUENCES)[:, None], starts[1:])
    return {flow: Spans(part) for flow, part in zip(flows.tolist(), parts, strict=True)}


def ends_of(spans: Spans, flows: int) -> Int64s:
    """One past the greatest sequence number of each flow; 0 where there is none. Shape (flows,)."""
    ends = np.zeros(flows, np.int64)
    of_pair = spans.pairs[:, 0] // SEQUENCES
    ends[of_pair] = spans.pairs[:, 1] - of_pair * SEQUENCES  # pairs ascend: the last one of a flow stays
    return ends


def first_missing(spans: Spans, flows: int) -> Int64s:
    """The lowest sequence number of each flow that is not in the set. Shape (flows,)."""
    missing = np.zeros(flows, np.int64)
    of_pair = spans.pairs[:, 0] // SEQUENCES
    from_0 = spans.pairs[:, 0] == of_pair * SEQUENCES
    missing[of_pair[from_0]] = (spans.pairs[:, 1] - of_pair * SEQUENCES)[from_0]
    return missing
