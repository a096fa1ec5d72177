"""The line of unanswered commands of one connection: each reply goes to the head of it, in order.

Knows RESP and no transport; `wire.Wire` sends what is in the line.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ombdriver.messaging.block import Block
from ombdriver.messaging.errors import ConnectionLost, lost
from ombdriver.messaging.resp import Reader, ReplyError, server_error

Convert = Callable[[Any], Any]


class Unanswered:
    """Commands in the order in which they went out, and the replies to them.

    Args:
        on_refusal: told of each error reply, before its caller is.

    Attributes:
        replies: replies received.
    """

    def __init__(self, on_refusal: Callable[[Any, Exception], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._line: deque[tuple[asyncio.Future[Any], Convert | None] | Block] = deque()
        self._in_flight = 0
        self._written = 0
        self._cause: BaseException | None = None
        self._on_refusal = on_refusal
        self.replies = 0

    def _dispatch(self, now_ns: int) -> None:
        line, gets = self._line, self._reader.gets
        before = self.replies
        try:
            while (reply := gets()) is not False:
                if not line:
                    raise ConnectionLost("the server sent a reply that nobody asked for")
                slot = line[0]
                if slot.__class__ is Block:
                    self._dispatch_block(slot, reply, now_ns)
                    continue
                line.popleft()
                self.replies += 1
                future, convert = slot  # type: ignore[misc]  # not a Block
                if future.done():
                    continue
                if reply.__class__ is ReplyError:
                    future.set_exception(self._refusal(reply))
                elif convert is None:
                    future.set_result(reply)
                else:
                    try:
                        future.set_result(convert(reply))
                    except Exception as error:  # a future refuses StopIteration
                        future.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
        finally:
            self._in_flight -= self.replies - before
            self._written -= self.replies - before

    def _dispatch_block(self, block: Any, reply: Any, now_ns: int) -> None:
        """Counts the replies to `block` that have arrived; each is still looked at, an error reply is an error."""
        gets = self._reader.gets
        left = before = block.left
        good, last = 0, None
        try:
            while True:
                left -= 1
                if reply.__class__ is ReplyError:
                    if good:
                        self._report(block, good, None, now_ns, last)
                        good = 0
                    self._report(block, 1, self._refusal(reply), now_ns)
                else:
                    good += 1
                    last = reply
                if not left:
                    self._line.popleft()
                    break
                reply = gets()
                if reply is False:
                    break
        finally:  # what came before a malformed reply is booked
            block.left = left
            self.replies += before - left
            if good:
                self._report(block, good, None, now_ns, last)

    def _refusal(self, reply: ReplyError) -> Exception:
        error = server_error(reply)
        if self._on_refusal is not None:
            self._on_refusal(self, error)
        return error

    def _report(self, block: Block, count: int, error: Exception | None, time_ns: int, last: Any = None) -> None:
        try:
            block.report(count, error, time_ns, last)
        except Exception as fault:
            self._loop.call_exception_handler({"message": "a sink of replies failed", "exception": fault})

    def _fail_line(self) -> None:
        """The tail of the line that is still in our own list was not sent; the outcome of the rest is unknown."""
        now_ns = time.monotonic_ns()
        written = self._written
        while self._line:
            slot = self._line.popleft()
            count = slot.left if isinstance(slot, Block) else 1
            error = lost(was_sent=written > 0, cause=self._cause)
            written -= count
            if isinstance(slot, Block):
                slot.left = 0
                self._report(slot, count, error, now_ns)
            elif not slot[0].done():
                slot[0].set_exception(error)
        self._in_flight = self._written = 0
