"""Reads streams as one member of a group, and acknowledges what it was given.

One XREADGROUP covers all streams of a consumer, on a connection of its own, since it blocks; acknowledgements of a
process share a connection that carries no messages. A full batch means that more is waiting, so the next read is sent
before the batch is handed over. After a lost connection the consumer first reads what is pending for it, since the
reply may have been lost on its way. Entries: field `p` is the payload and comes first; `k`, if there, is the key.
"""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from ombdriver.bench.drivers.api import Batch, OnAcknowledged
from ombdriver.bench.drivers.redis_streams.errors import Endpoint, with_way_out
from ombdriver.bench.drivers.redis_streams.missing_group import why_missing
from ombdriver.errors import DriverError
from ombdriver.messaging.errors import ClosedError, ConnectionLost, NotSentError, OutcomeUnknownError, RedisError
from ombdriver.messaging.streams.entry_ids import is_after, parse_id
from ombdriver.messaging.transport.blocking import TOO_LARGE, EmptyReadPace, ReadSize, ignore_outcome
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import pack
from ombdriver.messaging.transport.retry import Backoff, RetryBudget
from ombdriver.messaging.transport.router import Router

CLOSE_TIMEOUT_S = 2.0
"""How long the last acknowledgements may take."""
AFTER_A_LOSS = Backoff(first_s=0.005, cap_s=1.0, give_up_s=math.inf)
"""Pauses of a reader whose replies get lost, one after another."""
LEAST_CLAIM_S = 0.05
"""Seconds between two looks for what others have left, at least; it is a quarter of the time that it has to be idle."""
RETRY_DELAY_S = 0.005
"""Seconds until a command is sent again, after a loss or when a stream has moved."""

Words = tuple[bytes | str | int, ...]
Commands = Callable[[bytes, Sequence[bytes]], list[Words]]
"""The commands that acknowledge some entries of a stream. Each may be carried out twice without harm."""


def ack_commands(ack: str, group: str, groups: int) -> Commands | None:
    """How a group acknowledges; None when there is nothing to do.

    Args:
        ack: `batch`, `each`, `none` or `delete`.
        group: the group's name.
        groups: how many there are on a stream: an entry is deleted when all of them have acknowledged it, which with
            more than one takes XACKDEL (Redis 8.2).
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


class _PendingAck:
    """Commands on one stream as bytes; how many of them have no reply yet, and how many were refused."""

    __slots__ = ("count", "data", "done", "failed", "key", "left")

    def __init__(self, key: bytes, words: list[Words], done: OnAcknowledged) -> None:
        self.key, self.data, self.done = key, b"".join([pack(each) for each in words]), done
        self.count = self.left = len(words)
        self.failed = 0


class AckSender:
    """Sends acknowledgements; each is sent again when the connection is lost, since twice is as good as once.

    Args:
        router: carries the acknowledgements of all consumers of a process.
        statistics: counts `failedAcknowledgements`: commands that the server refused or did not answer.
    """

    def __init__(self, router: Router, statistics: Counter[str]) -> None:
        self._router, self.statistics = router, statistics
        self._unanswered: dict[int, _PendingAck] = {}
        self._number = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def send(self, key: bytes, words: list[Words], done: OnAcknowledged) -> None:
        """Sends commands on the stream `key`; `done` is called when the server has carried out all of them."""
        self._number += 1
        self._unanswered[self._number] = _PendingAck(key, words, done)
        self._idle.clear()
        self._put(self._number)

    def _put(self, number: int) -> None:
        sent = self._unanswered.get(number)
        if sent is None:
            return
        try:
            channel: Channel = self._router.control_for(sent.key)
            if channel.room() > 0:
                channel.send_block(sent.data, sent.count, self._on_reply, number, 0)
            else:
                channel.when_room(lambda: self._put(number))
        except (ClosedError, NotSentError):  # the driver was closed; or nobody has the stream, for the moment
            self._put_later(number)

    def _put_later(self, number: int) -> None:
        if not self._router.is_closed:
            asyncio.get_running_loop().call_later(RETRY_DELAY_S, self._put, number)

    def _on_reply(
        self, number: int, _first: int, count: int, error: Exception | None, time_ns: int, _last: Any
    ) -> None:
        sent = self._unanswered.get(number)
        if sent is None:  # nobody waits for it any longer
            return
        sent.left -= count
        if error is not None and (isinstance(error, ConnectionLost) or self._router.learn(error)):
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


class ReadChannel(Protocol):
    """What reads go through: a channel, or one that is looked up for each read."""

    def submit(self, data: bytes, *, convert: Any = None, block_s: float = 0.0) -> Awaitable[Any]:
        """See `Channel.submit`."""
        ...

    async def ready(self) -> object:
        """See `Channel.ready`."""
        ...

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        ...


Receipt = list[tuple[bytes, list[bytes]]]
"""The stream and the entry ids of each part of a batch."""


class StreamConsumer:
    """A member of a group over some streams (`api.DriverConsumer`).

    Args:
        router: learns when a stream has moved.
        server: how messages name the server.
        channel: what reads go through: a connection of its own, if they block.
        acknowledger: sends the acknowledgements.
        commands: those of an acknowledgement; None to read with NOACK.
        keys: the streams.
        group: the group's name, the same on every stream.
        name: the consumer's name.
        count: entries per stream that one read may bring.
        block_ms: how long a read waits for the first of them; None not to wait.
        groups_again: a group that is gone is made again, from the beginning of its stream.
        reclaim_ms: what others of the group were given so long ago and have not acknowledged is taken over; 0: not.
        returns: what is pending for its name is read first: a consumer called so has ended without a word.
    """

    def __init__(
        self,
        router: Router,
        server: Endpoint,
        channel: ReadChannel,
        acknowledger: AckSender,
        commands: Commands | None,
        keys: Sequence[bytes],
        group: str,
        name: str,
        count: int,
        block_ms: int | None,
        *,
        groups_again: bool = False,
        reclaim_ms: int = 0,
        returns: bool = False,
    ) -> None:
        self._groups_again = groups_again
        self._router, self._server, self._channel = router, server, channel
        self._acknowledger, self._commands = acknowledger, commands
        self._keys, self._group = tuple(keys), group
        self._head: tuple[str | int, ...] = ("XREADGROUP", "GROUP", group, name, "COUNT")
        self._count, self._block_s = count, (block_ms or 0) / 1000
        self._size, self._pace, self._backoff = ReadSize(), EmptyReadPace(), RetryBudget(lambda _: True, AFTER_A_LOSS)
        self._asked, self._sent_at = count, 0.0
        self._prefetched: asyncio.Future[Batch | None] | None = None
        noack = ("NOACK",) if commands is None else ()
        new = (">" for _ in self._keys)
        block = () if block_ms is None else ("BLOCK", block_ms)
        self._tail: Words = (*block, *noack, "STREAMS", *self._keys, *new)
        self._read = pack((*self._head, count, *self._tail))
        self._returns = returns and commands is not None
        self._pending_after = dict.fromkeys(self._keys, b"0") if self._returns else None
        self._claim_head = ("XAUTOCLAIM", group, name, reclaim_ms)
        self._claim_every_s = max(LEAST_CLAIM_S, reclaim_ms / 4000) if reclaim_ms and commands is not None else math.inf
        self._claim_at_s = time.monotonic() + self._claim_every_s
        self._claiming: dict[bytes, bytes] = {}
        self._closing: asyncio.Future[None] | None = None
        self._last: dict[bytes, bytes] = {}
        self._statistics = acknowledger.statistics
        self._is_closed = False
        self._began_s = time.monotonic()

    def __repr__(self) -> str:
        return f"<StreamConsumer {self._group} on {len(self._keys)} streams, {self._channel}>"

    async def ready(self) -> None:
        """Connects."""
        await self._channel.ready()

    async def receive(self) -> Batch | None:
        """See `api.DriverConsumer.receive`."""
        try:
            if self._pending_after is not None:
                return await self._receive_pending(self._pending_after)
            if time.monotonic() >= self._claim_at_s and (claimed := await self._claim()) is not None:
                return claimed
            prefetched, self._prefetched = self._prefetched, None
            batch: Batch | None = await (prefetched or self._send_read())
        except ClosedError as error:
            raise DriverError("the consumer was closed") from error
        except ConnectionLost as error:
            if self._is_closed:  # and the read under way with it
                return None
            self._router.learn(error)
            # With NOACK nothing is pending: what was in a lost reply is lost.
            self._pending_after = None if self._commands is None else dict.fromkeys(self._keys, b"0")
            if isinstance(error, OutcomeUnknownError):
                self._statistics["lostReplies"] += 1
                if self._size.lost(self._asked, time.monotonic() - self._sent_at):
                    raise DriverError(
                        f"group {self._group} can't be read, the connection is lost each time: {TOO_LARGE}"
                    ) from error
            await self._backoff.allows(error)
            return None
        except Exception as error:
            if self._router.learn(error):  # the stream is elsewhere now; nothing was read
                await asyncio.sleep(RETRY_DELAY_S)
                return None
            if self._groups_again and "NOGROUP" in str(error):
                await self._make_groups()
                return None
            why = with_way_out(error, self._server)
            if str(error).startswith("NOGROUP"):
                read_s = time.monotonic() - self._began_s
                why = f"{error}: {await why_missing(self._router, self._keys, self._group, self._last, read_s)}"
            raise DriverError(f"group {self._group} can't be read: {why}") from error
        self._came()
        if batch is None and (pause_s := self._pace.pause_s(self._block_s, time.monotonic() - self._sent_at)):
            self._statistics["earlyReads"] += 1
            await asyncio.sleep(pause_s)
        if batch is not None and len(batch.payloads) >= self._asked:
            # There is more: the server gets it ready while this batch is worked on. Not below that, since a read that
            # already waits brings each message by itself, and being woken for one costs as much as forty in a batch.
            with contextlib.suppress(ClosedError):  # closed meanwhile: this batch is the last
                self._prefetched = self._send_read()
                self._prefetched.add_done_callback(
                    ignore_outcome
                )  # it may be closed before anybody asks for the next one
        return self._mark_redelivered(batch)

    async def _make_groups(self) -> None:
        """The server has come back without the streams, or without the groups: what is sent from now on is read."""
        self._pending_after = None
        for key in self._keys:
            try:
                await self._router.execute_idempotent(key, "XGROUP", "CREATE", key, self._group, "0", "MKSTREAM")
                self._statistics["groupsMade"] += 1
            except RedisError as error:
                if "BUSYGROUP" not in str(error):  # it is there, or the next read tells what is wrong
                    await asyncio.sleep(RETRY_DELAY_S)

    def _came(self) -> None:
        self._size.came()
        self._backoff.renew()

    def _send_read(self) -> asyncio.Future[Batch | None]:
        asked = self._size.of(self._count)
        if asked != self._asked:
            self._asked, self._read = asked, pack((*self._head, asked, *self._tail))
        self._sent_at = time.monotonic()
        return asyncio.ensure_future(self._channel.submit(self._read, convert=to_batch, block_s=self._block_s))

    async def _receive_pending(self, after: dict[bytes, bytes]) -> Batch | None:
        """What is pending for this consumer already, from where the last such read ended.

        Only what the lost reply held is handed over: the rest was before, and is acknowledged when the harness says so.
        """
        asked = self._asked = self._size.of(self._count)
        self._sent_at = time.monotonic()
        words: tuple[bytes | str | int, ...] = (*self._head, asked, "STREAMS", *after, *after.values())
        self._read = pack((*self._head, asked, *self._tail))
        reply: Any = await self._channel.submit(pack(words))
        self._came()
        claims = self._returns
        self._pending_after = {key: entries[-1][0] for key, entries in reply or () if entries} or None
        self._returns = claims and self._pending_after is not None
        if claims:  # of the one before, which has delivered them or not
            batch = to_batch([part for part in reply or () if part[1]])
            if batch is not None:
                batch.claimed = True
            return batch
        missed = []
        for key, entries in reply or ():
            last = parse_id(self._last.get(key, b"0-0"))
            known = [entry_id for entry_id, _ in entries if parse_id(entry_id) <= last]
            self._statistics["passedOver"] += len(known)
            if len(known) < len(entries):
                missed.append([key, entries[len(known) :]])  # ids rise
        return self._mark_redelivered(to_batch(missed))

    async def _claim(self) -> Batch | None:
        """Takes over what is idle, of one stream at a time; None when there is nothing more, and then it has time."""
        if not self._claiming:
            self._claiming = dict.fromkeys(self._keys, b"0-0")
        command, group, name, idle_ms = self._claim_head
        while self._claiming:
            key, cursor = next(iter(self._claiming.items()))
            asked = self._asked = self._size.of(self._count)
            self._sent_at = time.monotonic()
            words = (command, key, group, name, idle_ms, cursor, "COUNT", asked)
            reply: Any = await self._channel.submit(pack(words))
            self._came()
            if reply[0] == b"0-0":
                del self._claiming[key]
            else:
                self._claiming[key] = reply[0]
            entries = [entry for entry in reply[1] if entry is not None]  # 6.2 tells of deleted ones so
            if entries and (batch := to_batch([[key, entries]])) is not None:
                self._statistics["claimed"] += len(batch.payloads)
                batch.claimed = True
                return batch
        self._claim_at_s = time.monotonic() + self._claim_every_s
        return None

    def _mark_redelivered(self, batch: Batch | None) -> Batch | None:
        """Remembers the last id handed over of each stream, and marks entries up to that as not new (`Batch.again`)."""
        if batch is None:
            return None
        receipt: Any = batch.receipt
        at = 0
        for key, ids in receipt:
            if not ids:
                continue
            last = self._last.get(key)
            if last is None or is_after(ids[0], last):  # ids rise
                self._last[key] = ids[-1]
            else:
                # The group was set back, or the entry was claimed: it is not new, however it came.
                reached = parse_id(last)
                again = (at + n for n, each in enumerate(ids) if parse_id(each) <= reached)
                batch.again = [*batch.again, *(place for place in again if place < len(batch.payloads))]
                if parse_id(ids[-1]) > reached:
                    self._last[key] = ids[-1]
            at += len(ids)
        return batch

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """See `api.DriverConsumer.acknowledge`."""
        if self._commands is None:
            return
        receipt: Any = batch.receipt
        parts = [part for part in receipt if part[1]]
        part_done = done if len(parts) == 1 else _after_calls(len(parts), done)
        for key, ids in parts:
            self._acknowledger.send(key, self._commands(key, ids), part_done)

    def abandon(self) -> None:
        """See `api.DriverConsumer.abandon`; acknowledgements that have left have left."""
        self._prefetched, self._is_closed = None, True
        self._closing = asyncio.ensure_future(self._channel.aclose())

    async def aclose(self) -> None:
        """See `api.DriverConsumer.aclose`; the read under way is given up with its connection."""
        self._prefetched, self._is_closed = None, True
        if self._closing is None:
            await self._acknowledger.flush()
        await self._channel.aclose()


def to_batch(reply: Any) -> Batch | None:
    """The reply of XREADGROUP, just parsed, as a batch; None when it is empty.

    A pending entry that was deleted has no fields: it has no payload, and is acknowledged after the others.
    """
    arrival_ns = time.monotonic_ns()
    if not reply:
        return None
    payloads: list[bytes] = []
    receipt: Receipt = []
    gone: Receipt = []
    for key, entries in reply:
        try:
            payloads += [fields[1] for _, fields in entries]
        except (TypeError, IndexError):
            gone.append((key, [entry_id for entry_id, fields in entries if not fields]))
            entries = [entry for entry in entries if entry[1]]
            payloads += [fields[1] for _, fields in entries]
        receipt.append((key, [entry_id for entry_id, _ in entries]))
    return Batch(payloads, arrival_ns, receipt + gone)


def _after_calls(count: int, done: OnAcknowledged) -> OnAcknowledged:
    """A function that calls `done` in its call number `count`."""
    left = count

    def call(time_ns: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            done(time_ns)

    return call
