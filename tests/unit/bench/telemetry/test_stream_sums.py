"""Sums over streams that are seen in turn."""

from ombdriver.bench.drivers.sample import GroupSample, StreamSample, TopicPartition
from ombdriver.bench.telemetry.server import StreamTotals, Sums, Turns


def look(length: int | None, lag: int | None = 0, pending: int = 0) -> StreamSample:
    """A stream with one group."""
    return StreamSample(length, {"g": GroupSample(lag, pending)})


def test_a_stream_counts_as_it_was_last_seen() -> None:
    """Looks show different streams, and the sums cover all that were seen."""
    sums = StreamTotals()

    assert sums.take({("t", 0): look(10, 1, 2)}) == Sums(1, 10, 10, {"g": GroupSample(1, 2)})
    assert sums.take({("t", 1): look(30, 5, 0)}) == Sums(2, 40, 30, {"g": GroupSample(6, 2)})
    assert sums.take({("t", 0): look(12, 0, 1)}) == Sums(2, 42, 30, {"g": GroupSample(5, 1)})


def test_a_lag_that_is_unknown_anywhere_is_unknown_in_the_sum() -> None:
    """Until it is known again; what is pending is known all the time."""
    sums = StreamTotals()
    sums.take({("t", 0): look(1, 4, 1), ("t", 1): look(1, None, 2)})

    assert sums.take({}).groups == {"g": GroupSample(None, 3)}
    assert sums.take({("t", 1): look(1, 3, 2)}).groups == {"g": GroupSample(7, 3)}


def test_what_may_not_be_seen_has_no_sum() -> None:
    """Neither lengths nor groups; nor is there a sum of nothing."""
    sums = StreamTotals()

    assert sums.take({}) == Sums()
    assert sums.take({("t", 0): StreamSample(None, None)}) == Sums(1)


def test_streams_take_turns() -> None:
    """When there are more than one look asks for; else each look asks for all."""
    streams: list[TopicPartition] = [("t", partition) for partition in range(5)]
    few, many = Turns(streams, 5), Turns(streams, 2)

    assert [len(few.take()) for _ in range(2)] == [5, 5]
    assert [[partition for _, partition in many.take()] for _ in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]
