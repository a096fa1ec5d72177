"""Entries become messages, and go into the inbox of their consumer. No I/O."""

from collections.abc import Sequence
from typing import Any

from ombdriver.messaging.topics.acks import Acks
from ombdriver.messaging.topics.inbox import Inbox
from ombdriver.messaging.topics.member import Counts
from ombdriver.messaging.topics.message import Message, Settling
from ombdriver.messaging.topics.own import Taken
from ombdriver.messaging.topics.partition import Partition


class Intake:
    """Takes entries in for one consumer (`reading.Taker`).

    Args:
        counts: counts them.
        inbox: where they go.
        acks: for what has no content any more.

    Attributes:
        settler: what messages turn to; set before the first entry comes.
    """

    settler: Settling

    def __init__(self, counts: Counts, inbox: Inbox, acks: Acks) -> None:
        self._counts, self._inbox = counts, inbox
        self.acknowledge = acks.note

    def deliver(self, partition: Partition, entries: Sequence[Any]) -> None:
        """Takes entries that are new to the group."""
        settler = self.settler
        self._counts.received += len(entries)
        partition.held.update([entry_id for entry_id, _ in entries])
        self._inbox.accept(
            partition, [Message(settler, partition, entry_id, fields, 1) for entry_id, fields in entries]
        )

    def retake(self, partition: Partition, taken: Taken) -> None:
        """Takes entries that were delivered before, to this member or another; what is gone is acknowledged."""
        counts, ids = self._counts, [entry_id for entry_id, _ in taken.entries]
        counts.received += len(ids)
        counts.redelivered += len(ids)
        counts.deleted += len(taken.gone)
        for entry_id in taken.gone:
            self.acknowledge(partition, entry_id)
        partition.hold(ids)
        if ids:
            again = zip(taken.entries, taken.deliveries, strict=True)
            self._inbox.accept(
                partition,
                [Message(self.settler, partition, entry_id, fields, n) for (entry_id, fields), n in again],
            )

    def fault(self, error: Exception) -> None:
        """Tells whoever waits for a message of an error that is no lost connection."""
        self._counts.faults += 1
        self._inbox.fail(error)

    def end(self, error: Exception) -> None:
        """Tells whoever waits for a message, now and later, that there is no more."""
        self._inbox.end(error)
