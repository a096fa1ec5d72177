"""A server as the topic level's producer sees one through a channel, whose faults a test draws.

It carries out what it is given, XADD in transactions and the script of idempotent producers, and gives no real ids:
an entry's id is its place in the stream.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import hiredis

from ombdriver.messaging.errors import NotSentError, OutcomeUnknownError
from ombdriver.messaging.transport.connection import ReplyError, Sink, server_error

FAULTS = (
    "moved",
    "loading",
    "busy",
    "exec",
    "unsent",
    "lost before",
    "lost after",
    "no connection",
    "no room",
    "no script",
)
"""What can happen to a batch; None is that it is carried out."""
FINAL = ("denied", "denied exec")
"""What can happen too, and is not worth another attempt."""
REFUSALS = {
    "moved": "MOVED 1 127.0.0.1:1",
    "loading": "LOADING the dataset",
    "busy": "BUSY a script",
    "exec": "READONLY a replica",
    "denied": "NOPERM not you",
    "denied exec": "NOPERM not you",
}


class ModelServer:
    """The channel and the connections in one.

    Args:
        faults: what happens to each batch that is sent, in turn; then nothing does any more.

    Attributes:
        stream: the entries: name to value.
        batches: how often a batch came.
    """

    def __init__(self, faults: Iterator[str | None]) -> None:
        self._faults = faults
        self._known: dict[bytes, tuple[int, list[Any]]] = {}
        self.stream: list[dict[bytes, bytes]] = []
        self.batches = 0
        self._is_met = False
        self._next: str | None = next(faults, None)

    # -- router.Router ----------------------------------------------------------------------------------------------

    async def discover(self) -> None:
        """At once."""

    def bulk_for(self, key: bytes) -> "ModelServer":
        """This."""
        return self

    def bulk_route(self, key: bytes, refusal: BaseException | None) -> "tuple[ModelServer, bytes]":
        """This."""
        return self, b""

    def learn(self, error: BaseException) -> bool:
        """Nobody asks for the answer."""
        return True

    # -- channel.Channel -----------------------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int] | None:
        """None when there is no connection."""
        return None if self._next == "no connection" else ("here", 1)

    def room(self) -> int:
        """0 once for each of the faults that are before a batch can be sent."""
        return 0 if self._next in ("no connection", "no room") else 1

    async def ready(self) -> None:
        """Connects, save when there is no connection; at first there is."""
        await asyncio.sleep(0)
        first, self._is_met = not self._is_met, True
        if self._next == "no connection" and not first:
            self._next = next(self._faults, None)
            raise NotSentError("no connection")

    def when_room(self, callback: Any) -> None:
        """In the next turn."""
        self._next = next(self._faults, None)
        asyncio.get_running_loop().call_soon(callback)

    def send_block(self, data: bytes, count: int, sink: Sink, token: int, first: int) -> None:
        """Carries it out, or not, and tells so in a later turn."""
        fault, self._next = self._next, next(self._faults, None)
        self.batches += 1
        reader = hiredis.Reader()
        reader.feed(data)
        commands = list(iter(reader.gets, False))
        assert len(commands) == count
        loop = asyncio.get_running_loop()
        if fault in ("unsent", "lost before", "lost after"):
            error = NotSentError("unsent") if fault == "unsent" else OutcomeUnknownError(str(fault))
            if fault == "lost after":
                self._carry_out(commands, None)
            loop.call_soon(sink, token, 0, count, error, 0, None)
            return
        for at, reply in enumerate(self._carry_out(commands, fault)):
            found = server_error(reply) if isinstance(reply, ReplyError) else None
            loop.call_soon(sink, token, at, 1, found, 0, None if found else reply)

    # -- the server ----------------------------------------------------------------------------------------------------

    def _carry_out(self, commands: list[list[bytes]], fault: str | None) -> list[Any]:
        refusal = ReplyError(REFUSALS[fault]) if fault in REFUSALS else None
        if commands[0][0] in (b"EVALSHA", b"EVAL"):
            if fault == "no script" and commands[0][0] == b"EVALSHA":
                return [ReplyError("NOSCRIPT there is none")]
            return [refusal or self._script(commands[0])]
        if len(commands) == 1:
            return [refusal or self._xadd(commands[0])]
        assert (commands[0], commands[-1]) == ([b"MULTI"], [b"EXEC"])
        inner = commands[1:-1]
        if fault in ("exec", "denied exec"):
            queued = [b"QUEUED"] * len(inner)
            return [b"OK", *queued, ReplyError(f"EXECABORT Transaction discarded because of: {REFUSALS[fault]}")]
        replies = [refusal or self._refused(words) or b"QUEUED" for words in inner]
        if any(isinstance(reply, ReplyError) for reply in replies):
            return [b"OK", *replies, ReplyError("EXECABORT Transaction discarded because of previous errors.")]
        return [b"OK", *replies, [self._xadd(words) for words in inner]]

    def _refused(self, words: list[bytes]) -> ReplyError | None:
        return ReplyError("OOM no memory") if b"oom" in words else None

    def _xadd(self, words: list[bytes]) -> Any:
        fields = words[words.index(b"*") + 1 :]
        if b"oom" in fields or b"bad" in fields:
            return ReplyError("OOM no memory")
        self.stream.append(dict(zip(fields[::2], fields[1::2], strict=True)))
        return b"%d-0" % len(self.stream)

    def _script(self, words: list[bytes]) -> Any:
        assert words[2] == b"2"
        remembers, number = words[4], int(words[5])
        last, answers = self._known.get(remembers, (0, []))
        if last == number:
            return [b"1", *answers]
        assert number > last, "an older batch came again"
        at, answers = 7, []
        while at < len(words):
            end = at + 1 + int(words[at])
            reply = self._xadd(words[at + 1 : end])
            answers.append(b"-" + str(reply).encode() if isinstance(reply, ReplyError) else reply)
            at = end
        self._known[remembers] = number, answers
        return [b"0", *answers]
