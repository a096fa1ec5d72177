"""The errors of the messaging library.

All have redis-py's `RedisError` among their ancestors, so that code written for redis-py or for aio-redis-mq catches
them; server replies reach the caller as redis-py's own classes (`ResponseError`, `ReadOnlyError`, ...).
"""

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver.errors import OmbdriverError, OutcomeUnknown

__all__ = [
    "AioGroupCreateError",
    "AioGroupError",
    "AioRedisMQException",
    "AioRedisMQValueError",
    "AuthenticationError",
    "BufferFullError",
    "ClosedError",
    "ConnectionLost",
    "NoPermissionError",
    "NotSentError",
    "OutcomeUnknownError",
    "RedisError",
    "WouldBlock",
]


class AioRedisMQException(OmbdriverError, RedisError):  # noqa: N818 - the seed library's name
    """Root of the library's errors."""


class AioGroupError(AioRedisMQException):
    """A consumer group could not be used as asked."""


class AioGroupCreateError(AioGroupError):
    """A consumer group could not be created: the server refused, for another reason than that it exists."""


class AioRedisMQValueError(AioRedisMQException, ValueError):
    """An argument that can't be right: two URLs under one name, a value of a type that Redis can't store."""


class ClosedError(AioRedisMQException):
    """You closed it: the client, group or channel was used after `aclose()`."""


class ConnectionLost(AioRedisMQException, RedisConnectionError):  # noqa: N818 - a state, told apart by its subclasses
    """The connection to the server ended before the reply came."""


class NotSentError(ConnectionLost):
    """The command never left this process: sending it again can't repeat it."""


class OutcomeUnknownError(ConnectionLost, OutcomeUnknown):
    """The command was handed to the transport and no reply came: the server may or may not have carried it out."""


class WouldBlock(AioRedisMQException):
    """There is no room for another command right now."""


class BufferFullError(WouldBlock):
    """A producer had no space for another message in the time that the caller would wait: it was not accepted."""


def lost(*, was_sent: bool, cause: BaseException | None) -> ConnectionLost:
    """The error of a command whose connection ended before its reply, because of `cause`."""
    why = f": {cause}" if cause else ""
    error: ConnectionLost
    if was_sent:
        error = OutcomeUnknownError(f"the connection was lost after the command was sent{why}")
    else:
        error = NotSentError(f"the connection was lost before the command was sent{why}")
    error.__cause__ = cause
    return error
