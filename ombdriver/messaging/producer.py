"""`MQProducer`: sends messages to one stream, or to the partitions of one topic. The sending half of the hot path."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from threading import get_ident
from typing import Any

from ombdriver.messaging.client import MQClient
from ombdriver.messaging.errors import MessagingValueError
from ombdriver.messaging.streams import commands
from ombdriver.messaging.streams.commands import Id, Key
from ombdriver.messaging.streams.topic import Partitioner, Topic
from ombdriver.messaging.streams.xadd import pack_message
from ombdriver.messaging.transport.channel import Channel
from ombdriver.messaging.transport.connection import Argument, pack
from ombdriver.messaging.transport.registry import RouterSource
from ombdriver.messaging.transport.router import Router


class MQProducer(MQClient):
    """An `MQClient` that sends.

    Args:
        stream_key: key of the stream, or a `Topic` to spread messages over its partitions.
        redis_name: as for `MQClient`.
        redis_url: as for `MQClient`; it and `redis_pool` are told apart by type, so their order does not matter.
        redis_pool: as for `MQClient`.
        kwargs: as for `MQClient`.

    Attributes:
        stream_key: as given.

    Raises:
        MessagingError: as for `MQClient`.
    """

    def __init__(
        self,
        stream_key: Key | Topic,
        redis_name: str | None = None,
        redis_url: Any = None,
        redis_pool: Any = None,
        **kwargs: Any,
    ) -> None:
        self.stream_key = stream_key
        self._partitioner = Partitioner(stream_key) if isinstance(stream_key, Topic) else None
        self._keys = [key.encode() for key in stream_key.keys] if isinstance(stream_key, Topic) else []
        self._key = b"" if isinstance(stream_key, Topic) else commands.key_bytes(stream_key)
        self._bulk: Channel  # with a `_sender` it is not used: nobody knows beforehand where a message goes
        self._sender: Router | None = None
        self._thread = 0
        self._is_running: Callable[[], bool] = bool
        self._decode_id: Any = None
        self._adopt(RouterSource(redis_name, redis_url, redis_pool, kwargs), owns_source=True)

    def _what(self) -> str:
        return f" {self.stream_key!r}"

    def send_message(
        self,
        message: Mapping[Key, Argument],
        msg_id: Id = "*",
        maxlen: int | None = None,
        approximate: bool = True,
        *,
        minid: Id | None = None,
        limit: int | None = None,
        nomkstream: bool = False,
        ref_policy: str | None = None,
        key: Key | None = None,
    ) -> Awaitable[Any]:
        """Sends one message; the awaitable gives its id. It leaves in this turn of the loop, awaited or not.

        Many awaited together (`asyncio.gather`) travel together, in order. Nothing is ever sent twice: after a lost
        connection the awaitable raises, and the error's class tells whether the message may have been stored.

        Args:
            message: field to value: bytes, str, int or float.
            msg_id: the id; by default the server makes it.
            maxlen: trim the stream to so many messages, read or not. To keep what a group still needs: `ref_policy`
                ACKED, or `MQClient.trim_acknowledged` from time to time.
            approximate: trim whole nodes only; much cheaper, and more may stay.
            minid: trim ids below this one, in place of `maxlen`.
            limit: entries looked at while trimming, at most.
            nomkstream: don't make the stream; the id is None if there is none.
            ref_policy: KEEPREF, DELREF or ACKED, when trimming (Redis 8.2 and later).
            key: picks the partition of a `Topic`, always the same for the same key. Without: each in turn. It is not
                stored; put it into a field if consumers need it.

        Raises:
            MessagingValueError: at once, if an argument can't be.
            ClosedError: at once, if the producer or its connections were closed.
            NotSentError: when awaited, if the connection was lost and the message never left.
            OutcomeUnknownError: when awaited, if the connection was lost and it may have been stored.
            redis.exceptions.ResponseError: when awaited, if the server refuses.
        """
        # Not compared with the running loop: asking for that asks the kernel for the process id, 3 µs where measured.
        # A loop that runs, in this thread, is the one that runs here.
        if get_ident() != self._thread or not self._is_running():
            self._bind()
        partitioner = self._partitioner
        if partitioner is not None:
            stream = self._keys[partitioner.pick(key)]
        elif key is None:
            stream = self._key
        else:
            raise MessagingValueError("a key picks a partition, and this producer has a plain stream; give it a Topic")
        if (
            message.__class__ is dict
            and message
            and msg_id == "*"
            and (maxlen is None or (maxlen.__class__ is int and maxlen >= 0))
            and approximate.__class__ is bool
            and not (nomkstream or minid is not None or limit is not None or ref_policy is not None)
            and (data := pack_message(stream, message, maxlen, approximate)) is not None
        ):
            if self._sender is not None:
                return self._sender.send(stream, data, convert=self._decode_id)
            return self._bulk.submit(data, convert=self._decode_id)
        bounds = commands.trimming(maxlen, minid, approximate, limit)
        options: list[Argument] = [*(["NOMKSTREAM"] if nomkstream else []), *commands.policy(ref_policy), *bounds]
        words = commands.xadd(stream, message, msg_id, options)
        if self._sender is not None:
            return self._sender.send(stream, pack(tuple(words)), convert=self._decode_id)
        return self._bulk.execute(*words, convert=self._decode_id)

    def _bind(self) -> None:
        router = self._router()
        self._thread = get_ident()
        self._is_running = asyncio.get_running_loop().is_running
        self._sender = router if router.may_move else None
        if not router.may_move:
            self._bulk = router.bulk_for(self._key)
        self._decode_id = router.decode_id

    async def aclose(self) -> None:
        """Closes this producer, and its connections if it has them for itself. A second call does nothing."""
        self._thread = 0
        await super().aclose()
