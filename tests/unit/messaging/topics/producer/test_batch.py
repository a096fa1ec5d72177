"""A batch: whom it tells what, and what is left of it."""

import asyncio

from ombdriver import NotSentError, OutcomeUnknownError
from ombdriver.messaging.topics.producer.batch import Batch


def batch_of(*accepted: float) -> Batch:
    """A message of three bytes accepted at each of these times."""
    batch = Batch()
    for at in accepted:
        batch.futures.append(asyncio.get_running_loop().create_future())
        batch.bodies.append(b"abc")
        batch.counts.append(1)
        batch.times.append(at)
        batch.size += 3
    return batch


async def test_messages_fail_by_their_own_age() -> None:
    """Not by that of the batch; who has an answer keeps it."""
    batch = batch_of(1, 2, 3)
    batch.futures[0].cancel()
    assert batch.oldest == 2
    assert batch.fail(NotSentError("late"), 2) == 1
    assert [future.done() for future in batch.futures] == [True, True, False]
    assert batch.oldest == 3
    assert not batch.is_over
    assert batch.fail(OutcomeUnknownError("lost")) == 1
    assert batch.is_over
    assert [type(future.exception()) for future in batch.futures[1:]] == [NotSentError, OutcomeUnknownError]


async def test_answers_reach_those_who_still_want_one() -> None:
    """A message without an answer is left for the next attempt."""
    batch = batch_of(1, 1, 1, 1)
    batch.futures[1].cancel()
    error = NotSentError("no")
    assert batch.answer([b"5-0", b"5-1", None, error], "t", 2, "{t:2}") == (1, 1)
    stored = batch.futures[0].result()
    assert (stored.topic, stored.partition, stored.stream, stored.id, stored.timestamp_ms) == (
        "t",
        2,
        "{t:2}",
        "5-0",
        5,
    )
    assert batch.futures[3].exception() is error
    assert batch.keep([2]) == (3, 9)
    assert (len(batch), batch.size, batch.is_over) == (1, 3, False)
    assert batch.keep([0]) == (0, 0)


async def test_a_watcher_waits_for_the_last_answer() -> None:
    """It is not the messages' own future, so that to cancel it harms nobody."""
    batch = batch_of(1)
    first, second = batch.watch(), batch.watch()
    first.cancel()
    batch.fail(NotSentError("no"))
    batch.tell()
    assert second.done()
    assert batch.futures[0].exception()
    assert batch.watch().done()
