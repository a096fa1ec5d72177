"""A batch as one transaction: MULTI, an XADD for each message, EXEC; a single message as XADD alone.

Pure. The transaction keeps the order when a server refuses: without it a server that becomes ready, or becomes a
primary, in the middle of a batch would refuse one message and store the next. A lost connection, too, loses all or
nothing. It costs the client next to nothing, since all ids come in the reply to EXEC.
"""

from typing import Any

from redis.exceptions import ResponseError

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.topics.producer.batch import BatchReply, RecordBatch, RecordOutcome
from ombdriver.messaging.transport.connection import Argument, ReplyError, pack, server_error
from ombdriver.messaging.transport.retry import was_not_carried_out

_MULTI, _EXEC = pack(("MULTI",)), pack(("EXEC",))
_BECAUSE = "because of: "
_PREPARED = 64


class TransactionEncoding:
    """How producers that are not idempotent write batches (`batch.BatchEncoding`).

    Args:
        stream: key of the partition's stream.
    """

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._heads: dict[tuple[int, tuple[Argument, ...]], bytes] = {}

    def encode(self, batch: RecordBatch, trimming: tuple[Argument, ...]) -> tuple[bytes, int]:
        """See `batch.BatchEncoding`. Only the last XADD trims."""
        payloads, counts = batch.payloads, batch.field_counts
        last = self._head(counts[-1], trimming) + payloads[-1]
        if len(payloads) == 1:
            return last, 1
        if len(set(counts)) == 1:
            head = self._head(counts[0], ())
            parts = [_MULTI, head, head.join(payloads[:-1]), last, _EXEC]
        else:
            parts = [_MULTI]
            for count, payload in zip(counts[:-1], payloads[:-1], strict=True):
                parts += (self._head(count, ()), payload)
            parts += (last, _EXEC)
        return b"".join(parts), len(payloads) + 2

    def _head(self, count: int, trimming: tuple[Argument, ...]) -> bytes:
        """XADD in RESP, up to the first of `count` fields."""
        head = self._heads.get((count, trimming))
        if head is None:
            if len(self._heads) >= _PREPARED:
                self._heads.clear()
            words = ("XADD", self._stream, *trimming, "*")
            head = b"*%d\r\n%b" % (len(words) + 2 * count, pack(words).split(b"\r\n", 1)[1])
            self._heads[count, trimming] = head
        return head

    def decode(self, batch: RecordBatch, errors: dict[int, Exception], last: Any) -> BatchReply:
        """See `batch.BatchEncoding`."""
        size = len(batch)
        if size == 1:
            return _reply([errors.get(0, last)])
        if 0 in errors:  # then each XADD was carried out by itself, and their ids were not kept
            why = OutcomeUnknownError(f"the server refuses MULTI ({errors[0]}); messages may have been stored")
            why.__cause__ = errors[0]
            return _reply([errors.get(1 + at, why) for at in range(size)])
        if size + 1 not in errors:
            if not errors and set(map(type, last)) == {bytes}:
                return BatchReply(last)
            return _reply([server_error(reply) if isinstance(reply, ReplyError) else reply for reply in last])
        whole = _cause(errors[size + 1]) if len(errors) == 1 else None  # EXEC itself was refused, not a message
        return _reply([errors.get(1 + at, whole) for at in range(size)])


def _reply(outcomes: list[RecordOutcome]) -> BatchReply:
    """With None in place of errors after which a message may be sent again, and the first of these errors."""
    retriable_error: Exception | None = None
    for at, outcome in enumerate(outcomes):
        if isinstance(outcome, Exception) and was_not_carried_out(outcome):
            retriable_error = retriable_error or outcome
            outcomes[at] = None
    return BatchReply(outcomes, retriable_error)


def _cause(error: Exception) -> Exception:
    """Why EXEC was refused, as the error of a single command."""
    _, found, why = str(error).partition(_BECAUSE)
    return server_error(ReplyError(why)) if found and isinstance(error, ResponseError) else error
