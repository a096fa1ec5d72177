"""Commands that find their server, by whatever connections there are: sent, and again as long as that does no harm.

Knows neither slots nor how a connection is made; `connection` and `cluster` say which channel a key has.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from redis.client import NEVER_DECODE

from ombdriver.messaging.channel import Channel
from ombdriver.messaging.errors import NotSentError
from ombdriver.messaging.following import Followed, Parking, Patience, is_loss, repeat
from ombdriver.messaging.refusals import was_not_carried_out
from ombdriver.messaging.resp import Argument, pack
from ombdriver.messaging.unanswered import Convert


class Sending(ABC):
    """The part of `connection.Channels` that sends commands (`following.Carrier`).

    Attributes:
        redis: the redis-py client, for rare commands.
        follows: commands are to go by `send`, since their server may change: a cluster, or behind Sentinels.
        parking: where commands wait until they are sent again.
    """

    redis: Any
    follows: bool
    parking: Parking
    control: Channel
    _shapes: Any

    @abstractmethod
    def bulk_for(self, key: bytes) -> Channel:
        """The channel that XADDs to `key` go through, at this moment."""

    @abstractmethod
    def control_for(self, key: bytes) -> Channel:
        """The channel that small commands on `key` go through, at this moment."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raises ClosedError if this was closed."""

    @abstractmethod
    def _is_met(self) -> bool:
        """Whether there was ever a connection: the first one fails fast, later ones are worth waiting for."""

    def send(
        self,
        key: bytes,
        data: bytes,
        *,
        convert: Convert | None = None,
        bulk: bool = True,
        may_repeat: bool = False,
        after: Exception | None = None,
    ) -> "asyncio.Future[Any]":
        """Sends one packed command to the server of `key`, and again as long as it was surely not carried out.

        Order is kept while nothing is refused; a command that had to be sent again may be carried out later than one
        that came after it.

        Args:
            key: the stream, or what else tells the server.
            data: the command.
            convert: makes the caller's shape of the reply.
            bulk: over the bulk channel; over the control channel otherwise.
            may_repeat: it may be carried out twice, so it is sent again after a lost connection too.
            after: the error that it met when it was sent before, as in a block.

        Raises:
            ClosedError: at once, if this was closed.
            NotSentError: when awaited, if it could not be sent for 30 s.
            OutcomeUnknownError: when awaited, if the connection was lost after it had left, without `may_repeat`.
            redis.exceptions.RedisError: when awaited, the server's error reply.
        """
        self._check_open()
        command = Followed(self, key, data, convert=convert, bulk=bulk, may_repeat=may_repeat)
        if after is not None:
            command.set_exception(after)
        else:
            command.carry()
        return command

    def carry(self, command: Followed) -> None:
        """Sends `command` once; see `following.Carrier`."""
        channel = self.bulk_for(command.key) if command.bulk else self.control_for(command.key)
        channel.submit(command.data, convert=command.convert, future=command)

    def redirect(self, error: BaseException) -> bool:
        """Learns from an error that a command met, and tells whether it was surely not carried out.

        Such a command may be sent again. In a cluster this starts a refresh of what is known of its servers.
        """
        return was_not_carried_out(error) and (self._is_met() or not isinstance(error, NotSentError))

    def follows_up(self, error: BaseException, may_repeat: bool) -> bool:
        """Whether a command that met `error` is to be sent again; learns from the error as `redirect` does."""
        return self.redirect(error) or (may_repeat and is_loss(error) and self._is_met())

    def patience(self, *, may_repeat: bool = False) -> Patience:
        """For a reader that sends its command anew by itself; on a plain server errors go to the caller."""
        if not self.follows:
            return Patience(lambda _, __: False)
        return Patience(self.follows_up, may_repeat=may_repeat)

    async def small(self, key: bytes, *words: Argument) -> Any:
        """A small command on `key` that may be carried out twice: repeated when the connection is lost."""
        if self.follows:
            return await self.send(key, pack(words), bulk=False, may_repeat=True)
        return await repeat(lambda: self.control.execute(*words))

    async def ask(self, key: bytes, name: str, *words: Argument, once: bool = False, **options: Any) -> Any:
        """A rare command, in redis-py's shape for it, with bytes. Repeated after a lost connection unless `once`."""
        if self.follows:
            data = pack((*name.split(), *words))
            reply = await self.send(key, data, bulk=False, may_repeat=not once)
            shape = self._shapes.get(name)
            return reply if shape is None else shape(reply, **options)

        async def ask() -> Any:
            return await self.redis.execute_command(name, *words, **{NEVER_DECODE: True}, **options)

        return await (ask() if once else repeat(ask))
