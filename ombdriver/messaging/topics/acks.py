"""Acknowledgements that travel together: one XACK for many messages of a partition, sent again until it is answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.topics.member import Member
from ombdriver.messaging.topics.message import DONE
from ombdriver.messaging.topics.partition import Partition

logger = logging.getLogger(__name__)

AT_MOST = 512
"""So many acknowledgements leave at once."""
WITHIN_S = 0.005
"""Fewer leave so many seconds after the first of them."""
AGAIN_S = 0.5
"""After a failure they are sent again so many seconds later. Each attempt goes on for 30 s by itself."""


class Acks:
    """The acknowledgements of one member.

    Args:
        member: whose.
        partitions: those that it reads.
        on_fault: told of an error that is no lost connection; the acknowledgements are kept and sent again.
    """

    def __init__(self, member: Member, partitions: Iterable[Partition], on_fault: Callable[[Exception], None]) -> None:
        self._member, self._partitions, self._on_fault = member, tuple(partitions), on_fault
        self._loop = asyncio.get_running_loop()
        self._noted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Future[int]] = set()
        self._at_once = False

    def __repr__(self) -> str:
        return f"<Acks noted={self._noted} sent={len(self._answers)}>"

    @property
    def waiting(self) -> int:
        """Acknowledgements that the server has not answered."""
        return self._noted + sum(len(batch) for each in self._partitions for batch in each.sent)

    def note(self, partition: Partition, entry_id: bytes) -> Awaitable[None]:
        """Acknowledges a message some time soon. Every message comes through, so this makes few calls."""
        partition.held.discard(entry_id)
        partition.noted.append(entry_id)
        self._noted = noted = self._noted + 1
        if noted >= AT_MOST or self._at_once:
            self.send()
        elif self._timer is None:
            self._timer = self._loop.call_later(WITHIN_S, self.send)
        return DONE

    def send(self) -> None:
        """Sends what is noted, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._noted:
            return
        self._noted = 0
        for partition in self._partitions:
            if partition.noted:
                ids, partition.noted = partition.noted, []
                self._send(partition, ids)

    def _send(self, partition: Partition, ids: list[bytes]) -> None:
        try:
            answer = self._member.ask(partition.key, "XACK", partition.key, self._member.group, *ids)
        except ClosedError:
            logger.warning("%d acknowledgements were not sent, the client is closed; they come again", len(ids))
            return
        partition.sent.append(ids)
        self._answers.add(answer)
        answer.add_done_callback(partial(self._answered, partition, ids))

    def _answered(self, partition: Partition, ids: list[bytes], answer: "asyncio.Future[int]") -> None:
        self._answers.discard(answer)
        partition.sent.remove(ids)
        error = None if answer.cancelled() else answer.exception()
        if answer.cancelled() or isinstance(error, ClosedError):
            logger.warning("%d acknowledgements were not answered, the client is closed; they may come again", len(ids))
        elif error is not None:
            assert isinstance(error, Exception)
            partition.noted[:0] = ids
            self._noted += len(ids)
            if self._timer is None:
                self._timer = self._loop.call_later(AGAIN_S, self.send)
            self._member.counts.faults += 1
            self._on_fault(error)
        else:
            done = answer.result()
            self._member.counts.acknowledged += done
            self._member.counts.late_acknowledgements += len(ids) - done

    async def flush(self) -> None:
        """Waits until everything that was noted is answered; for ever, while the server can't be reached."""
        self.send()
        while self._noted or self._answers:
            if self._answers:
                await asyncio.wait(self._answers, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(WITHIN_S)  # what failed is sent again by its timer

    def hurry(self) -> None:
        """From now on each leaves at once: the consumer is closed, and nobody flushes any more."""
        self._at_once = True
        self.send()
