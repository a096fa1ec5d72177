"""Space for the messages of a producer that have no outcome yet; a caller that finds none waits in line.

Knows numbers of messages and bytes, and no message.
"""

import asyncio
from collections import deque

from ombdriver.messaging.errors import BufferFullError, MessagingValueError


class SendBuffer:
    """Limits by messages and by bytes. First come, first served: a small message does not overtake a large one.

    Args:
        max_messages: the limit on messages.
        max_bytes: the limit on bytes.

    Attributes:
        messages: how many have space.
        bytes: their size.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._waiting: deque[tuple[asyncio.Future[None], int, int]] = deque()
        self._waking = 0  # callers that were given space, and have not run yet: whoever comes now is behind them
        self._closed: Exception | None = None
        self.messages = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<SendBuffer {self.messages} messages, {self.bytes} bytes, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many callers wait for space."""
        return sum(not place[0].done() for place in self._waiting)

    @property
    def has_waiters(self) -> bool:
        """Whether a caller waits for space."""
        return bool(self._waiting)

    def try_reserve(self, messages: int, size: int) -> bool:
        """Reserves space for `messages` of `size` bytes together; False if there is none, or others wait for it."""
        if (
            self._waiting
            or self._waking
            or self.messages + messages > self._max_messages
            or self.bytes + size > self._max_bytes
            or self._closed is not None
        ):
            return False
        self.messages += messages
        self.bytes += size
        return True

    async def reserve(self, messages: int, size: int, within_s: float | None) -> None:
        """As `try_reserve`, when there is space. A caller that is cancelled has reserved none.

        Raises:
            MessagingValueError: at once, if the limits are below that.
            BufferFullError: if there was none for `within_s` seconds.
            Exception: what `close` was given.
        """
        if messages > self._max_messages or size > self._max_bytes:
            raise MessagingValueError(
                f"{messages} messages of {size} bytes don't fit into a buffer of {self._max_messages} messages and "
                f"{self._max_bytes} bytes; raise buffer_messages or buffer_bytes"
            )
        if self._closed is not None:
            raise self._closed
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, messages, size))
        self._serve()
        try:
            async with asyncio.timeout(within_s):
                if future.done():
                    await asyncio.sleep(0)  # behind callers that are waking up
                await future
            self._waking -= 1
        except BaseException as error:
            given = future.done() and not future.cancelled() and future.exception() is None
            self._waking -= given
            if given and isinstance(error, TimeoutError):
                return  # space came in the last moment
            if given:
                self.release(messages, size)
            self._serve()
            if isinstance(error, TimeoutError):
                raise BufferFullError(
                    f"no space for a message within {within_s:g} s: {self!r}; the server is too slow, or gone"
                ) from None
            raise

    def release(self, messages: int, size: int) -> None:
        """Gives space back."""
        self.messages -= messages
        self.bytes -= size
        if self._waiting:
            self._serve()

    def _serve(self) -> None:
        """Reserves space on behalf of those who wait, so that nobody takes it from them."""
        waiting = self._waiting
        while waiting:
            future, messages, size = waiting[0]
            if not future.done():
                if self.messages + messages > self._max_messages or self.bytes + size > self._max_bytes:
                    return
                self.messages += messages
                self.bytes += size
                self._waking += 1
                future.set_result(None)
            waiting.popleft()

    def close(self, error: Exception) -> None:
        """Callers that wait, or come later, get `error`."""
        self._closed = error
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(error)
