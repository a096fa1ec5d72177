"""Sends the payloads of one topic as XADD commands, by block.

Knows the channel and the layout of an entry, which `stream_consumer` reads: field `p` is the payload and comes first;
field `k`, if there is one, the key. The head of a command is the same for all messages of a partition, so it is packed
once and payloads are joined with it.
"""

from collections.abc import Callable, Sequence

from ombdriver.bench.driver import OnReplies
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.resp import pack
from ombdriver.messaging.topic import Partitioner, Topic


class StreamProducer:
    """Sends to one topic (`driver.DriverProducer`).

    Args:
        channel: the connection, which other producers may share.
        topic: where to.
        max_length: entries that a partition keeps, approximately; None keeps all.
        on_replies: told of the replies.
    """

    def __init__(self, channel: Channel, topic: Topic, max_length: int | None, on_replies: OnReplies) -> None:
        self._channel, self._topic, self._on_replies = channel, topic, on_replies
        self._partitioner = Partitioner(topic)
        self._max_length = max_length
        self._trim = max_length is not None
        self._sent = [0] * topic.partitions
        self._heads: dict[tuple[int, int, bool, bool], bytes] = {}

    def __repr__(self) -> str:
        return f"<StreamProducer {self._topic.name}, {sum(self._sent)} sent, {self._channel}>"

    def route(self, count: int, keys: Sequence[bytes] | None) -> Sequence[int] | None:
        """murmur2 of the key, as Kafka does; round robin without keys."""
        if self._topic.partitions == 1:
            return None
        pick = self._partitioner.pick
        if keys is None:
            return [pick() for _ in range(count)]
        return [pick(key) for key in keys]

    def room(self) -> int:
        """See `driver.DriverProducer.room`."""
        return self._channel.room()

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `driver.DriverProducer.when_room`."""
        self._channel.when_room(callback)

    def keep_everything(self, keep: bool) -> None:
        """See `driver.DriverProducer.keep_everything`."""
        self._trim = self._max_length is not None and not keep

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """See `driver.DriverProducer.send`."""
        size = len(payloads[0])
        if keys is None and (len(payloads) == 1 or len(set(map(len, payloads))) == 1):
            head = self._head(partition, size, keyed=False)
            data = head + (b"\r\n" + head).join(payloads) + b"\r\n"
        else:
            data = b"".join(self._commands(partition, payloads, keys))
        first = self._sent[partition]
        self._sent[partition] = first + len(payloads)
        self._channel.send_block(data, len(payloads), self._on_replies, partition, first)

    def _commands(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> list[bytes]:
        if keys is None:
            return [self._head(partition, len(payload), keyed=False) + payload + b"\r\n" for payload in payloads]
        return [
            b"%b%b\r\n$1\r\nk\r\n$%d\r\n%b\r\n"
            % (self._head(partition, len(payload), keyed=True), payload, len(key), key)
            for payload, key in zip(payloads, keys, strict=True)
        ]

    def _head(self, partition: int, size: int, *, keyed: bool) -> bytes:
        which = (partition, size, keyed, self._trim)
        head = self._heads.get(which)
        if head is None:
            trim: tuple[str | int, ...] = ("MAXLEN", "~", self._max_length or 0) if self._trim else ()
            rest = (b"", b"") if keyed else ()  # counted in the array's length, written by `_commands`
            whole = pack(("XADD", self._topic.key(partition), *trim, "*", "p", b"", *rest))
            head = self._heads[which] = whole[: -len(b"$0\r\n\r\n") * (1 + len(rest))] + b"$%d\r\n" % size
        return head

    async def aclose(self) -> None:
        """The channel is the driver's, and ends with it."""
