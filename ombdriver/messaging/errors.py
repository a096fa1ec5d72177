"""The errors of the messaging library.

All have redis-py's `RedisError` among their ancestors, so that code written for redis-py or for aio-redis-mq catches
them; server replies reach the caller as redis-py's own classes (`ResponseError`, `ReadOnlyError`, ...).
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, RedisError, ResponseError
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
    "GroupCreateError",
    "GroupError",
    "MessagingError",
    "MessagingValueError",
    "NoPermissionError",
    "NotSentError",
    "OutOfMemoryError",
    "OutcomeUnknownError",
    "RedisError",
    "ResponseError",
    "WouldBlock",
]


class MessagingError(OmbdriverError, RedisError):
    """Root of the library's errors."""


class GroupError(MessagingError):
    """A consumer group could not be used as asked."""


class GroupCreateError(GroupError):
    """A consumer group could not be created: the server refused, for another reason than that it exists."""


class MessagingValueError(MessagingError, ValueError):
    """An argument that can't be right: two URLs under one name, a value of a type that Redis can't store."""


class ClosedError(MessagingError):
    """You closed it: the client, group or channel was used after `aclose()`."""


class ConnectionLost(MessagingError, RedisConnectionError):  # noqa: N818 - a state, told apart by its subclasses
    """The connection to the server ended before the reply came."""


class NotSentError(ConnectionLost):
    """The command never left this process: sending it again can't repeat it."""


class OutcomeUnknownError(ConnectionLost, OutcomeUnknown):
    """The command was handed to the transport and no reply came: the server may or may not have carried it out."""


class WouldBlock(MessagingError):  # noqa: N818 - the name that anyio has for it
    """There is no room for another command right now."""


class BufferFullError(WouldBlock):
    """A producer had no space for another message in the time that the caller would wait: it was not accepted."""


AioRedisMQException = MessagingError
AioRedisMQValueError = MessagingValueError
AioGroupError = GroupError
AioGroupCreateError = GroupCreateError
# The names of aio-redis-mq: public aliases, for code that was written for it.


def unknown_option(name: str, known: Iterable[str], of: str, way_out: str = "", ours: str = "") -> MessagingValueError:
    """The error of an option that there is not.

    Args:
        name: as given.
        known: those that there are.
        of: what takes them, as in "client.producer()".
        way_out: where none is near; without, all are told.
        ours: what stands for it here, where it is an option of other clients.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=1)
    if ours:
        way_out = ours
    elif near:
        way_out = f"did you mean {near[0]!r}?"
    return MessagingValueError(f"{of} has no option {name!r}; {way_out or 'it has ' + ', '.join(known)}")


Class = TypeVar("Class", bound=type)


def tells_unknown_options(ours: Mapping[str, str] | None = None) -> Callable[[Class], Class]:
    """Has a dataclass tell an option that it has not as the client's methods do, in place of Python's own error.

    Args:
        ours: what stands here for the options of other clients, by their names, several of them with spaces between.
    """
    ways_out = {name: way_out for names, way_out in (ours or {}).items() for name in names.split()}

    def decorate(cls: Class) -> Class:
        made: Callable[..., None] = vars(cls)["__init__"]
        known = [each.name for each in fields(cls) if each.init]

        @wraps(made)
        def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - it takes its place
            for name in options:
                if name not in known:
                    raise unknown_option(name, known, f"{cls.__name__}()", ours=ways_out.get(name.lower(), ""))
            made(self, *args, **options)

        setattr(cls, "__init__", __init__)  # noqa: B010 - a type checker takes the assignment for another
        return cls

    return decorate


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
