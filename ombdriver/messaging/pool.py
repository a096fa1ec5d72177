"""`RedisPool`: connections that clients share by name, seen from outside.

A thin face of `registry`, with the names and defaults of aio-redis-mq.
"""

from typing import Any

from redis.asyncio import Redis, RedisCluster

from ombdriver.messaging.address import open_client
from ombdriver.messaging.errors import AioRedisMQException
from ombdriver.messaging.registry import loop_state, named_channels


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
            AioRedisMQException: if the name is unknown and no URL is given, or no loop runs.
            AioRedisMQValueError: if the URL can't be read, or the name stands for another connection.
        """
        if redis_url is not None or not decode_responses:  # the default can't be told from being asked for
            kwargs["decode_responses"] = decode_responses
        if redis_name is None:
            if redis_url is None:
                raise AioRedisMQException("neither redis_name nor redis_url was given; give one of them")
            client = open_client(redis_url, kwargs)
            if isinstance(client, Redis):
                client.auto_close_connection_pool = True
            return client
        shared: Redis | RedisCluster = named_channels(redis_name, redis_url, kwargs).redis
        return shared

    @classmethod
    async def check_health(cls, redis_name: str, **kwargs: Any) -> bool:
        """Asks the server of `redis_name` for a PONG; opens the name if `kwargs` has a `redis_url`.

        Raises:
            redis.exceptions.RedisError: if there is no PONG, with the reason.
        """
        known = redis_name in loop_state().named
        channels = named_channels(redis_name, kwargs.pop("redis_url", None), kwargs)
        try:
            return await channels.ping()
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
        entry = loop_state().named.pop(redis_name, None) if redis_name is not None else None
        if entry is not None:
            await entry.channels.aclose()
