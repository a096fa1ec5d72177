"""The connections of one client: a channel for bulk sending, one for small commands, any number of blocking ones.

Each has its own connection because replies come in order: an acknowledgement must not wait behind a thousand XADDs,
and nothing may wait behind a blocking read. Rare commands go through a redis-py client. Knows no stream command.
`cluster.ClusterChannels` is the same for a cluster.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool

from ombdriver.messaging.address import check_client
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.channel_statistics import ConnectionStatistics
from ombdriver.messaging.connector import connector
from ombdriver.messaging.errors import ClosedError
from ombdriver.messaging.following import Backoff, Parking, repeat
from ombdriver.messaging.lifetime import Open, abandon
from ombdriver.messaging.replies import Codec
from ombdriver.messaging.sending import Sending
from ombdriver.messaging.slots import SlotMap
from ombdriver.messaging.succession import TROUBLE_S, Succession

GUARD_S = 5.0
"""How long past its BLOCK time a blocking read may stay without a reply before the peer is taken for gone."""


class Channels(Sending):
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
        follows: commands are to go by `send`, since their server may change: a cluster, or behind Sentinels.
        version: rises when keys may have moved to other channels; 0 for ever on one server.
        users: how many hold this object; whoever takes the last one away closes it.

    Raises:
        AioRedisMQValueError: if `client` is not of a kind that can be used.
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
        succession = Succession(pool, lambda: [*both, *blocking]) if follows else None
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
        self.follows = follows
        self.users = 0
        self.parking = Parking()
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
        """See `Channels`."""
        return 0

    def id_of(self, reply: bytes | None) -> Any:
        """The reply of XADD in the caller's shape. As a method it keeps this object alive until the reply is there."""
        return reply.decode() if reply is not None and self.codec.decodes else reply

    @property
    def slots(self) -> SlotMap | None:
        """Which primary of a cluster has which slots, as far as is known; None when this is no cluster."""
        return None

    # -- channels --------------------------------------------------------------------------------------------------

    async def ready_for(self, key: bytes | None = None) -> None:
        """Makes sure that it is known where keys are: after it `bulk_for` and `control_for` give channels at once.

        Raises:
            NotSentError: if no server of a cluster could be asked; its cause says why.
        """

    def bulk_for(self, _key: bytes) -> Channel:
        """The channel that XADDs to `key` go through, at this moment."""
        return self.bulk

    def bulk_after(self, key: bytes, _refusal: BaseException | None) -> tuple[Channel, bytes]:
        """The channel for commands on `key` that met `_refusal`, or nothing so far, and what has to go before them.

        That is a command of its own, with a reply of its own, or nothing.

        Raises:
            RedisError: as `bulk_for`.
        """
        return self.bulk_for(key), b""

    def control_for(self, _key: bytes) -> Channel:
        """The channel that small commands on `key` go through, at this moment."""
        return self.control

    def every_control(self) -> list[Channel]:
        """The control channel of each server that has keys."""
        return [self.control]

    def same_node(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """`keys` grouped by what one command may cover; the groups and the keys of each in the order given."""
        return [list(keys)]

    def place(self, _key: bytes) -> int:
        """A number that two keys share if one command may cover both."""
        return 0

    def control_beside(self, channel: Channel) -> Channel | None:
        """The control channel to the server that `channel` is connected to; None if there is none to be sure of."""
        same = not self.follows or (channel.address is not None and channel.address == self.control.address)
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
        await self.ready_for()
        ask = [partial(channel.execute, "PING") for channel in self.every_control()]
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
