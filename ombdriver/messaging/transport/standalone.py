"""The connections of one client: a channel for bulk sending, one for small commands, any number of blocking ones.

Each has its own connection because replies come in order: an acknowledgement must not wait behind a thousand XADDs,
and nothing may wait behind a blocking read. Rare commands go through a redis-py client. Knows no stream command.
`cluster.ClusterRouter` is the same for a cluster.

Commands that find their server, by whatever connections there are: sent, and again as long as that does no harm.

Knows neither slots nor how a connection is made; `connection` and `cluster` say which channel a key has.

What is open, and that it gets closed: by its holder, or when the last holder is gone without closing.

Knows channels and when a loop may still close them; no server and no command.
"""

import asyncio
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.client import NEVER_DECODE

from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.transport.channel import Channel, ConnectionStatistics
from ombdriver.messaging.transport.connection import Argument, Convert, pack
from ombdriver.messaging.transport.factory import check_client, connector
from ombdriver.messaging.transport.replies import Codec
from ombdriver.messaging.transport.retry import (
    Backoff,
    RetryBudget,
    RetryingCommand,
    RetryQueue,
    is_loss,
    repeat,
    was_not_carried_out,
)
from ombdriver.messaging.transport.sentinel import TROUBLE_S, SentinelMonitor
from ombdriver.messaging.transport.topology import SlotMap


class Sending(ABC):
    """The part of `connection.Router` that sends commands (`following.Carrier`).

    Attributes:
        redis: the redis-py client, for rare commands.
        may_move: commands are to go by `send`, since their server may change: a cluster, or behind Sentinels.
        parking: where commands wait until they are sent again.
    """

    redis: Any
    may_move: bool
    parking: RetryQueue
    control: Channel
    _shapes: Any

    @abstractmethod
    def bulk_for(self, key: bytes) -> Channel:
        """The channel that XADDs to `key` go through, at this moment."""

    @abstractmethod
    def control_for(self, key: bytes) -> Channel:
        """The channel that small commands on `key` go through, at this moment."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raises ClosedError if this was closed."""

    @abstractmethod
    def _is_met(self) -> bool:
        """Whether there was ever a connection: the first one fails fast, later ones are worth waiting for."""

    def send(
        self,
        key: bytes,
        data: bytes,
        *,
        convert: Convert | None = None,
        bulk: bool = True,
        idempotent: bool = False,
        after: Exception | None = None,
    ) -> "asyncio.Future[Any]":
        """Sends one packed command to the server of `key`, and again as long as it was surely not carried out.

        Order is kept while nothing is refused; a command that had to be sent again may be carried out later than one
        that came after it.

        Args:
            key: the stream, or what else tells the server.
            data: the command.
            convert: makes the caller's shape of the reply.
            bulk: over the bulk channel; over the control channel otherwise.
            idempotent: it may be carried out twice, so it is sent again after a lost connection too.
            after: the error that it met when it was sent before, as in a block.

        Raises:
            ClosedError: at once, if this was closed.
            NotSentError: when awaited, if it could not be sent for 30 s.
            OutcomeUnknownError: when awaited, if the connection was lost after it had left, without `idempotent`.
            redis.exceptions.RedisError: when awaited, the server's error reply.
        """
        self._check_open()
        command = RetryingCommand(self, key, data, convert=convert, bulk=bulk, idempotent=idempotent)
        if after is not None:
            command.set_exception(after)
        else:
            command.dispatch()
        return command

    def dispatch(self, command: RetryingCommand) -> None:
        """Sends `command` once; see `following.Carrier`."""
        channel = self.bulk_for(command.key) if command.bulk else self.control_for(command.key)
        channel.submit(command.data, convert=command.convert, future=command)

    def learn(self, error: BaseException) -> bool:
        """Learns from an error that a command met, and tells whether it was surely not carried out.

        Such a command may be sent again. In a cluster this starts a refresh of what is known of its servers.
        """
        return was_not_carried_out(error) and (self._is_met() or not isinstance(error, NotSentError))

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """Whether a command that met `error` is to be sent again; learns from the error as `learn` does."""
        return self.learn(error) or (idempotent and is_loss(error) and self._is_met())

    def retry_budget(self, *, idempotent: bool = False) -> RetryBudget:
        """For a reader that sends its command anew by itself; on a plain server errors go to the caller."""
        if not self.may_move:
            return RetryBudget(lambda _, __: False)
        return RetryBudget(self.may_retry, idempotent=idempotent)

    async def execute_idempotent(self, key: bytes, *words: Argument) -> Any:
        """A small command on `key` that may be carried out twice: repeated when the connection is lost."""
        if self.may_move:
            return await self.send(key, pack(words), bulk=False, idempotent=True)
        return await repeat(lambda: self.control.execute(*words))

    async def ask(self, key: bytes, name: str, *words: Argument, once: bool = False, **options: Any) -> Any:
        """A rare command, in redis-py's shape for it, with bytes. Repeated after a lost connection unless `once`."""
        if self.may_move:
            data = pack((*name.split(), *words))
            reply = await self.send(key, data, bulk=False, idempotent=not once)
            shape = self._shapes.get(name)
            return reply if shape is None else shape(reply, **options)

        async def ask() -> Any:
            return await self.redis.execute_command(name, *words, **{NEVER_DECODE: True}, **options)

        return await (ask() if once else repeat(ask))


CLOSE_WAIT_S = 5.0
"""How long closing waits for the replies of what was already sent."""


@dataclass(frozen=True, eq=False)
class Open:
    """What there is to close, without the object that it belongs to: it may be gone already.

    Attributes:
        loop: the loop that all of it belongs to.
        lasting: gives the channels whose replies are waited for.
        blocking: the channels that are cut short.
        pools: redis-py's pools, to be closed too.
        first: ends what works in the background, before all else.
    """

    loop: asyncio.AbstractEventLoop
    lasting: Callable[[], Iterable[Channel]]
    blocking: "weakref.WeakSet[Channel]"
    pools: Collection[Any] = ()
    first: Callable[[], Awaitable[None]] | None = None

    def is_connected(self) -> bool:
        """Whether any connection is open."""
        if any(channel.statistics().connected for channel in (*self.lasting(), *self.blocking)):
            return True
        return any(
            getattr(pool, "_available_connections", None) or getattr(pool, "_in_use_connections", None)
            for pool in self.pools
        )

    async def close(self) -> None:
        """Closes all of it; what one part raises does not keep the others open."""
        if self.first is not None:
            await self.first()
        steps = [channel.aclose() for channel in list(self.blocking)]
        steps += [channel.aclose(wait_s=CLOSE_WAIT_S) for channel in self.lasting()]
        results = await asyncio.gather(*steps, return_exceptions=True)
        results += await asyncio.gather(*(pool.aclose() for pool in self.pools), return_exceptions=True)
        _abandoned.pop(self, None)
        for result in results:
            if isinstance(result, BaseException):
                raise result


_abandoned: dict[Open, asyncio.Task[None] | None] = {}


def abandon(parts: Open) -> None:
    """The last holder is gone without closing: no connection may stay open for the rest of the loop's life."""
    if parts.loop.is_closed() or not parts.is_connected():
        return
    _abandoned[parts] = None

    def close() -> None:
        if parts in _abandoned:
            _abandoned[parts] = parts.loop.create_task(parts.close())

    parts.loop.call_soon_threadsafe(close)
    warnings.warn("a client was dropped without aclose(); its connections are being closed", ResourceWarning, 2)


async def close_abandoned() -> None:
    """Closes what clients of this loop left open that were dropped. A task for it may have been cancelled before."""
    loop = asyncio.get_running_loop()
    for parts in list(_abandoned):
        if parts.loop is loop:
            await parts.close()
        elif parts.loop.is_closed():
            _abandoned.pop(parts, None)


BLOCK_GRACE_S = 5.0
"""How long past its BLOCK time a blocking read may stay without a reply before the peer is taken for gone."""


class Router(Sending):
    """All connections of one client, within one event loop. Each channel connects on first use.

    Args:
        client: a redis.asyncio client; its settings are those of all connections.
        owns_client: close `client` too.
        max_in_flight: commands that each channel may have without a reply.
        backoff: the policy for reconnecting; None for the usual one.

    Attributes:
        bulk: for XADD; `bulk_for` knows a cluster too.
        control: for XACK and other small commands; `control_for` knows a cluster too.
        redis: the redis-py client, for rare commands.
        codec: gives str or bytes, as the client's `decode_responses` says.
        may_move: commands are to go by `send`, since their server may change: a cluster, or behind Sentinels.
        version: rises when keys may have moved to other channels; 0 for ever on one server.
        users: how many hold this object; whoever takes the last one away closes it.

    Raises:
        MessagingValueError: if `client` is not of a kind that can be used.
    """

    bulk: Channel
    control: Channel

    def __init__(
        self, client: Any, *, owns_client: bool, max_in_flight: int = 10_000, backoff: Backoff | None = None
    ) -> None:
        check_client(client)
        pool = client.connection_pool
        self._connect = connector(client)
        pools = [pool] if owns_client else []
        sentinel = isinstance(pool, SentinelConnectionPool)
        if sentinel and owns_client:
            pools += [client.connection_pool for client in pool.sentinel_manager.sentinels]
        follows = sentinel and pool.is_master
        blocking: weakref.WeakSet[Channel] = weakref.WeakSet()
        succession = SentinelMonitor(pool, lambda: [*both, *blocking]) if follows else None
        if succession:
            self._connect = succession.connecting(self._connect)
        trouble: dict[str, Any] = {"on_trouble": succession.doubt, "trouble_s": TROUBLE_S} if succession else {}
        self.bulk, self.control = both = tuple(
            Channel(self._connect, max_in_flight=max_in_flight, backoff=backoff, **trouble) for _ in range(2)
        )
        first = succession.aclose if succession else None
        self._begin(
            client,
            lambda: both,
            max_in_flight,
            backoff,
            follows=follows,
            pools=pools,
            blocking=blocking,
            first=first,
        )

    def _begin(
        self,
        client: Any,
        lasting: Callable[[], Iterable[Channel]],
        max_in_flight: int,
        backoff: Backoff | None,
        *,
        follows: bool,
        decode: bool | None = None,
        pools: Sequence[Any] = (),
        blocking: "weakref.WeakSet[Channel] | None" = None,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.redis = client
        if decode is None:
            decode = bool(client.connection_pool.connection_kwargs.get("decode_responses"))
        self.codec = Codec(decode)
        self.may_move = follows
        self.users = 0
        self.parking = RetryQueue()
        self._max_in_flight, self._backoff = max_in_flight, backoff
        self._shapes: Any = Redis(protocol=2).response_callbacks if follows else {}
        self._blocking: weakref.WeakSet[Channel] = weakref.WeakSet() if blocking is None else blocking
        self._closing: asyncio.Task[None] | None = None
        self._open = Open(asyncio.get_running_loop(), lasting, self._blocking, pools, first)
        self._finalizer = weakref.finalize(self, abandon, self._open)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else f"bulk={self.bulk!r} control={self.control!r}"
        return f"<Channels {state} blocking={len(self._blocking)}>"

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closing is not None

    @property
    def version(self) -> int:
        """See `Router`."""
        return 0

    def id_of(self, reply: bytes | None) -> Any:
        """The reply of XADD in the caller's shape. As a method it keeps this object alive until the reply is there."""
        return reply.decode() if reply is not None and self.codec.decodes else reply

    @property
    def slots(self) -> SlotMap | None:
        """Which primary of a cluster has which slots, as far as is known; None when this is no cluster."""
        return None

    # -- channels --------------------------------------------------------------------------------------------------

    async def discover(self) -> None:
        """Makes sure that it is known where keys are: after it `bulk_for` and `control_for` give channels at once.

        Raises:
            NotSentError: if no server of a cluster could be asked; its cause says why.
        """

    def bulk_for(self, _key: bytes) -> Channel:
        """The channel that XADDs to `key` go through, at this moment."""
        return self.bulk

    def bulk_route(self, key: bytes, _refusal: BaseException | None) -> tuple[Channel, bytes]:
        """The channel for commands on `key` that met `_refusal`, or nothing so far, and what has to go before them.

        That is a command of its own, with a reply of its own, or nothing.

        Raises:
            RedisError: as `bulk_for`.
        """
        return self.bulk_for(key), b""

    def control_for(self, _key: bytes) -> Channel:
        """The channel that small commands on `key` go through, at this moment."""
        return self.control

    def controls(self) -> list[Channel]:
        """The control channel of each server that has keys."""
        return [self.control]

    def by_slot(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """`keys` grouped by what one command may cover; the groups and the keys of each in the order given."""
        return [list(keys)]

    def place(self, _key: bytes) -> int:
        """A number that two keys share if one command may cover both."""
        return 0

    def control_of(self, channel: Channel) -> Channel | None:
        """The control channel to the server that `channel` is connected to; None if there is none to be sure of."""
        same = not self.may_move or (channel.address is not None and channel.address == self.control.address)
        return self.control if same else None

    def blocking(self, _key: bytes | None = None) -> Channel:
        """A new channel for one reader, whose BLOCK holds up nobody else; to where `key` is, each time it connects.

        Raises:
            ClosedError: if this was closed.
        """
        self._check_open()
        channel = Channel(self._connect, max_in_flight=self._max_in_flight, stall_s=None, backoff=self._backoff)
        self._blocking.add(channel)
        return channel

    def _check_open(self) -> None:
        if self.is_closed:
            raise ClosedError("the client was closed; make a new one")

    # -- commands that find their server ---------------------------------------------------------------------------

    def _is_met(self) -> bool:
        """See `Sending`."""
        return any(channel.has_connected for channel in (self.bulk, self.control, *self._blocking))

    async def ping(self) -> bool:
        """Whether every server answers PING.

        Raises:
            redis.exceptions.RedisError: if one does not answer, with the reason.
        """
        await self.discover()
        ask = [partial(channel.execute, "PING") for channel in self.controls()]
        answers = await asyncio.gather(*(repeat(each) for each in ask))
        return all(answer == b"PONG" for answer in answers)

    # -- life ------------------------------------------------------------------------------------------------------

    def statistics(self) -> ConnectionStatistics:
        """The figures of this moment."""
        return ConnectionStatistics(
            bulk=self.bulk.statistics(),
            control=self.control.statistics(),
            blocking=tuple(channel.statistics() for channel in self._blocking),
        )

    async def aclose(self) -> None:
        """Closes every connection, after the replies of what was sent (5 s at most). Blocking reads end with an error.

        A second call waits for the first one.
        """
        if self._closing is None or self._closing.cancelled():  # cancelled: with the other tasks of a loop that ends
            self._finalizer.detach()
            self._closing = asyncio.ensure_future(self._open.close())
        await asyncio.shield(self._closing)
