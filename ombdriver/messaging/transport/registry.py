"""Who shares which connections: by name, by redis-py client, or not at all; always within one event loop.

A connection belongs to the loop that made it, so everything here is kept per loop, and closed when the loop shuts
down. `RedisPool` is the public way to the named ones, with the names and defaults of aio-redis-mq. Knows names and
life times, no command.
"""

import asyncio
import contextlib
import re
import weakref
from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis, RedisCluster

from ombdriver.messaging.errors import ClosedError, MessagingError, MessagingValueError
from ombdriver.messaging.transport.factory import check_client, is_url, open_client, settings_of
from ombdriver.messaging.transport.per_loop import PerLoop
from ombdriver.messaging.transport.resources import close_abandoned
from ombdriver.messaging.transport.router import Router, open_router

_ADDRESS = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}(/[0-9]+)?|localhost|[0-9]{1,3}(\.[0-9]{1,3}){3}")
"""A name that is rather an address."""


class RedisPool:
    """The connections that clients share by name, within one event loop. All methods are class methods."""

    @classmethod
    def get_redis_pool(
        cls, redis_name: str | None, redis_url: str | None = None, decode_responses: bool = True, **kwargs: Any
    ) -> Redis | RedisCluster:
        """The redis-py client of `redis_name`, opened if need be.

        Without a name: a client of its own for `redis_url`, which the caller closes.

        Args:
            redis_name: the name that clients share it by.
            redis_url: the server; may be left out when the name is open.
            decode_responses: give str rather than bytes.
            kwargs: as for `redis.asyncio.Redis.from_url`.

        Raises:
            MessagingError: if the name is unknown and no URL is given, or no loop runs.
            MessagingValueError: if the URL can't be read, or the name stands for another connection.
        """
        if redis_url is not None or not decode_responses:  # the default can't be told from being asked for
            kwargs["decode_responses"] = decode_responses
        if redis_name is None:
            if redis_url is None:
                raise MessagingError("neither redis_name nor redis_url was given; give one of them")
            client = open_client(redis_url, kwargs)
            if isinstance(client, Redis):
                client.auto_close_connection_pool = True
            return client
        shared: Redis | RedisCluster = loop_routers().of_name(redis_name, redis_url, kwargs).redis
        return shared

    @classmethod
    async def check_health(cls, redis_name: str, **kwargs: Any) -> bool:
        """Asks the server of `redis_name` for a PONG; opens the name if `kwargs` has a `redis_url`.

        Raises:
            redis.exceptions.RedisError: if there is no PONG, with the reason.
        """
        routers = loop_routers()
        known = routers.is_open(redis_name)
        router = routers.of_name(redis_name, kwargs.pop("redis_url", None), kwargs)
        try:
            return await router.ping()
        except BaseException:
            if not known:  # so that a corrected URL can take the name
                await cls.close_redis(redis_name)
            raise

    @classmethod
    async def init_redis(cls, redis_name: str, **kwargs: Any) -> bool:
        """Opens `redis_name` and checks it. It stays open, in this loop, until `close_redis`.

        Raises:
            redis.exceptions.RedisError: if the server can't be reached or refuses; the name is then free again.
        """
        return await cls.check_health(redis_name, **kwargs)

    @classmethod
    async def close_redis(cls, redis_name: str | None, **kwargs: Any) -> None:
        """Closes the connections of `redis_name`, whoever uses them; a name that is not open is no error."""
        if redis_name is not None:
            await loop_routers().close(redis_name)


class RouterSource:
    """Where one client's router comes from; finds or opens it in whatever loop is running.

    Args:
        name: share the connections of this name.
        url: a server; with a name, opened under it if there is none yet; without, opened for this source alone.
        client: a redis.asyncio client to take the settings from; it is never closed. Wins over name and URL.
        options: as for `redis.asyncio.Redis.from_url`; only with a name or URL.

    Raises:
        MessagingError: if none of the three is given, or (in a running loop) the name is unknown.
        MessagingValueError: if the URL or an option can't be, or the name stands for another connection.
    """

    def __init__(
        self, name: str | None, url: Any = None, client: Any = None, options: dict[str, Any] | None = None
    ) -> None:
        if isinstance(client, str) or (url is not None and not isinstance(url, str)):
            url, client = client, url  # both orders are in print; the types tell them apart
        if url is None and client is None and name is not None and is_url(name):
            name, url = None, name  # `MQClient("redis://…")`, as one writes it at first
        if url is not None and not isinstance(url, str):
            raise MessagingValueError(f"redis_url is a {type(url).__name__}; give a str")
        if name is not None and is_url(name):
            raise _name_is_url()
        if name is None and url is None and client is None:
            given = f", but {', '.join(sorted(options))}" if options else ""
            raise MessagingError(
                f"neither redis_name, redis_url nor redis_pool was given{given}; give one of them, as"
                " redis_url='redis://HOST:PORT/DB'"
            )
        if name == "":
            raise MessagingValueError("redis_name is empty; is a variable of the environment not set?")
        self.name = name
        self._url: str | None = url
        self._client = client
        self._options = options or {}
        if client is not None and self._options:
            raise MessagingValueError(
                f"{', '.join(sorted(self._options))}: a redis_pool has its settings already; leave the options out"
            )
        self._routers: PerLoop[Router] = PerLoop()
        self._closed = False
        if asyncio._get_running_loop() is not None:
            self.router()
        elif client is not None:
            check_client(client)
        elif url is not None:
            open_client(url, self._options)  # only to find the faults: it connects to nothing

    def __repr__(self) -> str:
        how = "redis_pool" if self._client is not None else f"name {self.name!r}" if self.name else "own"
        return f"<RouterSource {how}{' closed' if self._closed else ''}>"

    def router(self) -> Router:
        """The connections in the running loop.

        Raises:
            ClosedError: if this source, or the connections of its name, were closed.
            MessagingError: if there is no running loop, or no client of that name.
        """
        if self._closed:
            raise ClosedError("the client was closed; make a new one")
        known = self._routers.get()
        if known is not None:
            if known.is_closed:
                raise ClosedError(f"the connections named {self.name!r} were closed; make a new client")
            return known
        routers = loop_routers()
        if self._client is not None:
            found = routers.of_client(self._client)
        elif self.name is not None:
            found = routers.of_name(self.name, self._url, self._options)
        else:
            assert self._url is not None
            found = routers.open(open_client(self._url, self._options), owns_client=True)
        found.users += 1
        return self._routers.set(found)

    async def aclose(self) -> None:
        """Lets go of the connections in each loop; closes them unless they have a name or another user."""
        if not self._closed:
            self._closed = True
            await self._routers.aclose(self._let_go)

    async def _let_go(self, router: Router) -> None:
        router.users -= 1
        if not router.users and (self.name is None or self._client is not None):
            await router.aclose()


class LoopRouters:
    """The routers of one event loop.

    Those with a name are held until they are closed by name; the others live as long as somebody uses them.
    """

    def __init__(self) -> None:
        self._named: dict[str, tuple[Router, dict[str, Any]]] = {}
        self._by_client: weakref.WeakValueDictionary[int, Router] = weakref.WeakValueDictionary()
        self._all: weakref.WeakSet[Router] = weakref.WeakSet()
        self._ending = _close_when_loop_ends(self)
        with contextlib.suppress(StopIteration):
            self._ending.__anext__().send(None)  # runs it to its yield: the loop knows of it from now on

    def open(self, client: Any, *, owns_client: bool) -> Router:
        """A router of its own for a redis.asyncio client."""
        router = open_router(client, owns_client=owns_client)
        self._all.add(router)
        return router

    def of_client(self, client: Any) -> Router:
        """The one router for a redis.asyncio client, which stays its owner's."""
        found = self._by_client.get(id(client))
        if found is None or found.is_closed:
            found = self._by_client[id(client)] = self.open(client, owns_client=False)
        return found

    def is_open(self, name: str) -> bool:
        """Whether there is a router of this name."""
        return name in self._named

    def of_name(self, name: str, url: str | None, options: dict[str, Any]) -> Router:
        """The router called `name`, opened if `url` is given and there is none.

        Raises:
            MessagingError: if the name is unknown and there is no URL.
            MessagingValueError: if the URL or an option can't be, or the name stands for another connection.
        """
        if is_url(name):
            raise _name_is_url()
        if name not in self._named:
            if url is None:
                address = f" (as redis://{name})" if _ADDRESS.fullmatch(name) else ""
                raise MessagingError(
                    f"no client named {name!r} is open in this event loop; "
                    f"give redis_url{address}, or await RedisPool.init_redis(name, redis_url=…) first"
                )
            settings = settings_of(url, options)
            router = self.open(open_client(url, options), owns_client=True)
            self._named[name] = router, settings
            return router
        router, settings = self._named[name]
        asked = options if url is None else settings_of(url, options)
        differs = sorted(key for key, value in asked.items() if settings.get(key) != value)
        if url is not None:
            differs += sorted(key for key in settings if key not in asked)
        if differs:
            raise MessagingValueError(
                f"the name {name!r} stands for another connection already, which differs in: {', '.join(differs)}; "
                "use another redis_name, or await RedisPool.close_redis(name) first"
            )
        return router

    async def close(self, name: str) -> None:
        """Closes the router called `name`, if there is one."""
        if name in self._named:
            await self._named.pop(name)[0].aclose()

    async def aclose(self) -> None:
        """Closes all of them."""
        everything = list(self._all)  # held until they are closed
        self._named.clear()
        await asyncio.gather(*(router.aclose() for router in everything), return_exceptions=True)
        await close_abandoned()


def _name_is_url() -> MessagingValueError:
    """Without the name: it may have a password."""
    return MessagingValueError("the redis_name is a URL; give it as redis_url, and beside it a name or none")


async def _close_when_loop_ends(routers: LoopRouters) -> AsyncGenerator[None, None]:
    """`asyncio.run` closes async generators before it closes the loop: the last chance to close connections.

    So a program that never closes anything, as small programs do, still ends without open sockets.
    """
    try:
        yield
    finally:
        await routers.aclose()


_by_loop: PerLoop[LoopRouters] = PerLoop()


def loop_routers() -> LoopRouters:
    """The routers of the running loop.

    Raises:
        MessagingError: if no loop runs.
    """
    if asyncio._get_running_loop() is None:
        raise MessagingError("there is no running event loop; call this inside a coroutine")
    return _by_loop.get() or _by_loop.set(LoopRouters())
