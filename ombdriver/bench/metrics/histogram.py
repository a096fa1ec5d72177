"""Histograms of latencies, in HdrHistogram's form, from samples by the thousand; merging is a monoid.

Knows no family, group, interval or clock. Values are integer nanoseconds. `HdrHistogram.record_value` took 660 ns a
sample and silently refuses what is negative or over range; here a batch is folded at once, in some tens of
nanoseconds a sample, into the same counts, and nothing is refused: a negative value counts as 0, and
once more in `negative`; one over range counts at the top of the range, and once more in `over_range`. The only
importer of hdrh.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

HIGHEST_NS = 24 * 3600 * 10**9
"""The top of the range: 24 hours."""
SIGNIFICANT_DIGITS = 3

Int64s = NDArray[np.int64]
Buckets = NDArray[np.integer[Any]]
Counts = NDArray[np.integer[Any]]

_SHAPE = HdrHistogram(1, HIGHEST_NS, SIGNIFICANT_DIGITS)
_HALF_MAGNITUDE: int = _SHAPE.sub_bucket_half_count_magnitude
_HALF_COUNT: int = _SHAPE.sub_bucket_half_count
_MASK: int = _SHAPE.sub_bucket_mask
_INT64_MAX = 2**63 - 1

BUCKETS: int = _SHAPE.bucket_count
SUB_BUCKETS: int = _SHAPE.sub_bucket_count
"""The shape of HdrHistogram's counts for this range, as its text forms have it."""


def bucket_index(values: Int64s) -> Int64s:
    """The index into HdrHistogram's counts of each value (0 to `HIGHEST_NS`); the same as its own for each."""
    # frexp gives the bit length; exact, since values are far below 2**53.
    bucket = np.frexp((values | _MASK).astype(np.float64))[1].astype(np.int64) - (_HALF_MAGNITUDE + 1)
    index: Int64s = ((bucket + 1) << _HALF_MAGNITUDE) + (values >> bucket) - _HALF_COUNT
    return index


def bucket_top(index: Buckets) -> Int64s:
    """The highest value that falls into each bucket, in nanoseconds."""
    index = index.astype(np.int64)
    bucket = (index >> _HALF_MAGNITUDE) - 1
    sub = (index & (_HALF_COUNT - 1)) + np.where(bucket < 0, 0, _HALF_COUNT)
    bucket = np.maximum(bucket, 0)
    top: Int64s = ((sub + 1) << bucket) - 1
    return top


def bucket_middle(index: Buckets) -> Int64s:
    """The value that stands for each bucket in HdrHistogram's means, in nanoseconds."""
    size = np.int64(1) << np.maximum((index.astype(np.int64) >> _HALF_MAGNITUDE) - 1, 0)
    middle: Int64s = bucket_top(index) - size + 1 + size // 2
    return middle


def _compact(index: Buckets, counts: Counts) -> tuple[Buckets, Counts]:
    """The same in 6 bytes a bucket; in 10 where a count needs more than 32 bits."""
    small = not len(counts) or int(counts.max()) < 2**32
    return index.astype(np.uint16, copy=False), counts.astype(np.uint32 if small else np.int64, copy=False)


@dataclass(frozen=True, slots=True)
class Histogram:
    """The distribution of `count` samples in nanoseconds, as the buckets that hold any.

    `a + b` merges; `Histogram.zero()` is the neutral element. A bucket takes 6 bytes: thousands of histograms are kept
    for the intervals of a long run, and reports cross a pipe whose buffer a worker should never wait for.

    Attributes:
        index: HdrHistogram's index of each bucket that is not empty, rising; shape (k,).
        counts: samples in each of these buckets; shape (k,).
        count: all samples.
        sum_ns: their exact sum.
        min_ns: the exact least sample; 0 when there is none.
        max_ns: the exact greatest sample; 0 when there is none.
        negative: how many were below 0, and stand at 0.
        over_range: how many were above `HIGHEST_NS`, and stand at it.
        below_ns: how far the least of the negative ones was below 0; 0 without any.
    """

    index: Buckets
    counts: Counts
    count: int
    sum_ns: int
    min_ns: int
    max_ns: int
    negative: int = 0
    over_range: int = 0
    below_ns: int = 0

    @classmethod
    def zero(cls) -> "Histogram":
        """The histogram of no sample."""
        return cls(*_compact(np.zeros(0, np.int64), np.zeros(0, np.int64)), 0, 0, 0, 0)

    @classmethod
    def of(cls, values: Int64s, repeats: Int64s | None = None) -> "Histogram":
        """The histogram of `values` (shape (n,), ns), each standing for one sample or for `repeats[i]` of them."""
        if not len(values):
            return cls.zero()
        least, greatest = int(values.min()), int(values.max())
        negative = over_range = below_ns = 0
        if least < 0 or greatest > HIGHEST_NS:
            weights = np.ones(len(values), np.int64) if repeats is None else repeats
            negative, below_ns = int(weights[values < 0].sum()), max(0, -least)
            over_range = int(weights[values > HIGHEST_NS].sum())
            values = np.clip(values, 0, HIGHEST_NS)
            least, greatest = int(values.min()), int(values.max())
        index = bucket_index(values)
        first = int(index.min())
        if repeats is None:
            dense = np.bincount(index - first)
            count = len(values)
            total = int(values.sum()) if greatest <= _INT64_MAX // count else sum(values.tolist())
        else:
            dense = np.bincount(index - first, weights=repeats).astype(np.int64)
            count, total = int(repeats.sum()), int((values.astype(np.float64) * repeats).sum())
        held = np.flatnonzero(dense)
        return cls(*_compact(held + first, dense[held]), count, total, least, greatest, negative, over_range, below_ns)

    @classmethod
    def of_buckets(cls, index: Buckets, counts: Counts, *numbers: int) -> "Histogram":
        """The histogram of these buckets; `numbers` are the attributes from `count` on."""
        return cls(*_compact(index, counts), *numbers)

    def __add__(self, other: "Histogram") -> "Histogram":
        """Both together."""
        return Histogram.total((self, other))

    @classmethod
    def total(cls, histograms: Iterable["Histogram"]) -> "Histogram":
        """All of them together, in one sweep over the range that they span."""
        some = [each for each in histograms if each.count]
        if len(some) < 2:
            return some[0] if some else cls.zero()
        first = min(int(each.index[0]) for each in some)
        dense = np.zeros(max(int(each.index[-1]) for each in some) - first + 1, np.int64)
        for each in some:
            dense[each.index.astype(np.int64) - first] += each.counts
        held = np.flatnonzero(dense)
        return cls(
            *_compact(held + first, dense[held]),
            sum(each.count for each in some),
            sum(each.sum_ns for each in some),
            min(each.min_ns for each in some),
            max(each.max_ns for each in some),
            sum(each.negative for each in some),
            sum(each.over_range for each in some),
            max(each.below_ns for each in some),
        )

    def percentiles(self, of: Sequence[float]) -> list[int]:
        """The value at each percentile (0 to 100), in nanoseconds: one that so many % of the samples do not pass.

        The rank is that of HdrHistogram for Java since 2.1.11 (its port to Python rounds to the nearest rank, and may
        tell the sample before it); the value is never above the maximum.
        """
        if not self.count:
            return [0] * len(of)
        below = np.clip(np.nextafter(of, -np.inf), 0.0, 100.0)  # so that p % of n, where whole, is no rank too high
        wanted = np.maximum(np.ceil(below * self.count / 100).astype(np.int64), 1)
        at = np.searchsorted(np.cumsum(self.counts, dtype=np.int64), wanted)
        tops = bucket_top(self.index[np.minimum(at, len(self.index) - 1)])
        return [min(int(top), self.max_ns) for top in tops]

    def upto(self, bounds_ns: Sequence[int]) -> list[int]:
        """How many samples are at most each of `bounds_ns`, to the bucket: one that reaches above a bound is not."""
        sums = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        found: list[int] = sums[np.searchsorted(bucket_top(self.index), bounds_ns, side="right")].tolist()
        return found

    @property
    def mean_ns(self) -> float:
        """The exact mean in nanoseconds; 0 when there is no sample."""
        return self.sum_ns / self.count if self.count else 0.0

    def encode(self) -> str:
        """HdrHistogram's own text form (V2, deflated, base64), lowest value 1 ns; readable by its other ports."""
        histogram = HdrHistogram(1, HIGHEST_NS, SIGNIFICANT_DIGITS)
        np.frombuffer(histogram.counts, dtype=np.int64)[self.index] = self.counts
        histogram.total_count = self.count
        if self.count:
            histogram.min_value, histogram.max_value = self.min_ns, self.max_ns
        encoded: bytes = histogram.encode()
        return encoded.decode("ascii")

    @classmethod
    def decode(cls, text: str) -> "Histogram":
        """Reads what `encode` wrote; sum, least and greatest are then known to the bucket only.

        Each sample counts in the sum at the middle of its bucket, as HdrHistogram's ports count in their means.

        Raises:
            ValueError: if `text` is no such histogram.
        """
        try:
            decoded = HdrHistogram.decode(text)
        except Exception as error:  # of base64, zlib, struct and hdrh: there is no common root
            raise ValueError(f"not an encoded histogram ({error})") from error
        shape = (decoded.lowest_trackable_value, decoded.highest_trackable_value, decoded.significant_figures)
        if shape != (1, HIGHEST_NS, SIGNIFICANT_DIGITS):
            raise ValueError("a histogram of another range or precision than ours")
        dense = np.frombuffer(decoded.counts, dtype=np.int64)
        index = np.flatnonzero(dense)
        if not len(index):
            return cls.zero()
        counts = dense[index].astype(np.int64)
        tops = bucket_top(index)
        return cls(
            *_compact(index, counts),
            int(counts.sum()),
            int((bucket_middle(index).astype(np.float64) * counts).sum()),
            int(tops[0]),
            int(tops[-1]),
        )
