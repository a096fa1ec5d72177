"""Sums over streams that are seen in turn."""

from ombdriver.bench.drivers.sample import GroupSample, StreamSample, TopicPartition
from ombdriver.bench.telemetry.server import RoundRobin, StreamSums, StreamTotals


def stream(length: int | None, lag: int | None = 0, pending: int = 0) -> StreamSample:
    """A stream with one group."""
    return StreamSample(length, {"g": GroupSample(lag, pending)})


def test_a_stream_counts_as_it_was_last_seen() -> None:
    """Samples show different streams, and the sums cover all that were seen."""
    sums = StreamSums()

    assert sums.add({("t", 0): stream(10, 1, 2)}) == StreamTotals(1, 10, 10, {"g": GroupSample(1, 2)})
    assert sums.add({("t", 1): stream(30, 5, 0)}) == StreamTotals(2, 40, 30, {"g": GroupSample(6, 2)})
    assert sums.add({("t", 0): stream(12, 0, 1)}) == StreamTotals(2, 42, 30, {"g": GroupSample(5, 1)})


def test_a_lag_that_is_unknown_anywhere_is_unknown_in_the_sum() -> None:
    """Until it is known again; what is pending is known all the time."""
    sums = StreamSums()
    sums.add({("t", 0): stream(1, 4, 1), ("t", 1): stream(1, None, 2)})

    assert sums.add({}).groups == {"g": GroupSample(None, 3)}
    assert sums.add({("t", 1): stream(1, 3, 2)}).groups == {"g": GroupSample(7, 3)}


def test_what_may_not_be_seen_has_no_sum() -> None:
    """Neither lengths nor groups; nor is there a sum of nothing."""
    sums = StreamSums()

    assert sums.add({}) == StreamTotals()
    assert sums.add({("t", 0): StreamSample(None, None)}) == StreamTotals(1)


def test_streams_take_turns() -> None:
    """When there are more than one sample asks for; else each asks for all."""
    streams: list[TopicPartition] = [("t", partition) for partition in range(5)]
    few, many = RoundRobin(streams, 5), RoundRobin(streams, 2)

    assert [len(few.next()) for _ in range(2)] == [5, 5]
    assert [[partition for _, partition in many.next()] for _ in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]
