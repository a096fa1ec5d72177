"""Connections of our own, made like those of a redis-py client: its settings, and what must differ on ours."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

CONNECT_TIMEOUT_S = 5.0
"""For each step of connecting (the socket, the handshake), where the caller gave no `socket_connect_timeout`."""

# What a pool puts into its connections' arguments for its own book-keeping. Ours are not in its books.
_OF_THE_POOL = (
    "event_dispatcher",
    "himport_registry",
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "maintenance_notification_hash",
    "maintenance_state",
    "oss_cluster_maint_notifications_handler",
    "parser_class",
)


def connector(client: Any) -> Callable[[], Awaitable[AbstractConnection]]:
    """Makes new connections like those of `client`'s pool, never one of its own: the pool may want it back.

    Protocol 2, no retries, no health checks, no socket time-out: who uses the connection has a policy of its own.
    """
    pool = client.connection_pool
    is_master = isinstance(pool, SentinelConnectionPool) and pool.is_master

    async def connect() -> AbstractConnection:
        return await _connect(pool.connection_class, pool.connection_kwargs, check=_is_master if is_master else None)

    return connect


def cluster_connector(client: RedisCluster) -> Callable[[str, int], Awaitable[AbstractConnection]]:
    """As `connector`, to a given host and port of a cluster, with the settings of `client`."""
    node = client.startup_nodes[0]
    settings = dict(node.connection_kwargs)

    async def connect(host: str, port: int) -> AbstractConnection:
        return await _connect(node.connection_class, settings | {"host": host, "port": port})

    return connect


async def _connect(
    connection_class: Any,
    settings: Mapping[str, Any],
    check: Callable[[AbstractConnection], Awaitable[None]] | None = None,
) -> AbstractConnection:
    arguments = {key: value for key, value in settings.items() if key not in _OF_THE_POOL}
    limit_s = arguments.get("socket_connect_timeout") or CONNECT_TIMEOUT_S
    arguments |= {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "retry_on_timeout": False,
        "health_check_interval": 0,
        "socket_timeout": None,
        "socket_connect_timeout": limit_s,
        "decode_responses": False,
    }
    connection: AbstractConnection = connection_class(**arguments)
    try:
        async with asyncio.timeout(2 * limit_s):  # redis-py bounds the socket's part alone
            await connection.connect()  # type: ignore[no-untyped-call]
            if check is not None:
                await check(connection)
    except BaseException as error:
        await connection.disconnect(nowait=True)
        if isinstance(error, TimeoutError):
            raise RedisConnectionError(f"no answer to the handshake within {2 * limit_s:g} s") from error
        raise
    return connection


async def _is_master(connection: AbstractConnection) -> None:
    """A Sentinel that has not heard of a failover yet still names the old master, which may be a replica by now.

    Raises:
        redis.exceptions.ConnectionError: if the server is no master.
    """
    with contextlib.suppress(ResponseError):  # not allowed to ask: then its first READONLY tells
        await connection.send_command("ROLE")
        role = await connection.read_response()
        if bytes(role[0]) != b"master":
            raise RedisConnectionError("the server that the Sentinels name is no master (yet)")
