"""Acknowledges what consumers were given: which commands that takes, and sending them until they are answered.

Knows channels and entry ids; nothing of reads.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ombdriver.bench.driver import OnAcknowledged
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.errors import ClosedError, ConnectionLost, NotSentError
from ombdriver.messaging.resp import pack

CLOSE_TIMEOUT_S = 2.0
"""How long the last acknowledgements may take."""
AGAIN_S = 0.005
"""After a loss, or when a stream has moved, it is looked for where it is so many seconds later."""

Words = tuple[bytes | str | int, ...]
Commands = Callable[[bytes, Sequence[bytes]], list[Words]]
"""The commands that acknowledge some entries of a stream. Each may be carried out twice without harm."""


def commands_of(ack: str, group: str, groups: int) -> Commands | None:
    """How `ack` is done for a group; None when there is nothing to do.

    Args:
        ack: `batch`, `each`, `none` or `delete`.
        group: the group's name.
        groups: how many there are on a stream: an entry is deleted when all of them have acknowledged it, which with
            more than one only XACKDEL can tell (Redis 8.2).
    """
    if ack == "none":
        return None
    if ack == "each":
        return lambda key, ids: [("XACK", key, group, one) for one in ids]
    if ack == "delete" and groups > 1:
        return lambda key, ids: [("XACKDEL", key, group, "ACKED", "IDS", len(ids), *ids)]
    if ack == "delete":
        return lambda key, ids: [("XACK", key, group, *ids), ("XDEL", key, *ids)]
    return lambda key, ids: [("XACK", key, group, *ids)]


class _Sent:
    """Commands on one stream, joined; how many of them have no answer yet, and whether one was refused."""

    __slots__ = ("count", "data", "done", "failed", "key", "left")

    def __init__(self, key: bytes, words: list[Words], done: OnAcknowledged) -> None:
        self.key, self.data, self.done = key, b"".join([pack(each) for each in words]), done
        self.count = self.left = len(words)
        self.failed = 0


class Acknowledger:
    """Sends acknowledgements; each is sent again when the connection is lost, since twice is as good as once.

    Args:
        channels: carry the acknowledgements of all consumers of a process.
        statistics: counts `failedAcknowledgements`: commands that the server refused or did not answer.
    """

    def __init__(self, channels: Channels, statistics: Counter[str]) -> None:
        self._channels, self.statistics = channels, statistics
        self._unanswered: dict[int, _Sent] = {}
        self._number = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def send(self, key: bytes, words: list[Words], done: OnAcknowledged) -> None:
        """Sends commands on the stream `key`; `done` is called when the server has carried out all of them."""
        self._number += 1
        self._unanswered[self._number] = _Sent(key, words, done)
        self._idle.clear()
        self._put(self._number)

    def _put(self, number: int) -> None:
        sent = self._unanswered.get(number)
        if sent is None:
            return
        try:
            channel: Channel = self._channels.control_for(sent.key)
            if channel.room() > 0:
                channel.send_block(sent.data, sent.count, self._on_reply, number, 0)
            else:
                channel.when_room(lambda: self._put(number))
        except (ClosedError, NotSentError):  # the driver was closed; or nobody has the stream, for the moment
            self._put_later(number)

    def _put_later(self, number: int) -> None:
        if not self._channels.is_closed:
            asyncio.get_running_loop().call_later(AGAIN_S, self._put, number)

    def _on_reply(
        self, number: int, _first: int, count: int, error: Exception | None, time_ns: int, _last: Any
    ) -> None:
        sent = self._unanswered.get(number)
        if sent is None:  # nobody waits for it any longer
            return
        sent.left -= count
        if error is not None and (isinstance(error, ConnectionLost) or self._channels.redirect(error)):
            sent.failed = -1
        elif error is not None and sent.failed >= 0:
            sent.failed += count
        if sent.left:
            return
        if sent.failed < 0:  # all of it once more
            sent.left, sent.failed = sent.count, 0
            self._put_later(number)
            return
        del self._unanswered[number]
        if sent.failed:
            self.statistics["failedAcknowledgements"] += sent.failed
        else:
            sent.done(time_ns)
        if not self._unanswered:
            self._idle.set()

    async def flush(self) -> None:
        """Waits until all have been answered, or for `CLOSE_TIMEOUT_S`; what is left then counts as failed."""
        try:
            await asyncio.wait_for(self._idle.wait(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            self.statistics["failedAcknowledgements"] += sum(sent.left for sent in self._unanswered.values())
            self._unanswered.clear()
            self._idle.set()
