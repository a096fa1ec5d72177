"""Messages of one partition that go to the server together, from the first of them to the last reply.

Knows callers and their futures, and neither commands nor connections: a `BatchEncoding` makes the commands and says
what the replies to them mean, and a `PartitionSender` sends.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.topics.producer.config import RecordMetadata
from ombdriver.messaging.transport.connection import Argument
from ombdriver.messaging.transport.retry import unknown_after

RecordOutcome = bytes | Exception | None
"""What became of one message: its id, an error of its own, or None: surely not stored, and may be sent again."""


class BatchReply(NamedTuple):
    """What the replies to a batch say.

    Attributes:
        outcomes: one per message, in order.
        retriable_error: why some were not carried out, if the server was the wrong one, or not ready.
        is_duplicate: the server had the batch already.
        is_of_all_attempts: an error in `outcomes` says that no earlier attempt has stored the message either.
    """

    outcomes: Sequence[RecordOutcome]
    retriable_error: Exception | None = None
    is_duplicate: bool = False
    is_of_all_attempts: bool = False


class RecordBatch:
    """Messages in order, as columns: to make an object of each would cost more than to send it.

    Attributes:
        payloads: the packed fields of each (`record.pack_record`).
        field_counts: how many fields each has.
        futures: what each caller waits for.
        accepted_at: when each was accepted, in seconds by the loop's clock.
        size: bytes of all.
        sequence: number of the batch among those of its partition, from 1, given when it is first sent; 0 before.
        retriable_error: why it could not be sent or was refused, the last time.
        is_unnumbered: an idempotent producer sends it without its number, so it is not sent again after a loss.
        is_free: its space was given back while it is in flight.
        loss: the lost connection after which it may be stored or not; None while that is known.
    """

    __slots__ = (
        "_waiters",
        "accepted_at",
        "field_counts",
        "futures",
        "is_free",
        "is_unnumbered",
        "loss",
        "payloads",
        "retriable_error",
        "sequence",
        "size",
    )

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.field_counts: list[int] = []
        self.futures: list[asyncio.Future[RecordMetadata]] = []
        self.accepted_at: list[float] = []
        self.size = self.sequence = 0
        self.is_free = self.is_unnumbered = False
        self.retriable_error: Exception | None = None
        self.loss: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self.payloads)

    def __repr__(self) -> str:
        return f"<RecordBatch {self.sequence}: {len(self)} messages, {self.size} bytes>"

    @property
    def is_done(self) -> bool:
        """Whether every caller has its outcome, or has cancelled."""
        return all(future.done() for future in self.futures)

    @property
    def oldest(self) -> float:
        """When the first message was accepted that has no outcome; `is_done` is false."""
        return next(time for future, time in zip(self.futures, self.accepted_at, strict=True) if not future.done())

    def complete(self, outcomes: Sequence[RecordOutcome], topic: str, partition: int, stream: str) -> tuple[int, int]:
        """Gives callers their outcomes, as far as there are any; returns how many are stored, and how many failed."""
        stored = failed = 0
        for future, outcome in zip(self.futures, outcomes, strict=True):
            if outcome is None or future.done():
                continue
            if isinstance(outcome, bytes):
                stored += 1
                future.set_result(RecordMetadata(topic, partition, stream, outcome.decode()))
            else:
                failed += 1
                future.set_exception(outcome)
        return stored, failed

    def fail(self, error: Exception, before: float = math.inf) -> int:
        """Fails messages that were accepted at `before` or earlier and have no outcome; returns how many."""
        failed = 0
        for future, accepted_at in zip(self.futures, self.accepted_at, strict=True):
            if accepted_at > before:
                break
            if not future.done():
                future.set_exception(error)
                failed += 1
        return failed

    def retain(self, which: Sequence[int]) -> tuple[int, int]:
        """Removes all messages but these; returns the space that is free thereby: messages, and their bytes."""
        before, size = len(self), self.size
        if not which:
            self.payloads, self.field_counts, self.futures, self.accepted_at, self.size = [], [], [], [], 0
        elif len(which) < before:
            self.payloads = [self.payloads[i] for i in which]
            self.field_counts = [self.field_counts[i] for i in which]
            self.futures = [self.futures[i] for i in which]
            self.accepted_at = [self.accepted_at[i] for i in which]
            self.size = sum(map(len, self.payloads))
        return (0, 0) if self.is_free else (before - len(self), size - self.size)

    def give_back(self) -> tuple[int, int]:
        """The space of a batch in flight that nobody waits for any more; returns as `retain`."""
        if self.is_free or not self.is_done:
            return 0, 0
        self.is_free = True
        return len(self), self.size

    def drop_done(self) -> tuple[int, int]:
        """Removes messages that nobody waits for, unless the batch may be stored already; returns as `retain`."""
        if self.loss is None:
            wanted = [at for at, future in enumerate(self.futures) if not future.done()]
            return self.retain(wanted) if len(wanted) < len(self) else (0, 0)
        return self.retain([]) if self.is_done else (0, 0)

    def error_for_callers(self, error: Exception) -> Exception:
        """`error`, as OutcomeUnknownError if an earlier attempt may have stored the batch."""
        if self.loss is None or isinstance(error, OutcomeUnknownError):
            return error
        return unknown_after(self.loss, error)

    def done_future(self) -> "asyncio.Future[None]":
        """A future that is done when every caller has its outcome."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_done:
            future.set_result(None)
        else:
            self._waiters.append(future)
        return future

    def notify_done(self) -> None:
        """Ends the futures of `done_future`: every caller has its outcome."""
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)


class BatchEncoding(Protocol):
    """The commands that store a batch, such that all of it is carried out at once, or nothing."""

    def encode(self, batch: RecordBatch, trimming: tuple[Argument, ...]) -> tuple[bytes, int]:
        """The commands for `batch` in RESP, and how many they are; `trimming` are the bounds of XADD or XTRIM."""

    def decode(self, batch: RecordBatch, errors: dict[int, Exception], last: Any) -> BatchReply:
        """What the replies say: the error of each command that met one, by its place, and the last reply."""
