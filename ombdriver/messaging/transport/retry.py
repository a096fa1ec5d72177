"""A command that finds its server: sent again while errors say that it was surely not carried out.

Knows neither slots nor Sentinels: `Carrier` is whoever does. Where a message is stored once or an error tells, this
holds on: what may have been carried out is only sent again if its caller says that twice is no harm.

What an error says of a command: whether it was surely not carried out, and whether the server is the wrong one.

Pure: a table of error replies and losses. Who sends a command again asks here first.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ombdriver.messaging.errors import AuthenticationError, ClosedError, NotSentError
from ombdriver.messaging.transport.connection import Convert

__all__ = ["AskError", "MovedError", "is_of_wrong_server", "was_not_carried_out"]

# MasterDownError is a ClusterDownError, MovedError an AskError.
_REFUSED = (AskError, TryAgainError, ClusterDownError, ReadOnlyError, BusyLoadingError, NotSentError)


def was_not_carried_out(error: BaseException) -> bool:
    """Whether the command was surely not carried out, and would be elsewhere or later: it may be sent again.

    False for `OutcomeUnknownError`, and for what would be refused again, as WRONGTYPE.
    """
    return isinstance(error, _REFUSED) or _is_unblocked(error)


def is_of_wrong_server(error: BaseException) -> bool:
    """Whether the server has become a replica, or a replica without its primary: its connection is of no use."""
    return isinstance(error, ReadOnlyError | MasterDownError) or _is_unblocked(error)


def _is_unblocked(error: BaseException) -> bool:
    """A blocking read was ended because the server's role changed; it brought nothing."""
    return isinstance(error, ResponseError) and str(error).startswith("UNBLOCKED ")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts to reconnect: full jitter under `first_s * 2**attempt`, at most `cap_s`.

    Attributes:
        first_s: the bound of the first wait, in seconds.
        cap_s: the bound that no wait passes, in seconds.
        give_up_s: after how long a caller that waits for the connection gets the error; the next caller tries again.
    """

    first_s: float = 0.05
    cap_s: float = 10.0
    give_up_s: float = 30.0

    def wait_s(self, attempt: int) -> float:
        """How long to wait after failed attempt `attempt` (from 0), in seconds."""
        return random.uniform(0, min(self.cap_s, self.first_s * 2 ** min(attempt, 30)))


T = TypeVar("T")

AGAIN = Backoff(first_s=0.02, cap_s=0.5)
"""Waits between attempts of one command; it is given up `give_up_s` after its first refusal."""
PLAIN_REDIRECTS = 5
"""Redirects that are followed at once. Two servers that each name the other would be asked without end."""


class Carrier(Protocol):
    """Who brings commands to their servers."""

    parking: "RetryQueue"

    def dispatch(self, command: "RetryingCommand") -> None:
        """Sends `command` once, to where its key is now; after ASK to where `command.refusal` says."""

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """Whether a command that met `error` is to be sent again; learns from the error."""


class RetryingCommand(asyncio.Future[Any]):
    """The future of one packed command; an error that can be followed up does not end it.

    That is why this is a future of its own, and not a coroutine around one: nothing is added per command but this.

    Args:
        carrier: sends it.
        key: whose server is to get it.
        data: the command, packed.
        convert: makes the caller's shape of the reply.
        bulk: goes with the messages, not with the small commands.
        idempotent: it may be carried out twice.

    Attributes:
        refusal: the error that it met last, None at first.
        attempts: how often it was refused.
    """

    def __init__(
        self, carrier: Carrier, key: bytes, data: bytes, *, convert: Convert | None, bulk: bool, idempotent: bool
    ) -> None:
        super().__init__()
        self.carrier, self.key, self.data, self.convert, self.bulk = carrier, key, data, convert, bulk
        self._may_repeat = idempotent
        self.refusal: BaseException | None = None
        self.attempts = 0
        self._deadline = 0.0

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Ends it with `exception`, unless it is sent again."""
        if isinstance(exception, type) or not self._goes_on(exception):
            super().set_exception(exception)

    def _goes_on(self, error: BaseException) -> bool:
        if not self.carrier.may_retry(error, self._may_repeat):
            return False
        now = time.monotonic()
        if not self.attempts:
            self._deadline = now + AGAIN.give_up_s
        elif now >= self._deadline:
            return False
        self.refusal = error
        self.attempts += 1
        if isinstance(error, AskError) and self.attempts <= PLAIN_REDIRECTS:
            self.get_loop().call_soon(self.dispatch)
        else:
            self.carrier.parking.later(self)
        return True

    def end(self, error: Exception) -> None:
        """Ends it with `error`, whatever that is."""
        if not self.done():
            super().set_exception(error)

    def dispatch(self) -> None:
        """Sends it, or ends it if that can't be."""
        if not self.done():
            try:
                self.carrier.dispatch(self)
            except Exception as error:
                self.set_exception(error)


class RetryQueue:
    """Commands of one carrier that are sent again together after a while, in the order in which they came."""

    def __init__(self) -> None:
        self._commands: list[RetryingCommand] = []

    def later(self, command: RetryingCommand) -> None:
        """Sends `command` again when the first of those that wait has waited."""
        self._commands.append(command)
        if len(self._commands) == 1:
            command.get_loop().call_later(AGAIN.wait_s(command.attempts - 1), self._go)

    def _go(self) -> None:
        commands, self._commands = self._commands, []
        for command in commands:
            command.dispatch()


class RetryBudget:
    """For whoever sends a command anew by itself: how long to go on, and waiting in between.

    Args:
        may_retry: see `Carrier`.
        idempotent: it may be carried out twice.
    """

    def __init__(self, may_retry: Callable[[BaseException, bool], bool], *, idempotent: bool = False) -> None:
        self._follows_up, self._may_repeat = may_retry, idempotent
        self._attempts = 0
        self._deadline = 0.0

    async def allows(self, error: BaseException) -> bool:
        """Whether to try again after `error`; True comes when it is time."""
        if not self._follows_up(error, self._may_repeat):
            return False
        now = time.monotonic()
        if not self._attempts:
            self._deadline = now + AGAIN.give_up_s
        self._attempts += 1
        if now >= self._deadline:
            return False
        if not isinstance(error, AskError) or self._attempts > PLAIN_REDIRECTS:
            await asyncio.sleep(AGAIN.wait_s(self._attempts - 1))
        return True


def is_loss(error: BaseException) -> bool:
    """Whether a connection was lost or could not be made, for another reason than a refused login or our closing."""
    return isinstance(error, RedisConnectionError | RedisTimeoutError) and not isinstance(
        error, AuthenticationError | ClosedError
    )


async def repeat(action: Callable[[], Awaitable[T]], within_s: float = 30.0) -> T:
    """Awaits `action()`, up to three times while the connection gets lost. For commands that may be carried out twice.

    Args:
        action: makes the awaitable anew for each attempt.
        within_s: no new attempt after so many seconds.

    Raises:
        redis.exceptions.RedisError: what the last attempt met.
    """
    backoff = Backoff(cap_s=1.0)
    deadline = time.monotonic() + within_s
    for attempt in range(2):
        try:
            return await action()
        except (RedisConnectionError, RedisTimeoutError) as error:
            if isinstance(error, AuthenticationError) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(backoff.wait_s(attempt))
    return await action()
