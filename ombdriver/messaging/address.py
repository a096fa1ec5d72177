"""How to get to a server: a URL, or a redis-py client that exists, becomes a way to make connections of our own.

Knows how redis-py describes a connection (pool, connection class, arguments), and what must differ on ours. Opens
nothing itself, and never lets a password into a message.
"""

import inspect
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import StreamingCredentialProvider
from redis.exceptions import RedisError

from ombdriver.messaging.connector import CONNECT_TIMEOUT_S
from ombdriver.messaging.errors import AioRedisMQValueError
from ombdriver.messaging.seeds import CLUSTER, SENTINEL, WAY_OUT, Seeds, parse_seeds, scheme_of
from ombdriver.secrets import redact_url


def open_client(url: str, options: Mapping[str, Any]) -> Redis | RedisCluster:
    """A redis-py client for `url` that suits a queue; it connects on first use.

    redis-py's own defaults end an idle blocking read after 5 s and send commands again after a loss, which stores a
    message twice. Here: no socket time-out (keep-alive finds a dead peer), no retries, and callers wait for a free
    connection rather than fail.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and db; `redis+cluster://` or `rediss+cluster://`
            with seeds; `redis+sentinel://` or `rediss+sentinel://` with Sentinels and a master's name.
        options: keyword arguments as for `redis.asyncio.Redis.from_url`; they win over the defaults above.

    Raises:
        AioRedisMQValueError: if the URL can't be read, or an option is unknown or can't be.
    """
    settings: dict[str, Any] = {
        "protocol": 2,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        **options,
    }
    _check_url(url)
    try:
        if scheme_of(url) in CLUSTER:
            return _cluster_client(parse_seeds(url), settings)
        if scheme_of(url) in SENTINEL:
            return _sentinel_client(parse_seeds(url), settings)
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, **settings)
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing, but knows which arguments it takes
    except (TypeError, ValueError, AttributeError, RedisError) as error:
        raise AioRedisMQValueError(
            f"{redact_url(url)!r} can't be opened with the options {sorted(options)}: {_first_line(error, url)}; "
            "give what redis.asyncio.Redis.from_url takes"
        ) from None  # the cause might quote a part of the URL
    return Redis(connection_pool=pool)


def _cluster_client(seeds: Seeds, settings: dict[str, Any]) -> RedisCluster:
    known = {**settings, **parse_url(seeds.url)}
    known["ssl"] = known.pop("connection_class", None) is not None
    known.pop("db", None)
    known.pop("host", None)
    known.pop("port", None)
    client = RedisCluster(startup_nodes=[ClusterNode(*server) for server in seeds.servers], **known)
    node = client.startup_nodes[0]
    node.connection_class(**node.connection_kwargs)  # as above
    return client


def _sentinel_client(seeds: Seeds, settings: dict[str, Any]) -> Redis:
    known = {**settings, **parse_url(seeds.url)}
    known["ssl"] = known.pop("connection_class", None) is not None
    known.pop("host", None)
    known.pop("port", None)
    limit_s = known["socket_connect_timeout"]
    to_sentinels = {name: value for name, value in known.items() if name.startswith("ssl")} | {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        **seeds.sentinel_login,
    }
    assert seeds.master is not None
    sentinel = Sentinel(seeds.servers, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(seeds.master, **known)
    pool = client.connection_pool
    pool.connection_class(**pool.connection_kwargs)  # as above
    return client


def settings_of(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `url` and `options` say, in a form in which two ways to write the same server are equal.

    Raises:
        AioRedisMQValueError: if the URL can't be read.
    """
    _check_url(url)
    plain: dict[str, Any] = {"host": "localhost", "port": 6379, "db": 0, "decode_responses": True}
    if scheme_of(url) in (*CLUSTER, *SENTINEL):
        seeds = parse_seeds(url)
        told = {"servers": seeds.servers, "master": seeds.master, **seeds.sentinel_login_options()}
        return {**plain, **options, **parse_url(seeds.url), **told}
    return {**plain, **options, **parse_url(url)}


def check_client(client: Any) -> None:
    """Does nothing if `client` is a redis.asyncio client whose connections can be imitated.

    Raises:
        AioRedisMQValueError: if it is not, with what to give instead.
    """
    if isinstance(client, RedisCluster):
        connection_class, settings = client.connection_kwargs["connection_class"], client.connection_kwargs
    else:
        connection_class = getattr(getattr(client, "connection_pool", None), "connection_class", None)
        settings = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if connection_class is None:
        raise AioRedisMQValueError(
            f"redis_pool is a {type(client).__name__}; give a redis.asyncio.Redis client "
            "(also one from Sentinel.master_for) or a redis.asyncio.RedisCluster"
        )
    if not inspect.iscoroutinefunction(getattr(connection_class, "connect", None)):
        raise AioRedisMQValueError("redis_pool is a client of the blocking kind; give one of redis.asyncio")
    if isinstance(settings.get("credential_provider"), StreamingCredentialProvider):
        raise AioRedisMQValueError(
            "credentials that are renewed on an open connection are not supported; give a user and a password, "
            "or a credential provider that is asked on each connect"
        )
    if settings.get("encoding", "utf-8").lower() not in ("utf-8", "utf8"):
        raise AioRedisMQValueError("encoding is not utf-8; give decode_responses=False, and decode what you read")


def _check_url(url: str) -> None:
    if isinstance(url, str) and scheme_of(url) in (*CLUSTER, *SENTINEL):
        try:
            url = parse_seeds(url).url
        except ValueError as error:  # its text is ours, and quotes nothing
            raise AioRedisMQValueError(f"{_shown(url)} is no URL of servers: {error}; {WAY_OUT}") from None
    way_out = "give redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://… or unix://PATH[?db=DB], % for special signs"
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
        parse_url(url)
    except (ValueError, TypeError, AttributeError):
        raise AioRedisMQValueError(f"{_shown(url)} is no URL of a server; {way_out}") from None
    db = parts.path.strip("/")
    # redis-py takes database 0 when it can't read the number: messages would go to another place than was asked for.
    if not port_is_good or (parts.scheme != "unix" and db and not db.isdecimal()):
        raise AioRedisMQValueError(f"{_shown(url)}: the port or the database is no number; {way_out}")


def _shown(url: Any) -> str:
    if not isinstance(url, str):
        return f"a {type(url).__name__}"
    return repr(redact_url(url)) if "://" in url else "a text without ://"  # it may still hold a password


def _first_line(error: Exception, url: str) -> str:
    """The error's text, unless it quotes a part of the URL that may be secret."""
    text = str(error).partition("\n")[0]
    secret = urlsplit(url).password
    return type(error).__name__ if secret and secret in text else text
