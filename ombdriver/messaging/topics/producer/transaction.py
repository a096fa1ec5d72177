"""A batch as one transaction: MULTI, an XADD for each message, EXEC. One message alone goes without.

Pure. A transaction is what keeps the order when a server refuses: without it a server that becomes ready, or ceases to
be a replica, in the middle of a batch would refuse one message and store the next. A loss, too, is then of all or
nothing. It costs the client next to nothing, since all ids come in the reply to EXEC.
"""

from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.streams.commands import Word
from ombdriver.messaging.topics.producer.batch import Batch, BatchReply, RecordOutcome
from ombdriver.messaging.transport.connection import ReplyError, pack, server_error
from ombdriver.messaging.transport.retry import was_not_carried_out

_MULTI, _EXEC = pack(("MULTI",)), pack(("EXEC",))
_BECAUSE = "because of: "
_PREPARED = 64


class TransactionEncoding:
    """The way of producers that are not idempotent (`batch.BatchEncoding`).

    Args:
        stream: key of the partition's stream.
    """

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._heads: dict[tuple[int, tuple[Word, ...]], bytes] = {}

    def pack(self, batch: Batch, bounds: tuple[Word, ...]) -> tuple[bytes, int]:
        """See `batch.BatchEncoding`. The last XADD trims, once for all."""
        bodies, counts = batch.bodies, batch.counts
        last = self._head(counts[-1], bounds) + bodies[-1]
        if len(bodies) == 1:
            return last, 1
        if len(set(counts)) == 1:
            head = self._head(counts[0], ())
            parts = [_MULTI, head, head.join(bodies[:-1]), last, _EXEC]
        else:
            parts = [_MULTI]
            for count, body in zip(counts[:-1], bodies[:-1], strict=True):
                parts += (self._head(count, ()), body)
            parts += (last, _EXEC)
        return b"".join(parts), len(bodies) + 2

    def _head(self, count: int, bounds: tuple[Word, ...]) -> bytes:
        """All that stands before the first of `count` fields."""
        head = self._heads.get((count, bounds))
        if head is None:
            if len(self._heads) >= _PREPARED:
                self._heads.clear()
            words = ("XADD", self._stream, *bounds, "*")
            head = b"*%d\r\n%b" % (len(words) + 2 * count, pack(words).split(b"\r\n", 1)[1])
            self._heads[count, bounds] = head
        return head

    def read(self, batch: Batch, errors: dict[int, Exception], last: Any) -> BatchReply:
        """See `batch.BatchEncoding`."""
        size = len(batch)
        if size == 1:
            return _of_each([errors.get(0, last)])
        if 0 in errors:  # then each XADD was carried out by itself, and their ids were not kept
            why = OutcomeUnknownError(f"the server refuses MULTI ({errors[0]}); messages may have been stored")
            why.__cause__ = errors[0]
            return BatchReply([errors.get(1 + at, why) for at in range(size)])
        if size + 1 not in errors:
            if not errors and set(map(type, last)) == {bytes}:
                return BatchReply(last)
            return _of_each([server_error(reply) if isinstance(reply, ReplyError) else reply for reply in last])
        whole = _cause(errors[size + 1]) if len(errors) == 1 else None  # EXEC itself was refused, not a message
        return _of_each([errors.get(1 + at, whole) for at in range(size)])


def _of_each(answers: list[RecordOutcome]) -> BatchReply:
    """With the errors that a message may be sent again after taken out, and the first of them told."""
    refusal: Exception | None = None
    for at, answer in enumerate(answers):
        if isinstance(answer, Exception) and was_not_carried_out(answer):
            refusal = refusal or answer
            answers[at] = None
    return BatchReply(answers, refusal)


def _cause(error: Exception) -> Exception:
    """What EXEC was refused for, as the error that it would be alone."""
    _, found, why = str(error).partition(_BECAUSE)
    return server_error(ReplyError(why)) if found and isinstance(error, ResponseError) else error
