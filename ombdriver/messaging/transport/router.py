"""All connections of one client within one event loop, and the commands that find their server over them.

One router for a plain server, a master behind Sentinels and a cluster: the `Routes` say which channels a key has. A
channel of its own for bulk sending, for small commands and for each reader, because replies come in order: an
acknowledgement must not wait behind a thousand XADDs, and nothing may wait behind a blocking read. Knows no stream
command.
"""

import asyncio
import weakref
from collections.abc import Iterable
from functools import partial
from threading import get_ident
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool

from ombdriver.messaging.errors import ClosedError, NotSentError
from ombdriver.messaging.transport.background import Health
from ombdriver.messaging.transport.channel import Channel, ChannelStatistics, ConnectionStatistics
from ombdriver.messaging.transport.cluster import ClusterRoutes
from ombdriver.messaging.transport.connection import REPLY_DEADLINE_S, Argument, Convert, pack
from ombdriver.messaging.transport.factory import check_client
from ombdriver.messaging.transport.per_loop import HomeLoop
from ombdriver.messaging.transport.resources import Resources, Routes, abandon
from ombdriver.messaging.transport.retry import (
    Backoff,
    RetryBudget,
    RetryingCommand,
    RetryQueue,
    is_loss,
    retry_on_loss,
)
from ombdriver.messaging.transport.standalone import StandaloneRoutes
from ombdriver.messaging.transport.topology import SlotMap

_ASKING = pack(("ASKING",))
_SHAPES: Any = Redis(protocol=2).response_callbacks
"""What redis-py makes of replies, by command."""


def open_router(
    client: Any,
    *,
    owns_client: bool,
    max_in_flight: int = 10_000,
    backoff: Backoff | None = None,
    deadline_s: float | None = None,
) -> "Router":
    """The connections of a redis.asyncio client.

    Args:
        client: its settings are those of all connections.
        owns_client: close `client` too.
        max_in_flight: commands that each channel may have without a reply.
        backoff: the policy for reconnecting; None for the usual one.
        deadline_s: a connection that owes replies and over which nothing comes for so long is given up; None for the
            `socket_timeout` of a client that is owned, or else `REPLY_DEADLINE_S`, which is the most for readers: what
            they wait for may come from another server by then, and no read is lost with its connection.

    Raises:
        MessagingValueError: if `client` is not of a kind that can be used.
    """
    check_client(client)
    is_cluster = isinstance(client, RedisCluster)
    settings = client.connection_kwargs if is_cluster else client.connection_pool.connection_kwargs
    if deadline_s is None:
        deadline_s = (settings.get("socket_timeout") if owns_client else None) or REPLY_DEADLINE_S
    if is_cluster:
        routes: Routes = ClusterRoutes(client, max_in_flight, backoff, deadline_s)
        pools = [client]
    else:
        pool: Any = client.connection_pool
        routes = StandaloneRoutes(client, max_in_flight, backoff, deadline_s)
        sentinels = pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else []
        pools = [pool, *(sentinel.connection_pool for sentinel in sentinels)]
    return Router(client, routes, pools if owns_client else [], decodes=bool(settings.get("decode_responses")))


class Router:
    """The connections of one client; each channel connects on first use.

    Args:
        client: the redis-py client, for commands of the caller's own.
        routes: say which channels a key has.
        pools: redis-py's pools and clients that are closed with this.
        decodes: replies are to be given as str; the caller decides how.

    Attributes:
        redis: as given.
        decodes: as given.
        may_move: commands are to go by `send`, since their server may change: a cluster, or behind Sentinels.
        retry_queue: where commands wait until they are sent again.
        health: what works in the background over these connections, and fails.
        users: how many hold this object; whoever takes the last one away closes it.
    """

    def __init__(self, client: Any, routes: Routes, pools: Iterable[Any], *, decodes: bool) -> None:
        self.redis = client
        self.decodes = decodes
        self.may_move = routes.may_move
        self.retry_queue = RetryQueue()
        self.health = Health()
        self.users = 0
        self._routes = routes
        self._early: list[RetryingCommand] = []
        self._discovering: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._home = HomeLoop()
        self._resources = Resources(self._home.loop, routes, tuple(pools))
        self._finalizer = weakref.finalize(self, abandon, self._resources)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<Router {'closed' if self.is_closed else self._routes} blocking={len(self._routes.blocking)}>"

    # -- where keys are --------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Rises when keys may have moved to other channels; 0 for ever on one server."""
        return self._routes.version

    @property
    def slots(self) -> SlotMap | None:
        """Which primary of a cluster has which slots, as far as is known; None when this is no cluster."""
        return self._routes.slots

    async def discover(self) -> None:
        """Makes sure that it is known where keys are: after it `bulk_for` and `control_for` give channels at once.

        Raises:
            ClosedError: if this was closed.
            NotSentError: if no server of a cluster could be asked; its cause says why.
        """
        self._check_open()
        await self._routes.discover()

    def bulk_for(self, key: bytes) -> Channel:
        """The channel that XADDs to `key` go through, at this moment.

        Raises:
            ClosedError: if this was closed.
            NotSentError: in a cluster, before `discover`, or if nobody has the key's slot.
        """
        self._check_open()
        return self._routes.node_of(key).bulk

    def control_for(self, key: bytes) -> Channel:
        """The channel that small commands on `key` go through, at this moment; raises as `bulk_for`."""
        self._check_open()
        return self._routes.node_of(key).control

    def bulk_route(self, key: bytes, error: BaseException | None) -> tuple[Channel, bytes]:
        """The channel for commands on `key` that met `error`, or nothing so far, and what has to go before them.

        That is ASKING, with a reply of its own, or nothing; it holds for a transaction too. Raises as `bulk_for`.
        """
        self._check_open()
        node, asks = self._routes.node_after(key, error)
        return node.bulk, _ASKING if asks else b""

    def controls(self) -> list[Channel]:
        """The control channel of each server that has keys; raises ClosedError if this was closed."""
        self._check_open()
        return [node.control for node in self._routes.nodes()]

    def control_of(self, channel: Channel) -> Channel | None:
        """The control channel to the server that `channel` is connected to; None if there is none to be sure of."""
        return self._routes.control_of(channel)

    def slot(self, key: bytes) -> int:
        """A number that two keys share if one command may cover both."""
        return self._routes.slot(key)

    def by_slot(self, keys: Iterable[bytes]) -> list[list[bytes]]:
        """`keys` grouped by what one command may cover; the groups and the keys of each in the order given."""
        groups: dict[int, list[bytes]] = {}
        for key in keys:
            groups.setdefault(self._routes.slot(key), []).append(key)
        return list(groups.values())

    def blocking(self, key: bytes | None = None) -> Channel:
        """A new channel for one reader, whose BLOCK holds up nobody else; to where `key` is, each time it connects.

        Raises:
            ClosedError: if this was closed.
        """
        self._check_open()
        return self._routes.new_blocking(key)

    # -- commands --------------------------------------------------------------------------------------------------

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
            OutcomeUnknownError: when awaited, if the connection was lost after it had left, and it is not idempotent.
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
        """Sends `command` once (`retry.Dispatcher`); the first one of all looks for the servers, and fails fast."""
        self._check_open()
        if self._early or not self._routes.is_discovered:  # who comes later overtakes nobody
            self._early.append(command)
            if len(self._early) == 1:
                self._discovering = asyncio.get_running_loop().create_task(self._send_early())
            return
        if command.last_error is None:
            node = self._routes.node_of(command.key)
        else:
            node, asks = self._routes.node_after(command.key, command.last_error)
            if asks:
                asking = command.get_loop().create_future()
                asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # the command's error tells
                (node.bulk if command.bulk else node.control).submit(_ASKING, future=asking)
        channel = node.bulk if command.bulk else node.control
        channel.submit(command.data, convert=command.convert, future=command)

    async def _send_early(self) -> None:
        error: Exception | None = None
        try:
            await self._routes.discover()
        except asyncio.CancelledError:
            error = ClosedError("the client was closed before the command was sent")
        except Exception as fault:
            error = fault
        commands, self._early = self._early, []
        for command in commands:
            if error is not None:
                command.fail(error)
            else:
                command.dispatch()

    def learn(self, error: BaseException) -> bool:
        """Learns from an error that a command met, and tells whether it was surely not carried out.

        Such a command may be sent again. In a cluster this starts a refresh of what is known of its servers.
        """
        return self._routes.learn(error)

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """Whether a command that met `error` is to be sent again (`retry.Dispatcher`); learns from it as `learn`."""
        return self.learn(error) or (idempotent and is_loss(error) and self._routes.was_reached)

    def read_budget(self, *, idempotent: bool = False) -> RetryBudget:
        """For a reader that sends its command anew by itself; one server was tried for long when it was not sent."""

        def may_retry(error: BaseException) -> bool:
            is_over = isinstance(error, NotSentError) and not (idempotent or self.may_move)
            return not is_over and self.may_retry(error, idempotent)

        return RetryBudget(may_retry)

    async def execute_idempotent(self, key: bytes, *words: Argument) -> Any:
        """A small command on `key` that may be carried out twice: repeated when the connection is lost."""
        return await self.send(key, pack(words), bulk=False, idempotent=True)

    async def execute(self, key: bytes, name: str, *words: Argument, once: bool = False, **options: Any) -> Any:
        """A rare command, in redis-py's shape for it, with bytes. Repeated after a lost connection unless `once`."""
        reply = await self.send(key, pack((*name.split(), *words)), bulk=False, idempotent=not once)
        shape = _SHAPES.get(name)
        return reply if shape is None else shape(reply, **options)

    async def ping(self) -> bool:
        """Whether every server answers PING.

        Raises:
            redis.exceptions.RedisError: if one does not answer, with the reason.
        """
        await self.discover()
        pings = [partial(channel.execute, "PING") for channel in self.controls()]
        answers = await asyncio.gather(*(retry_on_loss(ping) for ping in pings))
        return all(answer == b"PONG" for answer in answers)

    def decode_id(self, reply: bytes | None) -> Any:
        """The reply of XADD in the caller's shape. As a method it keeps this object alive until the reply is there."""
        return reply.decode() if reply is not None and self.decodes else reply

    # -- life ------------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closing is not None

    def _check_open(self) -> None:
        if self._closing is not None:
            raise ClosedError("the client was closed; make a new one")
        if get_ident() != self._home.thread:
            self._home.check(self)

    def statistics(self) -> ConnectionStatistics:
        """The figures of this moment."""
        routes, together = self._routes, ChannelStatistics.together
        nodes, leaving, blocking = routes.used_nodes(), routes.leaving, tuple(routes.blocking)
        bulk, control, reading = routes.tallies
        return ConnectionStatistics(
            bulk=together((node.bulk for node in nodes), bulk, [node.bulk for node in leaving]),
            control=together((node.control for node in nodes), control, [node.control for node in leaving]),
            blocking=tuple(channel.statistics() for channel in blocking),
            reading=together(blocking, reading),
        )

    async def aclose(self) -> None:
        """Closes every connection, after the replies of what was sent (5 s at most). Blocking reads end with an error.

        A second call waits for the first one.
        """
        if self._closing is None or self._closing.cancelled():  # cancelled: with the other tasks of a loop that ends
            self._finalizer.detach()
            self._closing = asyncio.ensure_future(self._resources.close())
        await asyncio.shield(self._closing)
