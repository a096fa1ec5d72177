"""Commands that find their server: which errors are followed up, in which order, and for how long."""

import asyncio
import itertools
from types import SimpleNamespace

import pytest
from redis.exceptions import AskError, BusyLoadingError, MovedError, ReadOnlyError, ResponseError, TryAgainError

from ombdriver.messaging.errors import AuthenticationError, ClosedError, NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport import retry
from ombdriver.messaging.transport.retry import (
    Backoff,
    RetryBudget,
    RetryingCommand,
    RetryQueue,
    is_loss,
    is_of_wrong_server,
    was_not_carried_out,
)

SURE = [
    MovedError("1 h:1"),
    AskError("1 h:1"),
    TryAgainError("x"),
    ReadOnlyError("x"),
    BusyLoadingError("x"),
    NotSentError("x"),
    ResponseError("UNBLOCKED force unblock"),
]
NOT_SURE = [
    OutcomeUnknownError("x"),
    ResponseError("WRONGTYPE x"),
    AuthenticationError("x"),
    ClosedError("x"),
    ConnectionError("x"),
]


class Carrier:
    """Meets the errors that it is given, one for each command that it carries, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.parking = RetryQueue()
        self.errors = list(errors)
        self.carried: list[bytes] = []

    def dispatch(self, command: RetryingCommand) -> None:
        """See `following.Carrier`."""
        self.carried.append(command.data)
        if self.errors:
            command.set_exception(self.errors.pop(0))
        else:
            command.set_result(command.data)

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """See `following.Carrier`."""
        return was_not_carried_out(error) or (idempotent and is_loss(error))


def command(carrier: Carrier, data: bytes = b"x", *, idempotent: bool = False) -> RetryingCommand:
    """A command that is on its way."""
    made = RetryingCommand(carrier, b"k", data, convert=None, bulk=True, idempotent=idempotent)
    made.dispatch()
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a millisecond."""
    monkeypatch.setattr(retry, "AGAIN", Backoff(first_s=0.001, cap_s=0.001))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes with each look at it."""
    seconds = itertools.count()
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: next(seconds)))


@pytest.mark.parametrize("error", SURE)
async def test_what_was_surely_not_carried_out_is_sent_again(error: Exception) -> None:
    """Its caller sees nothing of it."""
    carrier = Carrier(error, error)

    assert await command(carrier) == b"x"
    assert carrier.carried == [b"x"] * 3


@pytest.mark.parametrize("error", NOT_SURE)
async def test_anything_else_reaches_the_caller(error: Exception) -> None:
    """At once."""
    carrier = Carrier(error)

    with pytest.raises(type(error)):
        await command(carrier)
    assert carrier.carried == [b"x"]


async def test_what_may_be_repeated_is_sent_again_after_a_loss() -> None:
    """But not after a refused login, nor when we have closed."""
    assert await command(Carrier(OutcomeUnknownError("x")), idempotent=True) == b"x"
    for error in (AuthenticationError("x"), ClosedError("x"), ResponseError("x")):
        with pytest.raises(type(error)):
            await command(Carrier(error), idempotent=True)


async def test_order_is_kept_among_those_that_wait() -> None:
    """They are sent again together."""
    carrier = Carrier(*[TryAgainError("x")] * 50)
    commands = [command(carrier, b"%d" % n) for n in range(50)]

    assert await asyncio.gather(*commands) == [b"%d" % n for n in range(50)]
    assert carrier.carried[50:] == [b"%d" % n for n in range(50)]


@pytest.mark.usefixtures("clock")
async def test_it_is_given_up_in_the_end() -> None:
    """With the last error; two servers that each name the other are not asked without end either."""
    for error in (TryAgainError("x"), MovedError("1 h:1")):
        carrier = Carrier(*[error] * 100)
        with pytest.raises(type(error)):
            await command(carrier)
        assert len(carrier.carried) == 1 + retry.AGAIN.give_up_s


async def test_a_cancelled_command_is_not_sent_again() -> None:
    """Nobody waits for it."""
    carrier = Carrier(TryAgainError("x"), TryAgainError("x"))
    gone, other = command(carrier, b"gone"), command(carrier, b"other")
    gone.cancel()

    assert await other == b"other"
    assert carrier.carried == [b"gone", b"other", b"other"]


@pytest.mark.usefixtures("clock")
async def test_patience_ends() -> None:
    """For those who send anew by themselves."""
    retry_budget = RetryBudget(Carrier().may_retry)
    tries = 0
    while await retry_budget.allows(TryAgainError("x")):
        tries += 1
    assert tries == retry.AGAIN.give_up_s
    assert not await RetryBudget(Carrier().may_retry).allows(OutcomeUnknownError("x"))
    assert await RetryBudget(Carrier().may_retry, idempotent=True).allows(OutcomeUnknownError("x"))


def test_a_wrong_server_is_told_from_a_busy_one() -> None:
    """Its connection is of no use any more."""
    assert [is_of_wrong_server(error) for error in SURE] == [False, False, False, True, False, False, True]
