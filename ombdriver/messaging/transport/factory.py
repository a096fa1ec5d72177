"""How to reach a server: a URL becomes a redis-py client, and a redis-py client a way to make connections of our own.

Knows how URLs name several servers, how redis-py describes a connection (pool, connection class, arguments), and what
must differ on ours. Connects to nothing before it is asked to, and never lets a password into a message.
"""

import asyncio
import contextlib
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.credentials import StreamingCredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from ombdriver.messaging.errors import MessagingValueError, unknown_option
from ombdriver.messaging.transport.connection import note_refusals, reached_by
from ombdriver.messaging.transport.retry import is_unreached
from ombdriver.secrets import ambiguous_login, redact_url

CONNECT_TIMEOUT_S = 5.0
"""For each step of connecting (the socket, the handshake), where the caller gave no `socket_connect_timeout`."""

CLUSTER = ("redis+cluster", "rediss+cluster")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
WAY_OUT = (
    "give redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT or "
    "redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER[/DB], rediss+… with TLS, % for special signs"
)

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

# -- clients -------------------------------------------------------------------------------------------------------


def open_client(url: str, options: Mapping[str, Any]) -> Redis | RedisCluster:
    """A redis-py client for `url` that suits a queue; it connects on first use.

    redis-py's own defaults end an idle blocking read after 5 s and send commands again after a loss, which stores a
    message twice. Here: no socket time-out (keep-alive finds a dead peer), no retries, and callers wait for a free
    connection rather than fail.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and db; `redis+cluster://` or `rediss+cluster://`
            with seeds; `redis+sentinel://` or `rediss+sentinel://` with Sentinels and a master's name.
        options: keyword arguments as for `redis.asyncio.Redis.from_url`; they win over the defaults above. Also
            `address_remap`, as of redis-py's cluster: a function from a (host, port) that servers tell, or that the URL
            names, to the one by which that server is reached, as through a proxy. The certificate of the one server
            of a URL has to be for the name that stands there.

    Raises:
        MessagingValueError: if the URL can't be read, or an option is unknown or can't be.
    """
    settings: dict[str, Any] = {
        "protocol": 2,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        **options,
    }
    check_url(url)
    try:
        if scheme_of(url) in CLUSTER:
            return _cluster_client(parse_servers(url), settings)
        if scheme_of(url) in SENTINEL:
            return _sentinel_client(parse_servers(url), settings)
        remap = settings.pop("address_remap", None)
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, **settings)
        if remap is not None:
            pool.connection_class = reached_by(pool.connection_class, remap)
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing, but knows which arguments it takes
    except (TypeError, ValueError, AttributeError, RedisError) as error:
        if (unknown := _UNKNOWN.search(str(error))) is not None:
            of = "a client" if unknown[1] in options else f"{redact_url(url)!r}: a URL"
            if of == "a client" or f"{unknown[1]}=" in redact_url(url):  # else a part of a password, perhaps
                raise unknown_option(unknown[1], _known_options(), of, WAY_OUT_OF_OPTIONS) from None
        given = f" with the options {', '.join(sorted(options))}" if options else ""
        raise MessagingValueError(
            f"{redact_url(url)!r} can't be opened{given}: {_first_line(error, url)}; {WAY_OUT_OF_OPTIONS}"
        ) from None  # the cause might quote a part of the URL
    return Redis(connection_pool=pool)


WAY_OUT_OF_OPTIONS = "give what redis.asyncio.Redis.from_url takes"
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


def _known_options() -> set[str]:
    """The names of the options that redis-py takes for a connection, as far as signatures tell."""
    kinds = (Redis, BlockingConnectionPool, *SSLConnection.__mro__)
    found = {name for kind in kinds for name in inspect.signature(kind).parameters}
    return found - {"self", "args", "kwargs", "connection_kwargs", "connection_pool", *_OF_THE_POOL}


def _cluster_client(servers: "ServersUrl", settings: dict[str, Any]) -> RedisCluster:
    known = _for_any_server(servers, settings)
    known.pop("db", None)
    client = RedisCluster(startup_nodes=[ClusterNode(*server) for server in servers.servers], **known)
    node = client.startup_nodes[0]
    node.connection_class(**node.connection_kwargs)  # as above
    return client


def _sentinel_client(servers: "ServersUrl", settings: dict[str, Any]) -> Redis:
    known = _for_any_server(servers, settings)
    limit_s = known["socket_connect_timeout"]
    to_sentinels = {name: value for name, value in known.items() if name.startswith("ssl")} | {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        **servers.sentinel_login,
    }
    assert servers.master is not None
    sentinel = _Sentinel(known.pop("address_remap", None), servers.servers, to_sentinels)
    client: Redis = sentinel.master_for(servers.master, **known)
    pool = client.connection_pool
    pool.connection_class(**pool.connection_kwargs)  # as above
    return client


Address = tuple[Any, Any]
"""Host and port."""


class _Sentinel(Sentinel):
    """The Sentinels, of which the master's address is what it is reached by.

    Args:
        remap: makes that of the address that they tell; None for itself.
        servers: the Sentinels.
        to_sentinels: redis-py's arguments for connections to them.
    """

    def __init__(
        self, remap: Callable[[Address], Address] | None, servers: Sequence[Address], to_sentinels: Mapping[str, Any]
    ) -> None:
        super().__init__(servers, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
        self._remap = remap

    async def discover_master(self, service_name: str) -> Address:
        """See redis-py."""
        found: Address = await super().discover_master(service_name)
        return found if self._remap is None else self._remap(found)


def _for_any_server(servers: "ServersUrl", settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with what the URL says, except for which server."""
    known = {**settings, **parse_url(servers.url)}
    known["ssl"] = known.pop("connection_class", None) is not None
    known.pop("host", None)
    known.pop("port", None)
    return known


def check_client(client: Any) -> None:
    """Does nothing if `client` is a redis.asyncio client whose connections can be imitated.

    Raises:
        MessagingValueError: if it is not, with what to give instead.
    """
    if isinstance(client, RedisCluster):
        connection_class, settings = client.connection_kwargs["connection_class"], client.connection_kwargs
    else:
        connection_class = getattr(getattr(client, "connection_pool", None), "connection_class", None)
        settings = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if connection_class is None:
        raise MessagingValueError(
            f"redis_pool is a {type(client).__name__}; give a redis.asyncio.Redis client "
            "(also one from Sentinel.master_for) or a redis.asyncio.RedisCluster"
        )
    if not inspect.iscoroutinefunction(getattr(connection_class, "connect", None)):
        raise MessagingValueError("redis_pool is a client of the blocking kind; give one of redis.asyncio")
    if isinstance(settings.get("credential_provider"), StreamingCredentialProvider):
        raise MessagingValueError(
            "credentials that are renewed on an open connection are not supported; give a user and a password, "
            "or a credential provider that is asked on each connect"
        )
    if settings.get("encoding", "utf-8").lower() not in ("utf-8", "utf8"):
        raise MessagingValueError("encoding is not utf-8; give decode_responses=False, and decode what you read")


# -- connections ---------------------------------------------------------------------------------------------------


def connection_factory(client: Any) -> Callable[[], Awaitable[AbstractConnection]]:
    """Makes new connections like those of `client`'s pool, never one of its own: the pool may want it back.

    Protocol 2, no retries, no health checks, no socket time-out: who uses the connection has a policy of its own.
    """
    pool = client.connection_pool
    is_master = isinstance(pool, SentinelConnectionPool) and pool.is_master

    async def connect() -> AbstractConnection:
        if is_master:
            return await _connect(pool.connection_class, pool.connection_kwargs, _is_master, "as the Sentinels tell")
        return await _connect(pool.connection_class, pool.connection_kwargs)

    return connect


def node_connection_factory(client: RedisCluster) -> Callable[[str, int], Awaitable[AbstractConnection]]:
    """As `connection_factory`, to a given host and port of a cluster, with the settings of `client`."""
    node = client.startup_nodes[0]
    settings = dict(node.connection_kwargs)

    async def connect(host: str, port: int) -> AbstractConnection:
        return await _connect(node.connection_class, settings | {"host": host, "port": port})

    return connect


async def _connect(
    connection_class: Any,
    settings: Mapping[str, Any],
    check: Callable[[AbstractConnection], Awaitable[None]] | None = None,
    told: str = "",
) -> AbstractConnection:
    """A new connection.

    Args:
        connection_class: redis-py's.
        settings: its arguments.
        check: whether the server is the right one.
        told: who told the address, where it is not that of the settings; errors name both.
    """
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
    refused = note_refusals(connection)
    try:
        async with asyncio.timeout(2 * limit_s):  # redis-py bounds the socket's part alone
            await connection.connect()  # type: ignore[no-untyped-call]
            if check is not None:
                await check(connection)
    except BaseException as error:
        await connection.disconnect(nowait=True)
        if isinstance(error, TimeoutError):
            raise RedisConnectionError(f"no answer to the handshake within {2 * limit_s:g} s") from error
        if (words := _last_words(refused)) is not None and is_unreached(error):
            raise RedisConnectionError(f"{words} ({str(error).rstrip('.')})") from error
        if told and is_unreached(error):
            at: Any = connection
            raise type(error)(f"the master {at.host}:{at.port}, {told}: {error}") from error
        raise
    return connection


def _last_words(refused: Sequence[str]) -> str | None:
    """What a server said before it closed a new connection; that it does not know what redis-py sends is nothing."""
    return next((words for words in refused if "SETINFO" not in words.upper() and "unknown" not in words), None)


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


# -- URLs ----------------------------------------------------------------------------------------------------------


def settings_of(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `url` and `options` say, in a form in which two ways to write the same server are equal.

    Raises:
        MessagingValueError: if the URL can't be read.
    """
    check_url(url)
    plain: dict[str, Any] = {"host": "localhost", "port": 6379, "db": 0, "decode_responses": True}
    if scheme_of(url) in (*CLUSTER, *SENTINEL):
        servers = parse_servers(url)
        login = {f"sentinel_{name}": value for name, value in servers.sentinel_login.items()}
        told = {"servers": servers.servers, "master": servers.master, **login}
        return {**plain, **options, **parse_url(servers.url), **told}
    return {**plain, **options, **parse_url(url)}


def is_url(text: object) -> bool:
    """Whether a text is meant as a URL, good or bad."""
    return isinstance(text, str) and "://" in text


def scheme_of(url: str) -> str:
    """What stands before `://`, in small letters."""
    return url.partition("://")[0].lower() if "://" in url else ""


class ServersUrl(NamedTuple):
    """What a URL of several servers says: the seeds of a cluster, or Sentinels and the master that they watch.

    Attributes:
        servers: host and port of each.
        url: `redis://` or `rediss://` with the first of them, login, database and options, for redis-py.
        master: the name that the Sentinels know the master by; None for a cluster.
        sentinel_login: `username` and `password` for the Sentinels, as far as given.
    """

    servers: tuple[tuple[str, int], ...]
    url: str
    master: str | None
    sentinel_login: dict[str, str]


def parse_servers(url: str) -> ServersUrl:
    """What a URL of a cluster or of Sentinels says.

    Raises:
        ValueError: if it can't be read; the message quotes nothing of the URL.
    """
    scheme = scheme_of(url)
    rest, _, query = url.partition("://")[2].partition("?")
    authority, _, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    default = 26379 if scheme in SENTINEL else 6379
    servers = tuple(_server(text, default) for text in hosts.split(","))
    master = None
    database = path.strip("/")
    if scheme in SENTINEL:
        name, _, database = database.partition("/")
        master = unquote(name)
        if not master:
            raise ValueError("the name of the master is missing")
    elif database not in ("", "0"):
        raise ValueError("a cluster has database 0 alone")
    options = parse_qsl(query, keep_blank_values=True)
    told = {name: value for name, value in options if name.startswith("sentinel_")}
    if (master is None and told) or told.keys() - {"sentinel_username", "sentinel_password"}:
        raise ValueError("an option is not known")
    rest_of_query = urlencode([(name, value) for name, value in options if name not in told])
    host, port = servers[0]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    plain = f"{scheme.partition('+')[0]}://{login}{at}{address}/{database}"
    return ServersUrl(
        servers,
        plain.rstrip("/") + (f"?{rest_of_query}" if rest_of_query else ""),
        master,
        {name.removeprefix("sentinel_"): value for name, value in told.items()},
    )


def _server(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or set(host) & set("@/#[] "):
        raise ValueError("a server is not HOST:PORT")
    return host, int(port)


def check_url(url: str) -> None:
    """Does nothing if `url` can be read.

    Raises:
        MessagingValueError: if it can't; the message has no password.
    """
    if isinstance(url, str) and (unclear := ambiguous_login(url)) is not None:
        raise MessagingValueError(f"{_shown(url)} {unclear}")
    if isinstance(url, str) and scheme_of(url) in (*CLUSTER, *SENTINEL):
        try:
            url = parse_servers(url).url
        except ValueError as error:  # its text is ours, and quotes nothing
            raise MessagingValueError(f"{_shown(url)} is no URL of servers: {error}; {WAY_OUT}") from None
    way_out = "give redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://… or unix://PATH[?db=DB], % for special signs"
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
        parse_url(url)
    except (ValueError, TypeError, AttributeError):
        raise MessagingValueError(f"{_shown(url)} is no URL of a server; {way_out}") from None
    if parts.scheme == "unix" and parts.netloc.rpartition("@")[2]:  # redis-py would pass over the first part
        raise MessagingValueError(f"{_shown(url)}: a path has three slashes before it; {way_out}")
    db = parts.path.strip("/")
    # redis-py takes database 0 when it can't read the number: messages would go to another place than was asked for.
    if not port_is_good or (parts.scheme != "unix" and db and not db.isdecimal()):
        raise MessagingValueError(f"{_shown(url)}: the port or the database is no number; {way_out}")


def _shown(url: Any) -> str:
    if not isinstance(url, str):
        return f"a {type(url).__name__}"
    return repr(redact_url(url)) if "://" in url else "a text without ://"  # it may still hold a password


def _first_line(error: Exception, url: str) -> str:
    """The error's text, unless it quotes a part of the URL that may be secret."""
    text = str(error).partition("\n")[0]
    secret = urlsplit(url).password
    return type(error).__name__ if secret and secret in text else text
