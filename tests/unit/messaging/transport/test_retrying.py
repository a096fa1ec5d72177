"""Which errors let a command be sent again, in which order, and for how long."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from ombdriver.messaging.errors import AuthenticationError, ClosedError, NotSentError, OutcomeUnknownError
from ombdriver.messaging.streams.scripts import Script
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
    ResponseError("BUSY Redis is busy running a script."),
    ResponseError("NOREPLICAS Not enough good replicas to write."),
    ResponseError("MISCONF Errors writing to the AOF file"),
]
NOT_SURE = [
    OutcomeUnknownError("x"),
    ResponseError("WRONGTYPE x"),
    ResponseError("BUSYGROUP x"),
    OutOfMemoryError("x"),
    AuthenticationError("x"),
    ClosedError("x"),
    ConnectionError("x"),
]


class FakeDispatcher:
    """Meets the errors that it is given, one for each command that it sends, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.retry_queue = RetryQueue()
        self.errors = list(errors)
        self.sent: list[bytes] = []

    def dispatch(self, command: RetryingCommand) -> None:
        """See `retry.Dispatcher`."""
        self.sent.append(command.data)
        if self.errors:
            command.set_exception(self.errors.pop(0))
        else:
            command.set_result(command.data)

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """See `retry.Dispatcher`."""
        return was_not_carried_out(error) or (idempotent and is_loss(error))


def command(dispatcher: FakeDispatcher, data: bytes = b"x", *, idempotent: bool = False) -> RetryingCommand:
    """A command that is on its way."""
    made = RetryingCommand(dispatcher, b"k", data, convert=None, bulk=True, idempotent=idempotent)
    made.dispatch()
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a millisecond."""
    monkeypatch.setattr(retry, "COMMAND_BACKOFF", Backoff(first_s=0.001, cap_s=0.001))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes with each look at it."""
    seconds = itertools.count()
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: next(seconds)))


@pytest.mark.parametrize("error", SURE)
async def test_what_was_surely_not_carried_out_is_sent_again(error: Exception) -> None:
    """Its caller sees nothing of it."""
    dispatcher = FakeDispatcher(error, error)

    assert await command(dispatcher) == b"x"
    assert dispatcher.sent == [b"x"] * 3


@pytest.mark.parametrize("error", NOT_SURE)
async def test_anything_else_reaches_the_caller(error: Exception) -> None:
    """At once."""
    dispatcher = FakeDispatcher(error)

    with pytest.raises(type(error)):
        await command(dispatcher)
    assert dispatcher.sent == [b"x"]


async def test_what_may_be_repeated_is_sent_again_after_a_loss() -> None:
    """But not after a refused login, nor when we have closed."""
    assert await command(FakeDispatcher(OutcomeUnknownError("x")), idempotent=True) == b"x"
    for error in (AuthenticationError("x"), ClosedError("x"), ResponseError("x")):
        with pytest.raises(type(error)):
            await command(FakeDispatcher(error), idempotent=True)


async def test_order_is_kept_among_those_that_wait() -> None:
    """They are sent again together."""
    dispatcher = FakeDispatcher(*[TryAgainError("x")] * 50)
    commands = [command(dispatcher, b"%d" % n) for n in range(50)]

    assert await asyncio.gather(*commands) == [b"%d" % n for n in range(50)]
    assert dispatcher.sent[50:] == [b"%d" % n for n in range(50)]


class GivingUp(FakeDispatcher):
    """As often as there are errors, and no more."""

    def may_retry(self, error: BaseException, idempotent: bool) -> bool:
        """See `retry.Dispatcher`."""
        return bool(self.errors)


async def test_not_sent_is_no_answer_after_an_attempt_that_may_have_been_carried_out() -> None:
    """Its caller is told that it is unknown, with what was met last; what was never lost is surely not carried out."""
    errors = [NotSentError("a"), OutcomeUnknownError("lost"), TryAgainError("b"), NotSentError("c")]
    with pytest.raises(OutcomeUnknownError, match="lost; when it was sent again: c"):
        await command(GivingUp(*errors), idempotent=True)
    with pytest.raises(NotSentError, match="c"):
        await command(GivingUp(NotSentError("a"), NotSentError("c")), idempotent=True)


class FakeRouter:
    """Sends each command of a script by a dispatcher that meets these errors."""

    def __init__(self, *errors: Exception) -> None:
        self.dispatcher = FakeDispatcher(*errors)

    def send(self, key: bytes, data: bytes, *, bulk: bool, idempotent: bool) -> RetryingCommand:
        """See `router.Router`."""
        return command(self.dispatcher, data, idempotent=idempotent)


@pytest.mark.parametrize("refused", [ResponseError("OOM"), NoPermissionError("no")])
@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("stores", [True, False])
async def test_a_script_that_stores_is_not_told_as_refused_after_a_lost_attempt(
    refused: Exception, lost: bool, stores: bool
) -> None:
    """The lost one may have been carried out; whoever does not ask gets the error as it is."""
    router: Any = FakeRouter(*[OutcomeUnknownError("lost")] * lost, refused, refused)
    with pytest.raises(OutcomeUnknownError if lost and stores else type(refused), match=str(refused)):
        await Script("return 1").run(router, [b"k"], [], stores=stores)


@pytest.mark.usefixtures("clock")
async def test_it_is_given_up_in_the_end() -> None:
    """With the last error; two servers that each name the other are not asked without end either."""
    for error in (TryAgainError("x"), MovedError("1 h:1")):
        dispatcher = FakeDispatcher(*[error] * 100)
        with pytest.raises(type(error)):
            await command(dispatcher)
        assert len(dispatcher.sent) == 1 + retry.COMMAND_BACKOFF.give_up_s


async def test_a_cancelled_command_is_not_sent_again() -> None:
    """Nobody waits for it."""
    dispatcher = FakeDispatcher(TryAgainError("x"), TryAgainError("x"))
    gone, other = command(dispatcher, b"gone"), command(dispatcher, b"other")
    gone.cancel()

    assert await other == b"other"
    assert dispatcher.sent == [b"gone", b"other", b"other"]


@pytest.mark.usefixtures("clock")
async def test_a_budget_ends_with_its_time() -> None:
    """For those who send anew by themselves."""
    budget = RetryBudget(was_not_carried_out)
    tries = 0
    while await budget.allows(TryAgainError("x")):
        tries += 1

    assert tries == retry.COMMAND_BACKOFF.give_up_s
    assert budget.failures == tries + 1


async def test_a_budget_ends_with_its_attempts_and_with_what_is_not_to_be_tried_again() -> None:
    """Three attempts have two failures that are followed by another one; renewed, they are three again."""
    budget = RetryBudget(is_loss, most=3)

    assert [await budget.allows(OutcomeUnknownError("x")) for _ in range(3)] == [True, True, False]
    budget.renew()
    assert await budget.allows(OutcomeUnknownError("x"))
    assert not await budget.allows(ResponseError("x"))


def test_a_redirect_is_followed_at_once_and_not_without_end() -> None:
    """Two servers that each name the other would be asked in a tight loop."""
    budget = RetryBudget(was_not_carried_out)

    waits = [budget.wait_s(MovedError("1 h:1")) for _ in range(retry.IMMEDIATE_REDIRECTS + 1)]
    assert waits[:-1] == [0.0] * retry.IMMEDIATE_REDIRECTS
    assert waits[-1]


def test_a_wrong_server_is_told_from_a_busy_one() -> None:
    """Its connection is of no use any more."""
    assert [error for error in SURE if is_of_wrong_server(error)] == [SURE[3], SURE[6]]
