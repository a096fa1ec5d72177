"""Sends as `stream_producer` does, and lets a message count only when so many replicas have it: WAIT.

WAIT covers what its own connection has sent, and holds up what comes behind it; so such a producer has connections of
its own, and asks once for everything that it sent in a turn of the loop. Replies of XADD are kept back until the WAIT
behind them is answered: the latency ends there.
"""

import asyncio
from collections import Counter, deque
from typing import Any

from ombdriver.bench.driver import OnReplies
from ombdriver.bench.drivers.stream_producer import Cut, StreamProducer
from ombdriver.errors import UnderReplicated
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.errors import AioRedisMQException, ConnectionLost, NotSentError, lost
from ombdriver.messaging.resp import pack
from ombdriver.messaging.topic import Topic

Added = tuple[int, int, int, Exception | None, Any]
"""Replies of XADD: partition, index of the first, count, error, and what the last of them said."""


class ReplicatedProducer(StreamProducer):
    """Sends to one topic (`driver.DriverProducer`).

    Args:
        channels: connections that nobody else sends on.
        topic: where to.
        cut: what sending trims.
        on_replies: told of the replies.
        replicas: how many have to have a message.
        timeout_ms: how long that may take.
        statistics: counts `underReplicated`: messages that are stored, but not on so many.
    """

    def __init__(
        self,
        channels: Channels,
        topic: Topic,
        cut: Cut,
        on_replies: OnReplies,
        replicas: int,
        timeout_ms: int,
        statistics: Counter[str],
    ) -> None:
        super().__init__(channels, topic, cut, on_replies)
        self._statistics = statistics
        self._replicas, self._timeout_ms = replicas, timeout_ms
        self._waits: dict[Channel, _Line] = {}

    def _put(self, channel: Channel, data: bytes, count: int, partition: int, first: int) -> None:
        line = self._waits.get(channel)
        if line is None:
            line = self._waits[channel] = _Line(channel, self._tell, self._replicas, self._timeout_ms)
        line.put(data, count, partition, first)

    def _tell(self, partition: int, first: int, count: int, error: Exception | None, time_ns: int, last: Any) -> None:
        if isinstance(error, UnderReplicated):
            self._statistics["underReplicated"] += count
        self._on_replies(partition, first, count, error, time_ns, last)


class _Line:
    """What goes through one channel."""

    def __init__(self, channel: Channel, on_replies: OnReplies, replicas: int, timeout_ms: int) -> None:
        self._channel, self._on_replies, self._replicas = channel, on_replies, replicas
        self._wait = pack(("WAIT", replicas, timeout_ms))
        self._added: deque[Added] = deque()
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
            self._tell(lost(was_sent=True, cause=error), time_ns)
        self._added.append((partition, first, count, error, last))
        if is_lost:
            self._tell(None, time_ns)

    def _ask(self) -> None:
        self._asking = False
        try:
            self._channel.send_block(self._wait, 1, self._on_waited, 0, 0)
        except NotSentError:  # the server is no primary any more; it may still answer what it was sent
            self._has_left = True
        except AioRedisMQException:  # the connection is lost, which every XADD will be told
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
        self._tell(error, time_ns)

    def _tell(self, error: Exception | None, time_ns: int) -> None:
        """Reports everything that was answered so far; what is stored well has `error`, if there is one."""
        while self._added:
            partition, first, count, own, last = self._added.popleft()
            told = own or error
            self._on_replies(partition, first, count, told, time_ns, last if told is None else None)
