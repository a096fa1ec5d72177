"""The small commands of the harness itself: what a server refuses for a while is sent again until it takes it.

None of them is a message: those are measured, and what is refused of them is told. A server that loads its data, runs
a script, can't save, has no memory, or fails over refuses what it will take a little later.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ombdriver.bench.drivers.redis_streams.errors import words_of
from ombdriver.messaging.errors import NotSentError, OutcomeUnknownError, OutOfMemoryError, RedisError
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.retry import AskError, was_not_carried_out
from ombdriver.messaging.transport.router import Router

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

REPLY_TIMEOUT_S = 10.0
"""Seconds without the reply to a small command after which a server counts as gone."""
REFUSED_S = 30.0
"""A refusal that lasts for longer ends what the command was for."""
RETRY_S = 0.2
"""Between attempts."""
IN_ONE, AT_ONCE = 100, 100
"""Keys in one command, so that no other client waits for long; commands that are on their way together."""


def may_pass(error: BaseException | None) -> bool:
    """Whether a server refused a command, and may take it a little later.

    It loads (LOADING), runs a script (BUSY), can't save (MISCONF), has no memory (OOM), has too few replicas
    (NOREPLICAS), or is being failed over (READONLY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN). False where it could not be
    reached, or does not have the key.
    """
    if isinstance(error, NotSentError):  # refused when it was connected to, or not there
        return error.__cause__ is not None and may_pass(error.__cause__)
    if isinstance(error, AskError):
        return False
    return error is not None and (was_not_carried_out(error) or isinstance(error, OutOfMemoryError))


class Control:
    """Sends the small commands of one process.

    Args:
        router: carries them.
        statistics: counts `refusedMs`: for how long at least one of them was refused.

    Attributes:
        router: as given.
        refusal: the last one, as the server said it; None when there was none.
    """

    def __init__(self, router: Router, statistics: "Counter[str]") -> None:
        self.router, self._statistics = router, statistics
        self.refusal: str | None = None
        self._refused = 0
        self._since_s = 0.0
        self._told: tuple[str, float] | None = None

    def __repr__(self) -> str:
        return f"<Control of {self.router}, {self._refused} refused>"

    async def ask(
        self,
        key: bytes,
        *words: Argument,
        idempotent: bool = True,
        bound_s: float | None = None,
        reply_timeout_s: float | None = None,
    ) -> Any:
        """The reply to a small command, which goes to where `key` lies.

        Args:
            key: the key.
            words: of the command.
            idempotent: it may be carried out twice, so it is sent again when the connection is lost meanwhile.
            bound_s: how long a refusal may last, in seconds; None for `REFUSED_S`.
            reply_timeout_s: how long each reply may take; None for `REPLY_TIMEOUT_S`.

        Raises:
            OutcomeUnknownError: if there is no answer in that time.
            RedisError: what the server says.
        """
        return await self.outlast(
            partial(self._send, key, pack(words), idempotent, reply_timeout_s or REPLY_TIMEOUT_S), bound_s=bound_s
        )

    async def _send(self, key: bytes, data: bytes, idempotent: bool, timeout_s: float) -> Any:
        command: Any = self.router.send(key, data, bulk=False, idempotent=idempotent)
        until_s, is_refused = time.monotonic() + timeout_s, False
        try:
            while not (await asyncio.wait([command], timeout=min(RETRY_S, timeout_s)))[0]:
                refusal = command.last_error  # after which the router sends it again by itself
                if may_pass(refusal) and not is_refused:
                    is_refused = True
                    self._begin_refusal(refusal)
                if time.monotonic() < until_s:
                    continue
                if may_pass(refusal):
                    raise refusal
                raise OutcomeUnknownError(f"no reply within {timeout_s:g} s, the server or the network is gone")
            return command.result()
        finally:
            command.cancel()
            if is_refused:
                self._end_refusal()

    async def ask_node(self, node: Channel, *words: Argument) -> Any:
        """The reply to a small command on one server.

        Raises:
            RedisError: what the server says, or if it can't be reached.
        """
        return await self.outlast(lambda: node.execute(*words))

    async def count_of(self, command: str, keys: Sequence[bytes]) -> int:
        """The sum of what `command` (EXISTS, UNLINK) says of `keys`: many in one command where one may cover them.

        Raises: as `ask`.
        """
        parts = [part[at : at + IN_ONE] for part in self.router.by_slot(keys) for at in range(0, len(part), IN_ONE)]
        total = 0
        for first in range(0, len(parts), AT_ONCE):
            some = parts[first : first + AT_ONCE]
            total += sum(await asyncio.gather(*(self.ask(part[0], command, *part) for part in some)))
        return total

    async def outlast(
        self,
        action: Callable[[], Awaitable[Result]],
        passes: Callable[[BaseException], bool] = may_pass,
        bound_s: float | None = None,
    ) -> Result:
        """What `action()` gives; it is called again while what it meets passes.

        Args:
            action: makes the awaitable anew for each attempt.
            passes: whether an error may be gone soon, and the action may be carried out once more.
            bound_s: seconds after the first attempt from which on there is no other one; None for `REFUSED_S`.

        Raises:
            RedisError: what does not pass, or has not passed in time.
        """
        bound_s = REFUSED_S if bound_s is None else bound_s
        began_s, is_refused = time.monotonic(), False
        try:
            while True:
                try:
                    return await action()
                except RedisError as error:
                    if not passes(error) or time.monotonic() + RETRY_S > began_s + bound_s:
                        raise
                    if not is_refused:
                        is_refused = True
                        self._begin_refusal(error)
                await asyncio.sleep(RETRY_S)
        finally:
            if is_refused:
                self._end_refusal()

    def _begin_refusal(self, error: BaseException) -> None:
        self.refusal = words_of(error)
        if not self._refused:
            self._since_s = time.monotonic()
            words = self.refusal.partition(". ")[0].rstrip(".")
            is_known = self._told is not None and self._told[0] == words and self._since_s < self._told[1] + REFUSED_S
            if not is_known:
                self._told = words, self._since_s
            level = logging.INFO if is_known else logging.WARNING  # one refusal after the other is one to a reader
            logger.log(
                level, "the server refuses what this run needs for now (%s); trying for up to %g s", words, REFUSED_S
            )
        self._refused += 1

    def _end_refusal(self) -> None:
        self._refused -= 1
        if not self._refused:
            self._statistics["refusedMs"] += max(1, round((time.monotonic() - self._since_s) * 1000))
