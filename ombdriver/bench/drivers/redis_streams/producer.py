"""Sends the payloads of one topic as XADD commands, by block; with WAIT they count only once replicas have them.

The head of a command is the same for all messages of a partition and size, so it is packed once and payloads are joined
with it. Entries: field `p` is the payload and comes first; field `k`, if there is one, the key.

WAIT covers what its own connection has sent, and holds up what comes behind it: a `ReplicatedProducer` has connections
of its own, and asks once for everything that it sent in a turn of the loop. Replies of XADD are held back until the
WAIT behind them is answered, so the latency ends there.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.drivers.api import OnReplies
from ombdriver.errors import UnderReplicated
from ombdriver.messaging.errors import ConnectionLost, MessagingError, NotSentError, lost
from ombdriver.messaging.streams.topic import Partitioner, Topic
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.router import Router

MOST_HEADS = 64
"""Beginnings of commands that are kept besides one for each partition: sizes that vary would make them without end."""
LOOKUP_DELAY_S = 0.05
"""Seconds between two lookups of a partition that no server has at the moment."""


@dataclass(frozen=True, slots=True)
class TrimBound:
    """What sending trims.

    Attributes:
        max_length: entries that a partition keeps; None keeps all, unless there is an age.
        max_age_ms: what is older goes, by this machine's clock against the server's; in place of `max_length`.
        exact: to the entry, not to whole nodes of a stream.
    """

    max_length: int | None = None
    max_age_ms: int | None = None
    exact: bool = False

    def words(self, now_s: int) -> tuple[str | int, ...]:
        """The words of XADD at `now_s`, seconds since 1970."""
        how = "=" if self.exact else "~"
        if self.max_age_ms is not None:
            return ("MINID", how, max(0, now_s * 1000 - self.max_age_ms))
        return () if self.max_length is None else ("MAXLEN", how, self.max_length)


_Replies = tuple[int, Exception | None, int, object]
"""What `OnReplies` is given, without partition and first: count, error, time_ns, answer."""


class StreamProducer:
    """Sends to one topic (`api.DriverProducer`).

    Args:
        router: the connections, which other producers may share.
        topic: where to.
        cut: what sending trims.
        on_replies: gets the replies.
    """

    def __init__(self, router: Router, topic: Topic, cut: TrimBound, on_replies: OnReplies) -> None:
        self._router, self._topic = router, topic
        self._report = on_replies
        self._on_replies: OnReplies = self._in_order if router.may_move else on_replies
        self._reported = [0] * topic.partitions
        self._early: list[dict[int, _Replies]] = [{} for _ in range(topic.partitions)]
        self._partitioner = Partitioner(topic)
        self._cut = cut
        self._trim = True
        self._second = 0
        self._sent = [0] * topic.partitions
        self._heads: dict[tuple[int, int, bool], bytes] = {}
        self._roots: dict[tuple[int, bool], bytes] = {}
        self._keys = [key.encode() for key in topic.keys]
        self._locate()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._topic.name}, {sum(self._sent)} sent, {self._router}>"

    def route(self, count: int, keys: Sequence[bytes] | None) -> Sequence[int] | None:
        """murmur2 of the key, as Kafka does; round robin without keys."""
        if self._topic.partitions == 1:
            return None
        pick = self._partitioner.pick
        if keys is None:
            return [pick() for _ in range(count)]
        return [pick(key) for key in keys]

    def _in_order(
        self, partition: int, first: int, count: int, error: Exception | None, time_ns: int, answer: object
    ) -> None:
        """Reports replies in the order of the messages, and learns from errors where partitions lie.

        MOVED has the next message go to the right node. A new server answers at once, while the connection to one that
        hangs is given some time for its replies: so they may arrive out of order.
        """
        if error is not None:
            self._router.learn(error)
        if first != self._reported[partition]:
            self._early[partition][first] = count, error, time_ns, answer
            return
        self._report(partition, first, count, error, time_ns, answer)
        first += count
        early = self._early[partition]
        while early and (held := early.pop(first, None)) is not None:
            self._report(partition, first, *held)
            first += held[0]
        self._reported[partition] = first

    # -- where to --------------------------------------------------------------------------------------------------

    def _locate(self) -> None:
        """The channel of each partition, as partitions lie now.

        Raises:
            NotSentError: if it is not known who has one of them.
        """
        self._channels = [self._router.bulk_for(key) for key in self._keys]
        self._version = self._router.version
        self._distinct_channels: tuple[Channel, ...] = tuple(dict.fromkeys(self._channels))

    def room(self) -> int:
        """See `api.DriverProducer.room`. On a cluster, of the node with the least: messages go to all in turn."""
        if self._version != self._router.version:
            try:
                self._locate()
            except NotSentError:  # nobody has a partition, for the moment
                return 0
        distinct = self._distinct_channels
        return distinct[0].room() if len(distinct) == 1 else min([channel.room() for channel in distinct])

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `api.DriverProducer.when_room`."""
        if self._version != self._router.version:
            asyncio.get_running_loop().call_later(LOOKUP_DELAY_S, callback)
            return
        full = (channel for channel in self._distinct_channels if channel.room() <= 0)
        next(full, self._distinct_channels[0]).when_room(callback)

    def shared_room(self) -> frozenset[Channel]:
        """See `api.DriverProducer.shared_room`."""
        return frozenset(self._channels)

    def keep_everything(self, keep: bool) -> None:
        """See `api.DriverProducer.keep_everything`."""
        if self._trim == keep:
            self._trim = not keep
            self._forget_heads()

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> None:
        """See `api.DriverProducer.send`."""
        if self._cut.max_age_ms is not None and (second := int(time.time())) != self._second:
            self._second = second
            self._forget_heads()
        size = len(payloads[0])
        if keys is None and (len(payloads) == 1 or len(set(map(len, payloads))) == 1):
            head = self._head(partition, size, keyed=False)
            data = head + (b"\r\n" + head).join(payloads) + b"\r\n"
        else:
            data = b"".join(self._commands(partition, payloads, keys))
        first = self._sent[partition]
        self._sent[partition] = first + len(payloads)
        self._put(self._channels[partition], data, len(payloads), partition, first)

    def _put(self, channel: Channel, data: bytes, count: int, partition: int, first: int) -> None:
        channel.send_block(data, count, self._on_replies, partition, first)

    def _commands(self, partition: int, payloads: Sequence[bytes], keys: Sequence[bytes] | None) -> list[bytes]:
        if keys is None:
            return [self._head(partition, len(payload), keyed=False) + payload + b"\r\n" for payload in payloads]
        return [
            b"%b%b\r\n$1\r\nk\r\n$%d\r\n%b\r\n"
            % (self._head(partition, len(payload), keyed=True), payload, len(key), key)
            for payload, key in zip(payloads, keys, strict=True)
        ]

    def _head(self, partition: int, size: int, *, keyed: bool) -> bytes:
        which = (partition, size, keyed)
        head = self._heads.get(which)
        if head is None:
            if len(self._heads) >= MOST_HEADS + len(self._keys):
                self._heads.clear()
            head = self._heads[which] = self._root(partition, keyed=keyed) + b"$%d\r\n" % size
        return head

    def _root(self, partition: int, *, keyed: bool) -> bytes:
        """A head without the size."""
        root = self._roots.get((partition, keyed))
        if root is None:
            trim = self._cut.words(self._second) if self._trim else ()
            rest = (b"", b"") if keyed else ()  # counted in the array's length, written by `_commands`
            whole = pack(("XADD", self._keys[partition], *trim, "*", "p", b"", *rest))
            root = whole[: -len(b"$0\r\n\r\n") * (1 + len(rest))]
            if len(self._heads) > len(self._keys):  # sizes do vary
                self._roots[partition, keyed] = root
        return root

    def _forget_heads(self) -> None:
        self._heads.clear()
        self._roots.clear()

    async def aclose(self) -> None:
        """The channels are the driver's, and end with it."""


_Added = tuple[int, int, int, Exception | None, Any]
"""Replies of XADD: partition, index of the first, count, error, and the id that the last of them gave."""


class ReplicatedProducer(StreamProducer):
    """Sends to one topic (`api.DriverProducer`).

    Args:
        router: connections that nobody else sends on.
        topic: where to.
        cut: what sending trims.
        on_replies: gets the replies.
        replicas: how many have to have a message.
        timeout_ms: how long that may take.
        statistics: counts `underReplicated`: messages that are stored, but not on that many replicas.
    """

    def __init__(
        self,
        router: Router,
        topic: Topic,
        cut: TrimBound,
        on_replies: OnReplies,
        replicas: int,
        timeout_ms: int,
        statistics: Counter[str],
    ) -> None:
        super().__init__(router, topic, cut, on_replies)
        self._statistics = statistics
        self._replicas, self._timeout_ms = replicas, timeout_ms
        self._waiting: dict[Channel, _WaitChannel] = {}

    def _put(self, channel: Channel, data: bytes, count: int, partition: int, first: int) -> None:
        waiting = self._waiting.get(channel)
        if waiting is None:
            waiting = self._waiting[channel] = _WaitChannel(channel, self._count, self._replicas, self._timeout_ms)
        waiting.put(data, count, partition, first)

    def _count(self, partition: int, first: int, count: int, error: Exception | None, time_ns: int, last: Any) -> None:
        if isinstance(error, UnderReplicated):
            self._statistics["underReplicated"] += count
        self._on_replies(partition, first, count, error, time_ns, last)


class _WaitChannel:
    """Messages on one channel, each turn of the loop with a WAIT behind them."""

    def __init__(self, channel: Channel, on_replies: OnReplies, replicas: int, timeout_ms: int) -> None:
        self._channel, self._on_replies, self._replicas = channel, on_replies, replicas
        self._wait, self._block_s = pack(("WAIT", replicas, timeout_ms)), timeout_ms / 1000
        self._added: deque[_Added] = deque()
        self._asking = self._has_left = False

    def put(self, data: bytes, count: int, partition: int, first: int) -> None:
        """Sends; what else is sent in this turn shares the WAIT."""
        if not self._asking:
            self._asking = True
            asyncio.get_running_loop().call_soon(self._ask)
        self._channel.send_block(data, count, self._on_added, partition, first)

    def _on_added(
        self, partition: int, first: int, count: int, error: Exception | None, time_ns: int, last: Any
    ) -> None:
        if self._has_left and error is None:
            error, last = lost(was_sent=True, cause=None), None
        is_lost = self._has_left or isinstance(error, ConnectionLost)
        if is_lost:  # no WAIT will be answered for what came before on this connection
            self._report(lost(was_sent=True, cause=error), time_ns)
        self._added.append((partition, first, count, error, last))
        if is_lost:
            self._report(None, time_ns)

    def _ask(self) -> None:
        self._asking = False
        try:
            self._channel.send_block(self._wait, 1, self._on_waited, 0, 0, block_s=self._block_s)
        except NotSentError:  # the server is no primary any more; it may still answer what it was sent
            self._has_left = True
        except MessagingError:  # the connection is lost, and every XADD gets that error
            pass

    def _on_waited(
        self, _token: int, _first: int, _count: int, error: Exception | None, time_ns: int, last: Any
    ) -> None:
        if isinstance(error, ConnectionLost):  # stored, but by how many?
            error = lost(was_sent=True, cause=error)
        elif error is not None:
            error = UnderReplicated(f"the server refused WAIT: {error}")
        elif last < self._replicas:
            error = UnderReplicated(f"{last} of {self._replicas} replicas had the message in time")
        self._report(error, time_ns)

    def _report(self, error: Exception | None, time_ns: int) -> None:
        """Reports all that was answered so far; messages without an error of their own get `error`."""
        while self._added:
            partition, first, count, own, last = self._added.popleft()
            failure = own or error
            self._on_replies(partition, first, count, failure, time_ns, last if failure is None else None)
