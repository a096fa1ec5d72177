"""What the replies to a batch say, reply by reply: errors of one message, refusals of all, and ids."""

from typing import Any

import pytest
from redis.exceptions import (
    ExecAbortError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from ombdriver import OutcomeUnknownError
from ombdriver.messaging.topics.producer.batch import RecordBatch
from ombdriver.messaging.topics.producer.transaction import TransactionEncoding
from ombdriver.messaging.topics.record import pack_record
from ombdriver.messaging.transport.connection import Reader, ReplyError

ABORTED = ExecAbortError("Transaction discarded because of previous errors.")
MOVED = MovedError("1 127.0.0.1:1")
OOM = OutOfMemoryError("no memory")


def batch_of(size: int, key: bytes | None = None) -> RecordBatch:
    """So many messages, every second one with a key."""
    batch = RecordBatch()
    for n in range(size):
        payload, count = pack_record(b"%d" % n, key if n % 2 else None, None)
        batch.payloads.append(payload)
        batch.field_counts.append(count)
    return batch


@pytest.mark.parametrize(
    ("errors", "last", "outcomes", "retriable"),
    [
        ({}, [b"1-0", b"2-0"], [b"1-0", b"2-0"], None),
        ({}, [ReplyError("WRONGTYPE not a stream"), b"2-0"], [ResponseError, b"2-0"], None),
        ({1: MOVED, 2: MOVED, 3: ABORTED}, None, [None, None], MovedError),
        ({2: OOM, 3: ABORTED}, None, [None, OutOfMemoryError], None),
        ({1: OOM, 2: MOVED, 3: ABORTED}, None, [OutOfMemoryError, None], MovedError),
        ({3: MOVED}, None, [None, None], MovedError),
        (
            {3: ExecAbortError("Transaction discarded because of: READONLY You can't write")},
            None,
            [None, None],
            ReadOnlyError,
        ),
        ({3: ExecAbortError("Transaction discarded because of: OOM no")}, None, [OutOfMemoryError] * 2, None),
        ({3: ABORTED}, None, [ExecAbortError] * 2, None),
        ({0: NoPermissionError("no"), 3: ResponseError("EXEC without MULTI")}, None, [OutcomeUnknownError] * 2, None),
        ({0: NoPermissionError("no"), 1: OOM, 3: ABORTED}, None, [OutOfMemoryError, OutcomeUnknownError], None),
    ],
)
def test_replies_of_two_messages(errors: dict[int, Exception], last: Any, outcomes: list[Any], retriable: Any) -> None:
    """By place: 0 is MULTI, 1 and 2 are the messages, 3 is EXEC."""
    reply = TransactionEncoding(b"s").decode(batch_of(2), errors, last)

    assert [type(one) if isinstance(one, Exception) else one for one in reply.outcomes] == outcomes
    assert (type(reply.retriable_error) if reply.retriable_error else None) is retriable
    assert not reply.is_duplicate


@pytest.mark.parametrize(
    ("errors", "last", "outcome"), [({}, b"1-0", b"1-0"), ({0: MOVED}, None, None), ({0: OOM}, None, OOM)]
)
def test_the_reply_of_one_message(errors: dict[int, Exception], last: Any, outcome: Any) -> None:
    """It has no transaction."""
    reply = TransactionEncoding(b"s").decode(batch_of(1), errors, last)

    assert list(reply.outcomes) == [outcome]
    assert reply.retriable_error is errors.get(0) if outcome is None else reply.retriable_error is None


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("key", [None, b"k"])
@pytest.mark.parametrize("bounds", [(), ("MAXLEN", "~", 10)])
def test_a_batch_is_packed_as_one_transaction(size: int, key: bytes | None, bounds: tuple[Any, ...]) -> None:
    """MULTI, an XADD each, EXEC; the last one trims."""
    data, commands = TransactionEncoding(b"s").encode(batch_of(size, key), bounds)
    reader = Reader()
    reader.feed(data)
    found = list(iter(reader.gets, False))

    assert len(found) == commands == (1 if size == 1 else size + 2)
    adds = found if size == 1 else found[1:-1]
    words = [str(word).encode() for word in bounds]
    for n, add in enumerate(adds):
        trims = words if n == size - 1 else []
        keyed = [b"key", key] if key and n % 2 else []
        assert add == [b"XADD", b"s", *trims, b"*", b"value", b"%d" % n, *keyed]


def test_prepared_heads_are_bounded() -> None:
    """An age gives new bounds each second."""
    encoding = TransactionEncoding(b"s")
    for second in range(1_000):
        encoding.encode(batch_of(3), ("MINID", "~", second))
    assert len(encoding._heads) <= 64
