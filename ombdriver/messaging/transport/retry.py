"""Who may send a command again, when, and for how long.

An error says whether the command was surely not carried out, and whether its server is the wrong one; a `RetryBudget`
says how long to wait until the next attempt, and when to give up. What may have been carried out is sent again only
if its caller says that it is idempotent. Knows neither slots nor Sentinels nor connections.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ombdriver.messaging.errors import AuthenticationError, ClosedError, NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport.connection import Convert

__all__ = ["AskError", "MovedError"]

T = TypeVar("T")

UNKNOWN_HOSTS = ("", "?")
"""In place of the host of MOVED, ASK and CLUSTER SLOTS: `cluster-preferred-endpoint-type unknown-endpoint`."""

# -- what an error says --------------------------------------------------------------------------------------------

# MasterDownError is a ClusterDownError, MovedError an AskError.
_NOT_CARRIED_OUT = (AskError, TryAgainError, ClusterDownError, ReadOnlyError, BusyLoadingError, NotSentError)
# A script runs; no replica keeps up; nothing can be saved; the server's role has changed: redis-py has no class of it.
_PASSING = ("BUSY ", "NOREPLICAS ", "MISCONF ", "UNBLOCKED ")


def was_not_carried_out(error: BaseException) -> bool:
    """Whether the command was surely not carried out, and would be elsewhere or later: it may be sent again.

    False for `OutcomeUnknownError`, for what would be refused again, as WRONGTYPE, and for OOM: that there is no memory
    is for callers to know, who are to send less.
    """
    return isinstance(error, _NOT_CARRIED_OUT) or (isinstance(error, ResponseError) and str(error).startswith(_PASSING))


def is_of_wrong_server(error: BaseException) -> bool:
    """Whether the server has become a replica, or a replica without its primary: its connection is of no use."""
    return isinstance(error, ReadOnlyError | MasterDownError) or _is_unblocked(error)


def is_loss(error: BaseException) -> bool:
    """Whether a connection was lost or could not be made, for another reason than a refused login or our closing."""
    return isinstance(error, RedisConnectionError | RedisTimeoutError) and not isinstance(
        error, AuthenticationError | ClosedError
    )


def is_unreached(error: BaseException) -> bool:
    """Whether a server could not be reached, or ended the connection, and said nothing that has a class of its own."""
    return type(error) in (RedisConnectionError, RedisTimeoutError)


def is_ask(error: BaseException | None) -> bool:
    """Whether this one command is to go to another server, after ASKING, while later ones are not."""
    return isinstance(error, AskError) and not isinstance(error, MovedError)


def _is_unblocked(error: BaseException) -> bool:
    """A blocking read was ended because the server's role changed; it brought nothing."""
    return isinstance(error, ResponseError) and str(error).startswith("UNBLOCKED ")


# -- when to try again ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: full jitter under `first_s * 2**attempt`, at most `cap_s`.

    Attributes:
        first_s: the bound of the first wait, in seconds.
        cap_s: the bound that no wait passes, in seconds.
        give_up_s: no new attempt after so many seconds. Of a channel that reconnects: after so long a caller that
            waits for the connection gets the error; the next caller tries again.
    """

    first_s: float = 0.05
    cap_s: float = 10.0
    give_up_s: float = 30.0

    def wait_s(self, attempt: int) -> float:
        """How long to wait after failed attempt `attempt` (from 0), in seconds."""
        return random.uniform(0, min(self.cap_s, self.first_s * 2 ** min(attempt, 30)))


COMMAND_BACKOFF = Backoff(first_s=0.02, cap_s=0.5)
"""Waits between attempts of one command; it is given up `give_up_s` after its first failure."""
ENDLESS_BACKOFF = Backoff(first_s=0.02, cap_s=0.5, give_up_s=math.inf)
"""The same for whoever has a time limit of its own, or none."""
IMMEDIATE_REDIRECTS = 5
"""Redirects that are followed at once. Two servers that each name the other would be asked without end."""


class RetryBudget:
    """The attempts of one command, or of one task that goes on past failures: how long to wait, and when it is over.

    Args:
        may_retry: whether there is to be another attempt after this error, as far as the error goes.
        backoff: the waits between attempts, and for how long after the first failure there are any.
        most: attempts in all; None for any number.

    Attributes:
        failures: failed attempts so far.
    """

    __slots__ = ("_backoff", "_deadline", "_may_retry", "_most", "failures")

    def __init__(
        self,
        may_retry: Callable[[BaseException], bool],
        backoff: Backoff | None = None,
        *,
        most: int | None = None,
    ) -> None:
        self._may_retry, self._backoff, self._most = may_retry, backoff or COMMAND_BACKOFF, most
        self._deadline = 0.0
        self.failures = 0

    def wait_s(self, error: BaseException) -> float | None:
        """After a failed attempt: seconds until the next one, 0 after a redirect; None if there is to be none."""
        if not self._may_retry(error):
            return None
        now = time.monotonic()
        if not self.failures:
            self._deadline = now + self._backoff.give_up_s
        self.failures += 1
        if now >= self._deadline or self.failures == self._most:
            return None
        if isinstance(error, AskError) and self.failures <= IMMEDIATE_REDIRECTS:
            return 0.0
        return self._backoff.wait_s(self.failures - 1)

    async def allows(self, error: BaseException) -> bool:
        """Whether to try again after a failed attempt; True comes when it is time."""
        wait_s = self.wait_s(error)
        if wait_s:
            await asyncio.sleep(wait_s)
        return wait_s is not None

    def renew(self) -> None:
        """An attempt went well: the next failure is the first one again."""
        self.failures = 0


async def retry_on_loss(action: Callable[[], Awaitable[T]]) -> T:
    """Awaits `action()`, up to three times while the connection gets lost. For commands that may be carried out twice.

    Args:
        action: makes the awaitable anew for each attempt.

    Raises:
        redis.exceptions.RedisError: what the last attempt met.
    """
    budget = RetryBudget(is_loss, Backoff(cap_s=1.0), most=3)
    while True:
        try:
            return await action()
        except RedisError as error:
            if not await budget.allows(error):
                raise


# -- commands that are sent again ----------------------------------------------------------------------------------


class Dispatcher(Protocol):
    """Who sends commands to their servers: `router.Router`."""

    retry_queue: "RetryQueue"

    def dispatch(self, command: "RetryingCommand") -> None:
        """Sends `command` once, to where its key is now; after ASK to where `command.last_error` says."""

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """Whether a command that met `error` is to be sent again; learns from the error."""


class RetryingCommand(asyncio.Future[Any]):
    """The future of one packed command; an error after which it is sent again does not end it.

    A future of its own, and not a coroutine around one, so that nothing but this is added per command.

    Args:
        dispatcher: sends it.
        key: whose server is to get it.
        data: the command, packed.
        convert: makes the caller's shape of the reply.
        bulk: goes with the messages, not with the small commands.
        idempotent: it may be carried out twice.

    Attributes:
        last_error: the error that it met last, None at first.
        unknown: after the first attempt whose outcome is unknown, that; later errors tell nothing about it.
    """

    def __init__(
        self, dispatcher: Dispatcher, key: bytes, data: bytes, *, convert: Convert | None, bulk: bool, idempotent: bool
    ) -> None:
        super().__init__()
        self.dispatcher, self.key, self.data, self.convert, self.bulk = dispatcher, key, data, convert, bulk
        self._idempotent = idempotent
        self._budget: RetryBudget | None = None
        self.last_error: BaseException | None = None
        self.unknown: OutcomeUnknownError | None = None

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Ends it with `exception`, unless it is sent again."""
        if isinstance(exception, type) or not self._try_again(exception):
            if self.unknown is not None and isinstance(exception, NotSentError):
                exception = unknown_after(self.unknown, exception)
            super().set_exception(exception)

    def _try_again(self, error: BaseException) -> bool:
        if self.unknown is None and isinstance(error, OutcomeUnknownError):
            self.unknown = error
        if self._budget is None:
            self._budget = RetryBudget(partial(self.dispatcher.may_retry, idempotent=self._idempotent))
        wait_s = self._budget.wait_s(error)
        if wait_s is None:
            return False
        self.last_error = error
        if wait_s:
            self.dispatcher.retry_queue.add(self, wait_s)
        else:
            self.get_loop().call_soon(self.dispatch)
        return True

    def fail(self, error: Exception) -> None:
        """Ends it with `error`, whatever that is."""
        if not self.done():
            super().set_exception(error)

    def dispatch(self) -> None:
        """Sends it, or ends it if that can't be."""
        if not self.done():
            try:
                self.dispatcher.dispatch(self)
            except Exception as error:
                self.set_exception(error)


def unknown_after(unknown: Exception, error: BaseException) -> OutcomeUnknownError:
    """What a caller is told of a command that was lost, and met `error` when it was sent again."""
    told = OutcomeUnknownError(f"{unknown}; when it was sent again: {error}")
    told.__cause__ = error
    return told


class RetryQueue:
    """Commands of one dispatcher that are sent again together after a while, in the order in which they came."""

    def __init__(self) -> None:
        self._commands: list[RetryingCommand] = []

    def add(self, command: RetryingCommand, wait_s: float) -> None:
        """Sends `command` again when the first of those that wait has waited; `wait_s` counts for the first alone."""
        self._commands.append(command)
        if len(self._commands) == 1:
            command.get_loop().call_later(wait_s, self._dispatch)

    def _dispatch(self) -> None:
        commands, self._commands = self._commands, []
        for command in commands:
            command.dispatch()
