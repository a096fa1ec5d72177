"""Sends the payloads of one topic as XADD commands, by block; with WAIT or WAITAOF they count once others have them.

The head of a command is the same for all messages of a partition and size, so it is packed once and payloads are joined
with it. Entries: field `p` is the payload and comes first; field `k`, if there is one, the key.

WAIT and WAITAOF cover what their own connection has sent, and hold up what comes behind them: a `WaitingProducer` has
connections of its own, and asks once for everything that it sent in a turn of the loop; by WAITAOF, which waits for a
disk, once for everything that came while it waited. Replies of XADD are held back until what waits behind them is
answered, so the latency ends there.
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
        room = self._room_of
        return room(distinct[0]) if len(distinct) == 1 else min([room(channel) for channel in distinct])

    def _room_of(self, channel: Channel) -> int:
        return channel.room()

    def when_room(self, callback: Callable[[], None]) -> None:
        """See `api.DriverProducer.when_room`."""
        if self._version != self._router.version:
            asyncio.get_running_loop().call_later(LOOKUP_DELAY_S, callback)
            return
        full = (channel for channel in self._distinct_channels if self._room_of(channel) <= 0)
        self._when_room_of(next(full, self._distinct_channels[0]), callback)

    def _when_room_of(self, channel: Channel, callback: Callable[[], None]) -> None:
        channel.when_room(callback)

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


@dataclass(frozen=True, slots=True)
class Wait:
    """A command that is answered when replicas or disks have what its connection has sent before.

    Attributes:
        command: packed.
        timeout_ms: after which it is answered in any case.
        shortfall: by its reply, what is missing; None for nothing.
        gathers: it takes long, so that one is under way at a time, and the next one is for all that came meanwhile.
    """

    command: bytes
    timeout_ms: int
    shortfall: Callable[[Any], str | None]
    gathers: bool = False

    @property
    def name(self) -> str:
        """Of the command."""
        return self.command.split(b"\r\n", 3)[2].decode()


def waits_for(replicas: int, aof: str, timeout_ms: int) -> Sequence[Wait]:
    """What a message waits for.

    Args:
        replicas: how many have to have it.
        aof: whose append-only files have to have it on disk: `none`, `primary`, or `all` of these.
        timeout_ms: how long that may take.
    """
    found = []
    if replicas and aof != "all":
        found.append(
            Wait(
                pack(("WAIT", replicas, timeout_ms)),
                timeout_ms,
                lambda reply: f"{reply} of {replicas} replicas" if reply < replicas else None,
            )
        )
    if aof != "none":
        synced = replicas if aof == "all" else 0
        found.append(
            Wait(
                pack(("WAITAOF", 1, synced, timeout_ms)),
                timeout_ms,
                lambda reply: (
                    "no disk of the primary"
                    if not reply[0]
                    else f"the disks of {reply[1]} of {synced} replicas"
                    if reply[1] < synced
                    else None
                ),
                gathers=True,
            )
        )
    return found


class WaitingProducer(StreamProducer):
    """Sends to one topic (`api.DriverProducer`); a message counts when replicas or disks have it.

    Args:
        router: connections that nobody else sends on.
        topic: where to.
        cut: what sending trims.
        on_replies: gets the replies.
        waits: what a message waits for, 1 or more.
        statistics: counts `underReplicated`: messages that are stored, but not as safely as was asked for.
    """

    def __init__(
        self,
        router: Router,
        topic: Topic,
        cut: TrimBound,
        on_replies: OnReplies,
        waits: Sequence[Wait],
        statistics: Counter[str],
    ) -> None:
        super().__init__(router, topic, cut, on_replies)
        self._statistics = statistics
        self._waits = waits
        self._waiting: dict[Channel, _WaitingConnection] = {}

    def _put(self, channel: Channel, data: bytes, count: int, partition: int, first: int) -> None:
        waiting = self._waiting.get(channel)
        if waiting is None or waiting.generation != channel.generation:
            waiting = self._waiting[channel] = _WaitingConnection(channel, self._count, self._waits)
        waiting.put(data, count, partition, first)

    def _room_of(self, channel: Channel) -> int:
        """What is stored and still waited for takes room, too."""
        waiting = self._waiting.get(channel)
        return channel.room() - (0 if waiting is None else waiting.held)

    def _when_room_of(self, channel: Channel, callback: Callable[[], None]) -> None:
        waiting = self._waiting.get(channel)
        if waiting is not None and channel.room() > 0 >= channel.room() - waiting.held:
            waiting.when_reported(callback)
        else:
            channel.when_room(callback)

    def _count(self, partition: int, first: int, count: int, error: Exception | None, time_ns: int, last: Any) -> None:
        if isinstance(error, UnderReplicated):
            self._statistics["underReplicated"] += count
        self._on_replies(partition, first, count, error, time_ns, last)


class _WaitingConnection:
    """Messages on one connection, with waits behind them: those of a turn of the loop, or of the time of a wait.

    A wait on the channel's next connection would cover none of them.

    Attributes:
        generation: which of the channel's connections it is.
        held: messages that are answered, and waited for.
    """

    def __init__(self, channel: Channel, on_replies: OnReplies, waits: Sequence[Wait]) -> None:
        self._channel, self._on_replies, self._waits = channel, on_replies, waits
        self.generation, self.held = channel.generation, 0
        self._when_reported: list[Callable[[], None]] = []
        self._gathers = any(wait.gathers for wait in waits)
        self._added: deque[_Added] = deque()
        self._asking = self._has_left = self._unasked = False
        self._asked = 0
        self._short: Exception | None = None

    def put(self, data: bytes, count: int, partition: int, first: int) -> None:
        """Sends; what else is sent in this turn shares the waits."""
        self._ask_soon()
        self._channel.send_block(data, count, self._on_added, partition, first)

    def _ask_soon(self) -> None:
        if self._gathers and self._asked:
            self._unasked = True
        elif not self._asking:
            self._asking = True
            asyncio.get_running_loop().call_soon(self._ask)

    def _on_added(
        self, partition: int, first: int, count: int, error: Exception | None, time_ns: int, last: Any
    ) -> None:
        if self._has_left and error is None:
            error, last = lost(was_sent=True, cause=None), None
        is_lost = self._has_left or isinstance(error, ConnectionLost)
        if is_lost:  # no wait will be answered for what came before on this connection
            self._report(lost(was_sent=True, cause=error), time_ns)
        self._added.append((partition, first, count, error, last))
        self.held += count
        if is_lost:
            self._report(None, time_ns)

    def _ask(self) -> None:
        self._asking = self._unasked = False
        try:
            if self._channel.generation != self.generation:
                raise NotSentError("the connection was given up before the command was sent")
            for place, wait in enumerate(self._waits):
                self._channel.send_block(wait.command, 1, self._on_waited, place, 0, block_s=wait.timeout_ms / 1000)
                self._asked += 1
        except MessagingError as error:  # lost or given up; it may still answer what it was sent, but no wait
            self._has_left = True
            self._report(lost(was_sent=True, cause=error), time.monotonic_ns())

    def _on_waited(
        self, place: int, _first: int, _count: int, error: Exception | None, time_ns: int, last: Any
    ) -> None:
        wait = self._waits[place]
        self._asked -= 1
        if isinstance(error, ConnectionLost):  # stored, but by how many?
            error = lost(was_sent=True, cause=error)
        elif error is not None:
            error = UnderReplicated(f"the server refused {wait.name}: {error}")
        elif (shortfall := wait.shortfall(last)) is not None:
            error = UnderReplicated(f"{shortfall} had the message in time")
        self._short = self._short or error
        if place + 1 == len(self._waits):
            short, self._short = self._short, None
            self._report(short, time_ns)
        if self._unasked and not self._asked:
            self._unasked = False
            self._ask_soon()

    def _report(self, error: Exception | None, time_ns: int) -> None:
        """Reports all that was answered so far; messages without an error of their own get `error`."""
        while self._added:
            partition, first, count, own, last = self._added.popleft()
            failure = own or error
            self.held -= count
            self._on_replies(partition, first, count, failure, time_ns, last if failure is None else None)
        callbacks, self._when_reported = self._when_reported, []
        for callback in callbacks:
            asyncio.get_running_loop().call_soon(callback)

    def when_reported(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in a later turn, when something that was held is reported."""
        self._when_reported.append(callback)
