"""`Histogram`: the same counts as HdrHistogram's own recording, a monoid under `+`, and nothing refused."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.metrics.histogram import HIGHEST_NS, SIGNIFICANT_DIGITS, Histogram, bucket_index, bucket_top

POWERS = [2**bits + off for bits in range(1, 47) for off in (-1, 0, 1) if 2**bits + off <= HIGHEST_NS]
BORDERS = sorted({0, 1, 2, 1023, 1024, 2047, 2048, 2049, 4095, 4096, HIGHEST_NS - 1, HIGHEST_NS, *POWERS})

in_range = st.one_of(st.integers(0, HIGHEST_NS), st.integers(0, 10**7), st.sampled_from(BORDERS))
any_value = st.one_of(in_range, st.integers(-(2**53), -1), st.integers(HIGHEST_NS + 1, 2**53))
histograms = st.lists(any_value, max_size=30).map(lambda values: of(values))
percentiles = st.one_of(st.sampled_from([50.0, 75.0, 95.0, 99.0, 99.9, 99.99, 100.0]), st.floats(0.0001, 100.0))


def of(values: list[int]) -> Histogram:
    """The histogram of these values in nanoseconds."""
    return Histogram.of(np.array(values, np.int64))


def reference(values: list[int]) -> HdrHistogram:
    """The same by HdrHistogram's own recording; every value has to be in range."""
    histogram = HdrHistogram(1, HIGHEST_NS, SIGNIFICANT_DIGITS)
    for value in values:
        assert histogram.record_value(value)
    return histogram


def dense(histogram: HdrHistogram) -> list[int]:
    """HdrHistogram's counts."""
    return np.frombuffer(histogram.counts, np.int64).tolist()  # type: ignore[no-any-return]


def spread(histogram: Histogram) -> list[int]:
    """Our counts in HdrHistogram's form."""
    counts = [0] * len(dense(reference([])))
    for index, count in zip(histogram.index.tolist(), histogram.counts.tolist(), strict=True):
        counts[index] = count
    return counts


def told(histogram: Histogram) -> tuple[object, ...]:
    """Everything of a histogram, comparable."""
    return (
        histogram.index.tolist(),
        histogram.counts.tolist(),
        histogram.count,
        histogram.sum_ns,
        histogram.min_ns,
        histogram.max_ns,
        histogram.negative,
        histogram.over_range,
        histogram.below_ns,
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(in_range, min_size=1, max_size=50))
def test_the_counts_are_those_of_hdrhistogram(values: list[int]) -> None:
    """Folding a batch gives the counts that recording one by one gives."""
    histogram = of(values)

    assert spread(histogram) == dense(reference(values))
    assert (histogram.count, histogram.sum_ns) == (len(values), sum(values))
    assert (histogram.min_ns, histogram.max_ns) == (min(values), max(values))


def test_every_border_falls_into_hdrhistograms_bucket() -> None:
    """0, each power of two and its neighbours, and 24 h: the index is HdrHistogram's, and the top its highest value."""
    shape = reference([])
    values = np.array(BORDERS, np.int64)

    index = bucket_index(values)

    assert index.tolist() == [shape._counts_index_for(value) for value in BORDERS]
    assert bucket_top(index).tolist() == [shape.get_highest_equivalent_value(value) for value in BORDERS]


@settings(deadline=None, max_examples=50)
@given(st.lists(in_range, min_size=1, max_size=50), st.lists(percentiles, min_size=1, max_size=5))
def test_percentiles_are_those_of_hdrhistogram_up_to_the_maximum(values: list[int], of_which: list[float]) -> None:
    """HdrHistogram tells the top of a bucket; ours is never above a value that was measured."""
    shape = reference(values)

    expected = [min(shape.get_highest_equivalent_value(java_sample(values, each)), max(values)) for each in of_which]

    assert of(values).percentiles(of_which) == expected


def java_sample(values: list[int], percentile: float) -> int:
    """The sample that `getValueAtPercentile` of HdrHistogram 2.2.2 for Java picks."""
    requested = min(max(math.nextafter(percentile, -math.inf), 0.0), 100.0)
    return sorted(values)[max(math.ceil(requested * len(values) / 100.0), 1) - 1]


@pytest.mark.parametrize("counts", [range(1, 200), (1_000, 1_001, 10_000, 12_345)], ids=["few", "many"])
def test_so_many_percent_of_the_samples_lie_at_or_below_a_percentile(counts: Iterable[int]) -> None:
    """And with the one before it that would not be so; for each of so many samples, by each percentile."""
    told = (50, 75, 95, 99, 99.9, 99.99)
    for count in counts:
        values = list(range(count))  # a bucket each
        for percentile, found in zip(told, of(values).percentiles(told), strict=True):
            assert 100 * (found + 1) >= percentile * count * (1 - 1e-12), (count, percentile)
            sample = java_sample(values, percentile)
            assert sample <= found <= sample * 1.001, (count, percentile)


def test_a_percentile_of_few_samples_is_not_told_too_low() -> None:
    """2 of 160 samples are more than 1 %, so the p99 is one of them."""
    histogram = of([10**6] * 158 + [10**9] * 2)

    assert histogram.percentiles([98.75, 99]) == [
        reference([10**6]).get_highest_equivalent_value(10**6),
        10**9,
    ]


@settings(deadline=None, max_examples=50)
@given(histograms, histograms, histograms)
def test_merging_is_associative(first: Histogram, second: Histogram, third: Histogram) -> None:
    """In whatever order workers and intervals are merged, the result is the same."""
    assert told((first + second) + third) == told(first + (second + third))


@settings(deadline=None, max_examples=50)
@given(histograms)
def test_the_empty_histogram_changes_nothing(histogram: Histogram) -> None:
    """`zero` is neutral on both sides."""
    assert told(histogram + Histogram.zero()) == told(histogram) == told(Histogram.zero() + histogram)


@settings(deadline=None, max_examples=50)
@given(st.lists(any_value, max_size=30), st.lists(any_value, max_size=30))
def test_merging_is_the_same_as_recording_together(first: list[int], second: list[int]) -> None:
    """The histogram of two lists is the sum of their histograms, and the order does not matter."""
    assert told(of(first) + of(second)) == told(of(first + second)) == told(of(second) + of(first))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(any_value, st.integers(1, 1000)), min_size=1, max_size=20))
def test_a_repeated_sample_counts_as_often(pairs: list[tuple[int, int]]) -> None:
    """`repeats` is the same as giving each value so many times, out-of-range ones too."""
    values, repeats = zip(*pairs, strict=True)

    histogram = Histogram.of(np.array(values, np.int64), np.array(repeats, np.int64))
    expected = of([value for value, times in pairs for _ in range(times)])

    assert histogram.sum_ns == pytest.approx(expected.sum_ns, rel=1e-12)
    assert told(histogram)[:3] == told(expected)[:3]
    assert told(histogram)[4:] == told(expected)[4:]


def test_a_value_over_range_stands_at_the_top_and_is_told() -> None:
    """Nothing measured is dropped: more than 24 h counts as 24 h."""
    histogram = of([5, HIGHEST_NS + 1, 2**60])

    assert (histogram.count, histogram.over_range, histogram.negative) == (3, 2, 0)
    assert histogram.max_ns == HIGHEST_NS
    assert spread(histogram) == dense(reference([5, HIGHEST_NS, HIGHEST_NS]))


def test_a_negative_value_stands_at_zero_and_is_told() -> None:
    """HdrHistogram would refuse it in silence; how far below 0 the least was is kept, also when merged."""
    histogram = of([-1, -(10**15), 7])

    some = (histogram, of([5]), of([2**60]), of([-3]) + histogram + of([-2]))
    assert [each.below_ns for each in some] == [10**15, 0, 0, 10**15]
    assert (histogram.count, histogram.negative, histogram.over_range) == (3, 2, 0)
    assert (histogram.min_ns, histogram.sum_ns) == (0, 7)
    assert spread(histogram) == dense(reference([0, 0, 7]))


@settings(deadline=None, max_examples=50)
@given(st.lists(any_value, max_size=50))
def test_encoded_histograms_are_read_by_hdrhistogram(values: list[int]) -> None:
    """The text is HdrHistogram's own (V2): its counts, percentiles and total survive."""
    histogram = of(values)

    read = HdrHistogram.decode(histogram.encode())

    kept = [min(max(value, 0), HIGHEST_NS) for value in values]
    assert read.get_total_count() == len(values)
    assert dense(read) == dense(reference(kept))
    for each in (50.0, 99.0, 100.0):
        assert read.get_value_at_percentile(each) == reference(kept).get_value_at_percentile(each)


@settings(deadline=None, max_examples=50)
@given(st.lists(in_range, max_size=50))
def test_decoding_gives_the_same_buckets(values: list[int]) -> None:
    """A round trip keeps every count; least and greatest are then known to the bucket."""
    histogram = of(values)

    read = Histogram.decode(histogram.encode())

    assert (read.index.tolist(), read.counts.tolist()) == (histogram.index.tolist(), histogram.counts.tolist())
    assert read.count == histogram.count
    assert read.max_ns >= histogram.max_ns
    assert read.encode() == Histogram.decode(read.encode()).encode()


@pytest.mark.parametrize("damage", [lambda text: "", lambda text: text[:-40], lambda text: text[:20], lambda _: "é"])
def test_what_is_no_histogram_is_refused(damage: Callable[[str], str]) -> None:
    """One error, whatever hdrh, zlib and base64 make of it; other shapes do not fit our buckets either."""
    with pytest.raises(ValueError, match="not an encoded histogram"):
        Histogram.decode(damage(of(list(range(1000))).encode()))
    with pytest.raises(ValueError, match="another range or precision"):
        Histogram.decode(HdrHistogram(1, HIGHEST_NS, 2).encode().decode())


@settings(deadline=None, max_examples=50)
@given(st.lists(in_range, min_size=1, max_size=50))
def test_the_mean_of_what_was_decoded_is_hdrhistograms(values: list[int]) -> None:
    """Each sample counts at the middle of its bucket, neither at its top nor at its bottom."""
    text = of(values).encode()

    assert Histogram.decode(text).mean_ns == pytest.approx(HdrHistogram.decode(text).get_mean_value(), abs=1)


@settings(deadline=None, max_examples=50)
@given(st.lists(histograms, max_size=6))
def test_many_at_once_are_what_they_are_one_by_one(some: list[Histogram]) -> None:
    """The faster way is the same sum, to the last attribute."""
    at_once, one_by_one = Histogram.total(some), sum(some, start=Histogram.zero())

    assert (at_once.index.tolist(), at_once.counts.tolist()) == (one_by_one.index.tolist(), one_by_one.counts.tolist())
    for name in ("count", "sum_ns", "min_ns", "max_ns", "negative", "over_range", "below_ns"):
        assert getattr(at_once, name) == getattr(one_by_one, name)


def test_the_mean_is_exact() -> None:
    """Not the mean of the buckets, but of the samples; no sample has the mean 0."""
    assert of([1_000_001, 1_000_002, 1_000_006]).mean_ns == 1_000_003
    assert Histogram.zero().mean_ns == 0
    assert Histogram.zero().percentiles([50, 100]) == [0, 0]


def test_hours_do_not_overflow_the_sum() -> None:
    """200,000 samples of 24 h: their sum is past 2**63, and still right."""
    count = 200_000

    histogram = Histogram.of(np.full(count, HIGHEST_NS, np.int64))

    assert histogram.sum_ns == count * HIGHEST_NS


def test_a_bucket_takes_six_bytes_until_a_count_needs_more() -> None:
    """A run of hours keeps thousands of histograms; a count past 32 bits is kept whole all the same."""
    small = Histogram.of(np.arange(0, 10_000_000, 1000))
    assert small.index.nbytes + small.counts.nbytes == 6 * len(small.index)

    large = Histogram.of(np.array([5, 7]), np.array([2**32 - 1, 1]))
    large += Histogram.of(np.array([5]))
    assert large.counts.tolist() == [2**32, 1]
    assert large.percentiles([50, 100]) == [5, 7]
