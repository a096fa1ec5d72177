"""A batch: whom it tells what, and what is left of it."""

import asyncio

from ombdriver import NotSentError, OutcomeUnknownError
from ombdriver.messaging.topics.producer.batch import RecordBatch


def batch_of(*accepted: float) -> RecordBatch:
    """A message of three bytes accepted at each of these times."""
    batch = RecordBatch()
    for at in accepted:
        batch.futures.append(asyncio.get_running_loop().create_future())
        batch.payloads.append(b"abc")
        batch.field_counts.append(1)
        batch.accepted_at.append(at)
        batch.size += 3
    return batch


async def test_messages_fail_by_their_own_age() -> None:
    """Not by that of the batch; a caller that has its outcome keeps it."""
    batch = batch_of(1, 2, 3)
    batch.futures[0].cancel()
    assert batch.oldest == 2
    assert batch.fail(NotSentError("late"), 2) == 1
    assert [future.done() for future in batch.futures] == [True, True, False]
    assert batch.oldest == 3
    assert not batch.is_done
    assert batch.fail(OutcomeUnknownError("lost")) == 1
    assert batch.is_done
    assert [type(future.exception()) for future in batch.futures[1:]] == [NotSentError, OutcomeUnknownError]


async def test_outcomes_reach_callers_that_have_not_cancelled() -> None:
    """A message without an outcome is left for the next attempt."""
    batch = batch_of(1, 1, 1, 1)
    batch.futures[1].cancel()
    error = NotSentError("no")
    assert batch.complete([b"5-0", b"5-1", None, error], "t", 2, "{t:2}") == (1, 1)
    stored = batch.futures[0].result()
    assert (stored.topic, stored.partition, stored.stream, stored.id, stored.timestamp_ms) == (
        "t",
        2,
        "{t:2}",
        "5-0",
        5,
    )
    assert batch.futures[3].exception() is error
    assert batch.retain([2]) == (3, 9)
    assert (len(batch), batch.size, batch.is_done) == (1, 3, False)
    assert batch.retain([0]) == (0, 0)


async def test_the_done_future_waits_for_the_last_outcome() -> None:
    """It is not a message's own future, so that to cancel it harms nobody."""
    batch = batch_of(1)
    first, second = batch.done_future(), batch.done_future()
    first.cancel()
    batch.fail(NotSentError("no"))
    batch.notify_done()
    assert second.done()
    assert batch.futures[0].exception()
    assert batch.done_future().done()
