"""Messages of one partition that go to the server together, from the first of them to the last reply.

Knows neither commands nor connections: what a reply means, a `BatchEncoding` says, and `lane.PartitionSender` sends.

What the partitions of one producer have in common.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ombdriver.messaging.errors import OutcomeUnknownError
from ombdriver.messaging.streams.commands import Word
from ombdriver.messaging.topics.producer.buffer import SendBuffer
from ombdriver.messaging.topics.producer.config import ProducerCounts, ProducerSettings, RecordMetadata
from ombdriver.messaging.transport.standalone import Router

RecordOutcome = bytes | Exception | None
"""What became of one message: its id, an error of its own, or nothing: it was surely not stored, and may be sent again.
"""


class BatchReply(NamedTuple):
    """What the replies to a batch say.

    Attributes:
        answers: one per message, in order.
        refusal: why some were not carried out, if a server said so that was not the right one, or not ready.
        repeated: the server had them already.
    """

    answers: Sequence[RecordOutcome]
    refusal: Exception | None = None
    repeated: bool = False


class Batch:
    """Messages in order, as columns: to make an object of each would cost more than to send it.

    Attributes:
        bodies: the packed fields of each.
        counts: how many fields each has.
        futures: what each caller holds.
        times: when each was accepted, by the loop's clock.
        size: bytes of all.
        number: counts the batches of a partition that were sent, from 1; 0 before.
        attempts: how often it had to be sent again, since it last got anywhere.
        refusal: what it met last.
        unknown: the loss after which it may be stored or not; None while that is known.
    """

    __slots__ = (
        "_watchers",
        "attempts",
        "bodies",
        "counts",
        "futures",
        "number",
        "refusal",
        "size",
        "times",
        "unknown",
    )

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.counts: list[int] = []
        self.futures: list[asyncio.Future[RecordMetadata]] = []
        self.times: list[float] = []
        self.size = self.number = self.attempts = 0
        self.refusal: Exception | None = None
        self.unknown: Exception | None = None
        self._watchers: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self.bodies)

    def __repr__(self) -> str:
        return f"<Batch {self.number}: {len(self)} messages, {self.size} bytes, {self.attempts} attempts>"

    @property
    def is_over(self) -> bool:
        """Whether every caller has an answer, or wants none."""
        return all(future.done() for future in self.futures)

    @property
    def oldest(self) -> float:
        """When the first message was accepted that still waits; `is_over` is false."""
        return next(time for future, time in zip(self.futures, self.times, strict=True) if not future.done())

    def answer(self, answers: Sequence[RecordOutcome], topic: str, partition: int, stream: str) -> tuple[int, int]:
        """Tells callers their answers, as far as there are any; gives how many are stored, and how many failed."""
        good = bad = 0
        for future, answer in zip(self.futures, answers, strict=True):
            if answer is None or future.done():
                continue
            if isinstance(answer, bytes):
                good += 1
                future.set_result(RecordMetadata(topic, partition, stream, answer.decode()))
            else:
                bad += 1
                future.set_exception(answer)
        return good, bad

    def fail(self, error: Exception, before: float = math.inf) -> int:
        """Tells `error` to callers whose messages were accepted at `before` or earlier; gives how many."""
        failed = 0
        for future, accepted in zip(self.futures, self.times, strict=True):
            if accepted > before:
                break
            if not future.done():
                future.set_exception(error)
                failed += 1
        return failed

    def keep(self, which: Sequence[int]) -> tuple[int, int]:
        """Leaves only those messages in it; gives how many went, and their bytes."""
        before, size = len(self), self.size
        if not which:
            self.bodies, self.counts, self.futures, self.times, self.size = [], [], [], [], 0
        elif len(which) < before:
            self.bodies = [self.bodies[i] for i in which]
            self.counts = [self.counts[i] for i in which]
            self.futures = [self.futures[i] for i in which]
            self.times = [self.times[i] for i in which]
            self.size = sum(map(len, self.bodies))
        return before - len(self), size - self.size

    def drop_unwanted(self) -> tuple[int, int]:
        """Leaves out messages that nobody waits for any more, unless it may be stored already; gives as `keep`."""
        if self.unknown is None:
            wanted = [at for at, future in enumerate(self.futures) if not future.done()]
            return self.keep(wanted) if len(wanted) < len(self) else (0, 0)
        return self.keep([]) if self.is_over else (0, 0)

    def outcome(self, error: Exception) -> Exception:
        """What `error` is to callers: what may have been stored is told as such, whatever came after."""
        unknown = self.unknown
        if unknown is None or isinstance(error, OutcomeUnknownError):
            return error
        told = OutcomeUnknownError(f"{unknown}; it could not be sent again: {error}")
        told.__cause__ = error
        return told

    def watch(self) -> "asyncio.Future[None]":
        """A future that is done when every caller has an answer."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_over:
            future.set_result(None)
        else:
            self._watchers.append(future)
        return future

    def tell(self) -> None:
        """Every caller has an answer."""
        watchers, self._watchers = self._watchers, []
        for future in watchers:
            if not future.done():
                future.set_result(None)


class BatchEncoding(Protocol):
    """A way to bring a batch to the server so that all of it is carried out at once, or nothing."""

    def pack(self, batch: Batch, bounds: tuple[Word, ...]) -> tuple[bytes, int]:
        """The commands for `batch`, and how many they are; `bounds` trims the stream."""

    def read(self, batch: Batch, errors: dict[int, Exception], last: Any) -> BatchReply:
        """What the replies say: the error of each command that met one, by its place, and the last reply."""


@dataclass(slots=True)
class SenderContext:
    """One for each producer.

    Attributes:
        topic: its name.
        router: the connections.
        settings: the producer's.
        buffer: takes back the space of what has left.
        opened: told of each batch that is begun.
        closed: told of each partition whose batch takes no more messages, or is stuck.
        counts: what was done so far.
    """

    topic: str
    router: Router
    settings: ProducerSettings
    buffer: SendBuffer
    opened: Callable[[], None]
    closed: Callable[[int], None]
    counts: ProducerCounts = field(default_factory=ProducerCounts)
