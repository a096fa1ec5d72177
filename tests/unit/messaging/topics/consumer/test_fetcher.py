"""What a fetcher does with entries that the group is given a second time, as after it was created again or set back."""

from typing import Any

from ombdriver.messaging.streams.resumption import mark_of
from ombdriver.messaging.topics.consumer.config import ConsumerStatistics
from ombdriver.messaging.topics.consumer.fetcher import Fetcher
from ombdriver.messaging.topics.consumer.group import GroupMember
from ombdriver.messaging.topics.consumer.partition import FlowControl, Partition


class FakeSink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.delivered: list[bytes] = []
        self.acknowledged: list[bytes] = []

    def deliver(self, _partition: Partition, entries: Any) -> None:
        """See `receive_buffer.RecordSink`."""
        self.delivered += [entry[0] for entry in entries]

    def acknowledge(self, _partition: Partition, entry_id: bytes) -> None:
        """See `receive_buffer.RecordSink`."""
        self.acknowledged.append(entry_id)


async def test_what_is_known_is_not_handed_out_again() -> None:
    """In hand: it stays there. Acknowledged: that is said again. Given back, or settled before: it is handed out."""
    partition, sink, statistics = Partition(0, "{t:0}"), FakeSink(), ConsumerStatistics()
    member = GroupMember(None, b"g", b"c", True, 1_000, statistics)  # type: ignore[arg-type]
    fetcher = Fetcher(member, [partition], FlowControl(10), sink, None)  # type: ignore[arg-type]
    partition.highest = b"5-0"  # the group was set back
    partition.leased.add(b"2-0")
    partition.acks_pending.append(b"3-0")
    partition.acks_in_flight.append([b"4-0"])
    partition.nacked.add(b"5-0")

    fetcher._receive(partition, [[b"%d-0" % n, [b"f", b"v"]] for n in range(1, 7)])

    assert sink.delivered == [b"1-0", b"5-0", b"6-0"]
    assert sink.acknowledged == [b"3-0", b"4-0"]
    assert statistics.repeated == 3
    assert partition.last_delivered == mark_of(b"6-0", [b"f", b"v"])
    assert partition.nacked == set()
